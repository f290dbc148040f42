from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from sshrun.project.hints import as_rule, missing
from sshrun.project.selection import select


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "nano"
    for name in (
        *("train.py", "data/train.bin", "data/meta.pkl", "models/net.py", "models/__init__.py", "src/pkg/extra.py"),
        *("src/pkg/__init__.py", "scripts/run.py", "scripts/helper.py", ".env", "out/log.txt", "docs/x.md", "it's.bin"),
        *("__pycache__/x.py", "storage/y.bin"),
    ):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    (root / ".gitignore").write_text("# data\n*.bin\nmodels/\nextra.py\nhelper.py\nout/\n")
    (root / ".sshrunignore").write_text("docs/\n")
    (root / "big").symlink_to(tmp_path)
    (root / "near").symlink_to("storage")
    subprocess.run(["git", "init", "-q"], cwd=root, check=True)
    return root


def hint(project: Path, log: str, directory: str = ".") -> str:
    found = select(str(project), ())
    text = f"step 1\n{log}\n".encode("utf-8", "surrogateescape")
    return missing(text, str(project), directory, {item.name for item in found.items})


def says(name: str, why: str, advice: str) -> str:
    return f"{name} is here, but did not go to the host ({why}): {advice}"


def rule(name: str, why: str, line: str = "") -> str:
    return says(name, why, f"write !{line or name} into .sshrunignore")


BIN = rule("data/train.bin", ".gitignore:2 `*.bin`")
NO_FILE = "FileNotFoundError: [Errno 2] No such file or directory: "
NO_MODULE = "ModuleNotFoundError: No module named "


@pytest.mark.parametrize(
    "log",
    [
        NO_FILE + "'data/train.bin'",
        NO_FILE + "b'data/train.bin'",
        NO_FILE + '"./data/../data/train.bin"',
        NO_FILE + "'/home/joe/sshrun/nano-3f2a/data/train.bin'",
        NO_FILE + "'/work/nano/data/train.bin'",
        NO_FILE + "'data/train.bin' -> 'x'",
        "FileNotFoundError: data/train.bin not found.",
        "FileNotFoundError: [Errno 2] Unable to open file (unable to open file: name = 'data/train.bin', errno = 2)",
        "RuntimeError: cannot open 'data/train.bin': No such file",
        "python: can't open file 'data/train.bin': [Errno 2] No such file or directory",
        "cat: data/train.bin: No such file or directory",
        "sh: 1: cannot open data/train.bin: No such file",
        "bash: line 1: data/train.bin: No such file or directory",
        "cp: cannot stat 'data/train.bin': No such file or directory",
        "ls: cannot access 'data/train.bin': No such file or directory",
        "make: *** No rule to make target 'data/train.bin', needed by 'all'.  Stop.",
        "tensorflow.python.framework.errors_impl.NotFoundError: data/train.bin; No such file or directory",
        NO_FILE + "'data/train.bin'\n\nDuring handling of the above exception:\nValueError: no data",
    ],
)
def test_a_file_that_did_not_go_is_named_with_its_rule(project: Path, log: str) -> None:
    assert hint(project, log) == BIN


@pytest.mark.parametrize(
    ("log", "directory", "line"),
    [
        (NO_FILE + "'train.bin'", "data", BIN),
        (NO_FILE + "'../data/train.bin'", "scripts", BIN),
        (NO_FILE + '"it\'s.bin"', ".", rule("it's.bin", ".gitignore:2 `*.bin`", "/it's.bin")),
        (NO_FILE + "'.env'", ".", rule(".env", "it may hold a secret", "/.env")),
        (NO_FILE + "'out'", ".", rule("out/", ".gitignore:6 `out/`", "/out/")),
        (NO_FILE + "'docs/x.md'", ".", says("docs/x.md", ".sshrunignore:1 `docs/`", "change that line")),
        (NO_FILE + "'near/y.bin'", ".", rule("storage/y.bin", ".gitignore:2 `*.bin`")),
        (NO_MODULE + "'models'", ".", rule("models/", ".gitignore:3 `models/`", "/models/")),
        (NO_MODULE + "'models.net'", ".", rule("models/net.py", ".gitignore:3 `models/`")),
        (NO_MODULE + "'pkg.extra'", ".", rule("src/pkg/extra.py", ".gitignore:4 `extra.py`")),
        (NO_MODULE + "'helper'", ".", rule("scripts/helper.py", ".gitignore:5 `helper.py`")),
        ("/usr/bin/python3: No module named models.net", ".", rule("models/net.py", ".gitignore:3 `models/`")),
    ],
)
def test_each_reason_has_its_advice(project: Path, log: str, directory: str, line: str) -> None:
    assert hint(project, log, directory) == line


