"""`python X.py` on hosts where Python has only its longer name."""

from __future__ import annotations

from pathlib import Path

from support.shell_host import ShellHost


def stub(folder: Path, name: str) -> str:
    """A program that says who it is and what it got; returns its folder."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f'#!/bin/sh\necho {name} "$@"\n')
    (folder / name).chmod(0o755)
    return str(folder)


def test_python3_stands_in_for_a_python_that_is_not_there(host: ShellHost, tmp_path: Path) -> None:
    path = stub(tmp_path / "short", "python3")
    ended = host.run(["python", "fit.py", "a b"], environment=[f"PATH={path}"])
    assert (ended.code, ended.log) == ("0", b"python3 fit.py a b\n")


def test_a_python_that_is_there_is_taken_also_one_that_a_startup_command_brings(
    host: ShellHost, tmp_path: Path
) -> None:
    path = stub(tmp_path / "short", "python3")
    brought = stub(tmp_path / "brought", "python")
    ended = host.run(["python", "fit.py"], environment=[f"PATH={path}"], startup=[f"PATH={brought}:$PATH"])
    assert ended.log == b"python fit.py\n"


def test_no_other_program_is_exchanged(host: ShellHost, tmp_path: Path) -> None:
    path = stub(tmp_path / "short", "python3")
    assert host.run(["python2", "fit.py"], environment=[f"PATH={path}"]).code == "127"


def test_a_host_without_any_python_says_so(host: ShellHost, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    ended = host.run(["python", "fit.py"], environment=[f"PATH={tmp_path}/empty"])
    assert ended.code == "127"
    assert b"python3" in ended.log
