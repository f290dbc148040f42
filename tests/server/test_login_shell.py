"""Start files of a login shell that let no command of ours through, or change what it finds."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from sshrun.sandbox import Sandbox
from support.installed import Sshrun

GUARD = "case $- in *i*) ;; *) return ;; esac"


@pytest.fixture
def sandbox(start_sandbox) -> Sandbox:  # type: ignore[no-untyped-def]
    return start_sandbox(shell=Path("/bin/bash"))


def fails_within(seconds: float, sshrun: Sshrun, sandbox: Sandbox, line: str, message: str) -> None:
    """With this line in its start file the host runs no command, and one line names the reason and the fix."""
    (sandbox.home / ".bashrc").write_text(f"{line}\n")
    started = time.monotonic()
    finished = sshrun("--", "touch", "ran")
    assert time.monotonic() - started < seconds
    assert (finished.status, len(finished.stderr.splitlines())) == (255, 1)
    assert message in finished.stderr and GUARD in finished.stderr


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("exec bash --norc", "becomes another shell"),
        ("exec env sh", "becomes another shell"),
        ("echo Welcome; exec sh", "becomes another shell"),
        ("read answer", "reads what is sent"),
        ("exec tmux", "starts tmux"),
        ("exit", "the login shell ends (exit 0) before our command"),
        ("exit 3", "the login shell ends (exit 3) before our command"),
    ],
)
def test_a_start_file_that_lets_no_command_through_is_named(
    sshrun: Sshrun, sandbox: Sandbox, line: str, message: str
) -> None:
    fails_within(15, sshrun, sandbox, line, message)
    assert [path.name for path in sandbox.home.iterdir()] == [".bashrc"]  # nothing of ours was carried out
    looked = sshrun("doctor")
    assert message in looked.stdout.decode() and GUARD in looked.stdout.decode()
    (sandbox.home / ".bashrc").write_text(f"{GUARD}\n{line}\n")
    assert sshrun("--", "true").status == 0


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('exec sh -c "$(cat)"', "becomes another shell"),  # as fish does: all of the input first
        ("cat >/dev/null", "reads what is sent"),  # as ssh without -n does
    ],
)
def test_a_start_file_that_never_stops_reading_is_found_out(
    sshrun: Sshrun, sandbox: Sandbox, line: str, message: str
) -> None:
    fails_within(20, sshrun, sandbox, line, message)  # and not the 30 s after which any answer is overdue
    assert not (sandbox.home / "ran").exists()


def test_a_slow_start_file_is_waited_for(sshrun: Sshrun, sandbox: Sandbox) -> None:
    (sandbox.home / ".bashrc").write_text("sleep 6\n")
    assert sshrun("--", "true").status == 0


def test_a_start_file_that_fails_to_start_tmux_and_goes_on_is_no_hindrance(sshrun: Sshrun, sandbox: Sandbox) -> None:
    (sandbox.home / ".bashrc").write_text("tmux attach || tmux new\n")
    assert sshrun("--", "true").status == 0