def test_what_lies_behind_a_link_that_leaves_the_project_is_for_upload_files(project: Path) -> None:
    (project.parent / "huge").write_text("x")
    why = f"big is a link that leaves the project: {project.parent}"
    assert hint(project, NO_FILE + "'big/huge'") == says("big/huge", why, "name what it leads to in upload_files")


@pytest.mark.parametrize(
    "log",
    [
        "",
        "all is well",
        "reading 'data/train.bin'",
        NO_FILE + "'train.py'",  # it went
        NO_FILE + "'data'",  # some of it went
        NO_FILE + "'data/absent.bin'",
        NO_FILE + "'/etc/train.bin'",
        NO_FILE + "'/data/train.bin'",
        NO_FILE + "'../nano'",
        NO_FILE + "'/nano/../../etc/passwd'",
        NO_FILE + "'unfinished",
        NO_FILE + "''",
        NO_FILE + "'\\x00'",
        NO_FILE + "'.'",
        NO_FILE + "'__pycache__/x.py'",
        NO_FILE + "'.git/HEAD'",
        NO_MODULE + "'numpy'",
        NO_MODULE + "'pkg'",  # it went, and Python looks elsewhere
        NO_MODULE + "'train'",
        NO_MODULE + "'out'",
        "RuntimeError: 'out' is no split",
        "\udcff\udcfe: No such file or directory",
        pytest.param(NO_FILE + "'data/train.bin'" + "\nlater" * 100, id="long ago"),
    ],
)
def test_there_is_no_hint_without_a_reason(project: Path, log: str) -> None:
    assert hint(project, log) == ""


def test_a_path_of_this_machine_gets_no_advice(project: Path) -> None:
    assert hint(project, f"{NO_FILE}'{project}/data/train.bin'") == ""


@pytest.mark.parametrize(
    "log", [NO_FILE + "'data/train.bin'", NO_FILE + "'/work/nano/models'", NO_MODULE + "'models.net'"]
)
def test_what_went_although_it_is_ignored_gets_no_advice(project: Path, log: str) -> None:
    names = {item.name for item in select(str(project), ["data/train.bin", "models"]).items}
    assert missing(log.encode(), str(project), ".", names) == ""


def test_what_was_made_since_gets_no_advice(project: Path) -> None:
    names = {item.name for item in select(str(project), ()).items}
    (project / "new.txt").write_text("x")
    assert missing(f"{NO_FILE}'new.txt'\n".encode(), str(project), ".", names) == ""


def test_the_last_error_counts_first(project: Path) -> None:
    assert hint(project, f"{NO_FILE}'out'\n{NO_FILE}'data/train.bin'") == BIN
    assert hint(project, f"{NO_FILE}'data/train.bin'\n{NO_FILE}'absent'") == BIN


@pytest.mark.parametrize("name", ["data/a.bin", "a", "dir/", "a b ", "a/b  ", "*", "[x]?", "a\\b", "!x", "#x", "a/#"])
def test_what_a_hint_says_to_write_brings_the_file_in(tmp_path: Path, name: str) -> None:
    file = tmp_path / (f"{name}x" if name.endswith("/") else name)
    file.parent.mkdir(exist_ok=True)
    file.write_text("x")
    (tmp_path / "other").write_text("x")
    (tmp_path / ".gitignore").write_text("*\n")
    (tmp_path / ".sshrunignore").write_text(f"!{as_rule(name)}\n")
    assert [item.name for item in select(str(tmp_path), ()).items] == [str(file.relative_to(tmp_path))]
