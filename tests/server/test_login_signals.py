"""Ctrl+C and the like while ssh asks on the terminal: it is left as it was found, and no ssh stays behind."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from sshrun.sandbox import Sandbox
from support.installed import Sshrun
from support.login_terminal import LoginTerminal
from support.specs import commands
from support.waiting import eventually

Question = Callable[[Sandbox, Path], bytes]

PASSPHRASE = b"Enter passphrase for key"
UNKNOWN = b"continue connecting"

KEYS = {signal.SIGINT: b"\x03", signal.SIGQUIT: b"\x1c"}
SIGNALS = (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP)


def locked_key(sandbox: Sandbox) -> None:
    """From now on the key that the config names needs a passphrase."""
    subprocess.run(["ssh-keygen", "-q", "-p", "-P", "", "-N", "word", "-f", sandbox.directory / "user_key"], check=True)


def passphrase(sandbox: Sandbox, _folder: Path) -> bytes:
    locked_key(sandbox)
    return PASSPHRASE


def passphrase_of_a_jump(sandbox: Sandbox, folder: Path) -> bytes:
    """The ssh that asks is a child of ours."""
    inner = folder / "inner_key"
    shutil.copy(sandbox.directory / "user_key", inner)
    inner.chmod(0o600)
    locked_key(sandbox)
    host, _, rest = sandbox.config.read_text().partition("\n")
    jump = rest.replace(f'IdentityFile "{inner}"', "")
    own = rest.replace(str(sandbox.directory / "user_key"), str(inner))
    sandbox.config.write_text(f"{host}\n    ProxyJump jump\n{own}\nHost jump\n{jump}")
    return PASSPHRASE


def unknown_host_key(sandbox: Sandbox, _folder: Path) -> bytes:
    (sandbox.directory / "known_hosts").write_text("")
    config = sandbox.config.read_text()
    sandbox.config.write_text(config.replace("StrictHostKeyChecking yes", "StrictHostKeyChecking ask"))
    return UNKNOWN


def ssh_of(sandbox: Sandbox, home: Path) -> list[str]:
    """The programs that work on a login of ours to the sandbox."""
    ours = (str(home / ".sshrun" / "control"), str(sandbox.directory / "user_key"))
    return [words for words in commands().values() if any(mark in words for mark in ours) and "sshrun -" not in words]


def interrupt(terminal: LoginTerminal, number: signal.Signals) -> None:
    if number in KEYS:
        terminal.type(KEYS[number])
    else:
        os.kill(terminal.pid, number)


QUESTIONS = [passphrase, passphrase_of_a_jump, unknown_host_key]


def interrupt_again_and_again(
    rounds: int, sshrun: Sshrun, home: Path, text: bytes, number: signal.Signals, sandbox: Sandbox
) -> None:
    for _ in range(rounds):
        with LoginTerminal(sshrun.folder, *sshrun.options, "--", "true") as terminal:
            if text == UNKNOWN:
                terminal.wait_for(text)
            else:
                terminal.wait_for_prompt(text)
            interrupt(terminal, number)
            assert terminal.status() == 128 + number
            terminal.assert_restored()
            assert ssh_of(sandbox, home) == []
            assert not os.listdir(home / ".sshrun" / "control")


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question.__name__)
def test_the_terminal_is_as_it_was(
    sshrun: Sshrun, sandbox: Sandbox, home: Path, tmp_path: Path, question: Question, number: signal.Signals
) -> None:
    interrupt_again_and_again(2, sshrun, home, question(sandbox, tmp_path), number, sandbox)


@pytest.mark.long
@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question.__name__)
def test_the_terminal_is_as_it_was_thirty_times(
    sshrun: Sshrun, sandbox: Sandbox, home: Path, tmp_path: Path, question: Question, number: signal.Signals
) -> None:
    interrupt_again_and_again(30, sshrun, home, question(sandbox, tmp_path), number, sandbox)


def test_a_verb_that_only_looks_leaves_it_so_too(sshrun: Sshrun, sandbox: Sandbox, home: Path, tmp_path: Path) -> None:
    text = passphrase(sandbox, tmp_path)
    with LoginTerminal(tmp_path, *sshrun.options, "status") as terminal:
        terminal.wait_for_prompt(text)
        os.kill(terminal.pid, signal.SIGTERM)
        assert terminal.status() == 143
        terminal.assert_restored()
    eventually(lambda: not ssh_of(sandbox, home))


def test_a_program_that_asks_in_a_window_is_ended_as_well(
    sshrun: Sshrun, sandbox: Sandbox, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    locked_key(sandbox)
    askpass = tmp_path / "askpass"
    askpass.write_text("#!/bin/sh\necho $$ >asked\nsleep 600\n")
    askpass.chmod(0o755)
    monkeypatch.setenv("SSH_ASKPASS", str(askpass))
    monkeypatch.setenv("SSH_ASKPASS_REQUIRE", "force")
    with LoginTerminal(tmp_path, *sshrun.options, "--", "true") as terminal:
        eventually((tmp_path / "asked").exists)
        os.kill(terminal.pid, signal.SIGTERM)
        assert terminal.status() == 143
    assert ssh_of(sandbox, home) == []


def test_who_does_not_end_is_killed_and_the_terminal_restored_for_it(
    sshrun: Sshrun, sandbox: Sandbox, home: Path, tmp_path: Path
) -> None:
    """A proxy that reads a password by itself, and is stubborn."""
    proxy = tmp_path / "proxy"
    question = "stty -echo </dev/tty; echo code: >/dev/tty; read -r code </dev/tty"
    proxy.write_text(f"#!/bin/sh\ntrap '' INT TERM HUP\n{question}\n")
    proxy.chmod(0o755)
    sandbox.config.write_text(sandbox.config.read_text() + f"    ProxyCommand {proxy}\n")
    with LoginTerminal(tmp_path, *sshrun.options, "--", "true") as terminal:
        terminal.wait_for_prompt(b"code:")
        os.kill(terminal.pid, signal.SIGTERM)
        assert terminal.status() == 143
        terminal.assert_restored()
    assert not [words for words in commands().values() if str(proxy) in words]
