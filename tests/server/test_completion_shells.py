"""Completion as a person meets it: TAB is pressed in a real bash, zsh and fish."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sshrun.job import Manifest
from sshrun.jobs.records import Record
from support.installed import SSHRUN, Sshrun
from support.terminals import Terminal

# `command sshrun` is asked what may follow; what the line comes to is shown by a function of that name.
SH = 'eval "$(sshrun completion {})"; sshrun() {{ printf "<%s>" "$@"; echo .; }}; PS1="ready> "'
FISH = """
sshrun completion fish | source
function sshrun; printf '<%s>' $argv; echo .; end
function fish_prompt; echo -n 'ready> '; end
set fish_greeting
"""
INIT = {"bash": SH.format("bash"), "zsh": SH.format("zsh"), "fish": FISH}

TypeLine = Callable[[str], list[str]]


@pytest.fixture(params=INIT)
def shell(request: pytest.FixtureRequest) -> str:
    if shutil.which(request.param) is None:
        pytest.skip(f"{request.param} is not installed, and the system has no package of it")
    return request.param


@pytest.fixture
def surroundings(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with a model, hosts in an included file, and one job that this machine knows of."""
    here = tmp_path / "here"
    (here / "models").mkdir(parents=True)
    for name in ("my_model.py", "fit.py", "fit.txt", "data.csv", "key file", "models/deep.py"):
        (here / name).touch()
    (home / ".sshrun").mkdir()
    (home / ".sshrun" / "user_settings.yaml").write_text(f"ssh: {{config_path: {tmp_path}/config}}\n")
    (tmp_path / "config").write_text(f"Host *.lab\nInclude {tmp_path}/hosts*\n")
    (tmp_path / "hosts").write_text("Host gpu1.example.org\n")
    Record("20260101-000000-aaaaaaaa").write_manifest(Manifest(command="train", model="my_model", host="gpu1"))
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("ssh", "quaintprogram"):
        (programs / name).write_text(f"#!/bin/sh\ntouch {tmp_path}/{name}-was-started\n")
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{SSHRUN.parent}:{programs}:{os.environ['PATH']}")
    monkeypatch.setenv("TERM", "xterm")
    return here


@pytest.fixture
def type_line(shell: str, surroundings: Path, tmp_path: Path, home: Path) -> Iterator[TypeLine]:
    """Types a line after `sshrun `, in which "\\t" is TAB, and returns the words that it then is."""
    words = ["--init-command", INIT[shell]]
    if shell == "bash":
        (tmp_path / "init").write_text(INIT[shell])
        words = ["--noprofile", "--rcfile", str(tmp_path / "init"), "-i"]
    elif shell == "zsh":
        (home / ".zshrc").write_text(INIT[shell])
        words = ["-d", "-i"]
    terminal = Terminal(surroundings, *words, program=shutil.which(shell) or shell, columns=200)
    terminal.wait_for(b"ready> ", 60)

    def type_line(keys: str) -> list[str]:
        terminal.shown = b""
        terminal.type(f"sshrun {keys}\r".encode())
        terminal.wait_for(b">.", 60)
        line = terminal.shown.split(b">.")[0]
        return line[line.rindex(b"\n") + 1 :].decode().partition("<")[2].split("><")

    yield type_line
    terminal.close_window()
    terminal.status()
    assert not list(tmp_path.glob("*-was-started"))


def test_tab_completes(type_line: TypeLine) -> None:
    for keys, words in (
        ("sta\t", ["status"]),
        ("logs --js\t", ["logs", "--json"]),
        ("--dry\ttrain my_m\t", ["--dry-run", "train", "my_model"]),
        ("train my_model --no-w\t", ["train", "my_model", "--no-wait"]),
        ("train models/de\t", ["train", "models/deep.py"]),
        ("-h gp\tstatus", ["-h", "gpu1.example.org", "status"]),
        ("--host ann@gp\tstatus", ["--host", "ann@gpu1.example.org", "status"]),
        ("--host=gp\tstatus", ["--host=gpu1.example.org", "status"]),
        ("--host=ann@gp\tstatus", ["--host=ann@gpu1.example.org", "status"]),
        ("logs 2026\t", ["logs", "20260101-000000-aaaaaaaa"]),
        ("run fi\t", ["run", "fit.py"]),
        ("run fit.py da\t", ["run", "fit.py", "data.csv"]),
        ("-i ke\tstatus", ["-i", "key file", "status"]),
        ("--identity-file=my_\tstatus", ["--identity-file=my_model.py", "status"]),
        ("ssh-keygen x -o mod\t", ["ssh-keygen", "x", "-o", "models"]),
        ("ssh-keygen x -t ed\t", ["ssh-keygen", "x", "-t", "ed25519"]),
        ("completion z\t", ["completion", "zsh"]),
        ("-v -- quaint\tda\t", ["-v", "--", "quaintprogram", "data.csv"]),
    ):
        assert [word.rstrip("/") for word in type_line(keys)] == words, keys  # zsh takes the last one off again


def test_a_script_that_is_kept_is_enough(sshrun_completion_file: Path) -> None:
    """As a file of zsh's $fpath, without anything in .zshrc but compinit."""
    if shutil.which("zsh") is None:
        pytest.skip("zsh is not installed, and the system has no package of it")
    script = 'autoload -Uz compinit && compinit -D; print -r -- "${_comps[sshrun]}"'
    found = subprocess.run(
        ["zsh", "-f", "-c", f"fpath=({sshrun_completion_file.parent} $fpath); {script}"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout == "_sshrun\n"


@pytest.fixture
def sshrun_completion_file(plain_sshrun: Sshrun, tmp_path: Path) -> Path:
    (tmp_path / "functions").mkdir()
    file = tmp_path / "functions" / "_sshrun"
    file.write_bytes(plain_sshrun("completion", "zsh").stdout)
    return file


def test_an_answer_comes_at_once_and_connects_to_nothing(surroundings: Path, tmp_path: Path) -> None:
    """In less than 100 ms where Python itself takes 10: on a machine that is busy both take longer."""
    python = _seconds([sys.executable, "-c", "pass"], surroundings)
    for words in (("-h", ""), ("logs", ""), ("train", ""), ("",)):
        assert _seconds([str(SSHRUN), "completion", "--complete", *words], surroundings) < 10 * python, words
    assert not list(tmp_path.glob("*-was-started"))


def _seconds(argv: list[str], directory: Path) -> float:
    """Processor time, the best of some."""
    return min(_seconds_once(argv, directory) for _ in range(10))


def _seconds_once(argv: list[str], directory: Path) -> float:
    process = subprocess.Popen(argv, cwd=directory, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return usage.ru_utime + usage.ru_stime


@pytest.mark.parametrize(("words", "says"), [((), "which shell?"), (("tcsh",), "no script for tcsh")])
def test_a_shell_that_is_not_known_is_a_usage_error(plain_sshrun: Sshrun, words: tuple[str, ...], says: str) -> None:
    finished = plain_sshrun("completion", *words)
    assert (finished.status, finished.stdout) == (2, b"")
    assert says in finished.stderr and "bash|zsh|fish" in finished.stderr
