"""Logins that take a person's answer: a password, a passphrase, a code; at first, and after a lost connection."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sshrun.sandbox import Sandbox
from support.accounts import Account, Accounts
from support.installed import SSHRUN, Finished, Sshrun
from support.login_terminal import LoginTerminal
from support.relay import Relay
from support.specs import write_spec
from support.waiting import eventually

WORD = "open-sesame"
PROMPT = b"'s password:"
AGAIN = b"again needs your password"


@pytest.fixture(scope="module")
def pat() -> Iterator[Account]:
    """An account with a password."""
    if os.getuid() != 0:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("only root can make the account that this needs")
    with Accounts("pat") as accounts:
        (account,) = accounts.all
        account.set_password(WORD)
        yield account


@pytest.fixture
def sandbox(
    start_sandbox: Callable[..., Sandbox], pat: Account, tmp_path: Path, request: pytest.FixtureRequest
) -> Sandbox:
    """A server that lets pat in by his password, and by the sandbox's key while `authorize` says so."""
    pat.clear()
    extra = ["ForceCommand none", "SetEnv MACHINE=there", "PasswordAuthentication yes", "UsePAM no"]
    extra.append(f"AuthorizedKeysFile {pat.home}/authorized_keys")
    server = start_sandbox(*getattr(request, "param", ()), *extra)
    config = re.sub("User .*", f"User {pat.name}", server.config.read_text())
    server.config.write_text(config)
    return server


def authorize(sandbox: Sandbox, pat: Account) -> None:
    keys = pat.home / "authorized_keys"
    keys.write_text((sandbox.directory / "user_key.pub").read_text())
    pat.own(keys)


def refused(sandbox: Sandbox) -> int:
    return sandbox.log.read_text(errors="replace").count("Failed password")


def accepted(sandbox: Sandbox) -> int:
    return sandbox.log.read_text(errors="replace").count("Accepted ")


def job(pat: Account) -> tuple[str, ...]:
    return ("--", "sh", "-c", f"echo up; until [ -e {pat.home}/go ]; do sleep 0.05; done; echo over; exit 6")


def go(pat: Account) -> None:
    (pat.home / "go").touch()


def resume(sshrun: Sshrun) -> None:
    """Follows the job to its end after all."""
    with LoginTerminal(sshrun.folder, *sshrun.options, "--resume") as terminal:
        terminal.answer(PROMPT, WORD)
        terminal.wait_for(b"over\r\n")
        assert terminal.status() == 6


class Daemon:
    """sshrun without a terminal, as cron has it."""

    def __init__(self, sshrun: Sshrun, *words: str) -> None:
        self._file = sshrun.folder / "daemon.out"
        with open(self._file, "wb") as output:
            self._process = subprocess.Popen(
                [SSHRUN, *sshrun.options, *words],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=sshrun.folder,
                start_new_session=True,
            )

    @property
    def output(self) -> str:
        return self._file.read_text(errors="replace")

    def wait_for(self, text: str) -> None:
        eventually(lambda: text in self.output or self._process.poll() is not None, 30)
        assert text in self.output

    def wait(self) -> Finished:
        status = self._process.wait(60)
        return Finished(status, b"", self.output)


def askpass(folder: Path, monkeypatch: pytest.MonkeyPatch, word: str) -> Path:
    """A program that answers by itself, and notes what it was asked."""
    program, asked = folder / "askpass", folder / "asked"
    program.write_text(f'#!/bin/sh\necho "$1" >>{asked}\necho {word}\n')
    program.chmod(0o755)
    monkeypatch.setenv("SSH_ASKPASS", str(program))
    monkeypatch.setenv("SSH_ASKPASS_REQUIRE", "force")
    return asked


def test_a_terminal_is_asked_again_after_a_loss(relay: Relay, sshrun: Sshrun, sandbox: Sandbox, pat: Account) -> None:
    with LoginTerminal(sshrun.folder, *sshrun.options, *job(pat)) as terminal:
        terminal.answer(PROMPT, WORD)
        terminal.wait_for(b"up\r\n")
        for _ in range(2):
            relay.cut()
            terminal.wait_for(b"was lost")
            terminal.wait_for(AGAIN)
            terminal.answer(PROMPT, WORD)
            terminal.wait_for(b"connected to sandbox again")
        go(pat)
        terminal.wait_for(b"over\r\n")
        assert terminal.status() == 6
        assert PROMPT not in terminal.shown
    assert (refused(sandbox), accepted(sandbox)) == (0, 3)


def test_a_refused_answer_leaves_the_job_and_is_not_repeated(
    relay: Relay, sshrun: Sshrun, sandbox: Sandbox, pat: Account
) -> None:
    with LoginTerminal(sshrun.folder, *sshrun.options, *job(pat)) as terminal:
        terminal.answer(PROMPT, WORD)
        terminal.wait_for(b"up\r\n")
        relay.cut()
        for _ in range(3):
            terminal.answer(PROMPT, "wrong")
        assert terminal.status() == 255
        assert b"sshrun --resume" in terminal.shown
    assert refused(sandbox) == 3
    go(pat)
    resume(sshrun)


@pytest.mark.parametrize(("key", "status"), [(b"\x03", 130), (b"\x1c", 131)], ids=["Ctrl+C", "Ctrl+Backslash"])
def test_a_key_at_the_second_question_leaves_and_the_job_goes_on(
    relay: Relay, sshrun: Sshrun, sandbox: Sandbox, pat: Account, key: bytes, status: int
) -> None:
    with LoginTerminal(sshrun.folder, *sshrun.options, *job(pat)) as terminal:
        terminal.answer(PROMPT, WORD)
        terminal.wait_for(b"up\r\n")
        relay.cut()
        terminal.wait_for_prompt(PROMPT)
        terminal.type(key)
        assert terminal.status() == status
        assert terminal.echoes
        assert b"goes on" in terminal.shown
    go(pat)
    resume(sshrun)


def test_a_program_that_asks_is_asked_again_after_a_loss(
    relay: Relay, sshrun: Sshrun, sandbox: Sandbox, pat: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = askpass(tmp_path, monkeypatch, WORD)
    running = Daemon(sshrun, *job(pat))
    running.wait_for("up\n")
    relay.cut()
    running.wait_for("connected to sandbox again")
    go(pat)
    assert running.wait().status == 6
    assert asked.read_text().count("password") == 2
    assert refused(sandbox) == 0


def test_with_nobody_to_ask_the_job_is_left_and_no_password_is_sent(
    relay: Relay, sshrun: Sshrun, sandbox: Sandbox, pat: Account
) -> None:
    authorize(sandbox, pat)
    running = Daemon(sshrun, *job(pat))
    running.wait_for("up\n")
    (pat.home / "authorized_keys").write_text("")
    relay.cut()
    finished = running.wait()
    assert finished.status == 255
    assert "logging in to sandbox again needs your password" in finished.stderr
    assert "Permission denied (publickey,password)" in finished.stderr, "the reason of ssh is not lost"
    assert "sshrun --resume" in finished.stderr and "see which keys" not in finished.stderr
    assert refused(sandbox) == 0
    go(pat)
    resume(sshrun)


def test_with_nobody_to_ask_no_password_is_sent_at_first_either(sshrun: Sshrun, sandbox: Sandbox) -> None:
    finished = Daemon(sshrun, "--", "true").wait()
    assert finished.status == 255
    assert "Permission denied (publickey,password)" in finished.stderr
    assert refused(sandbox) == 0


def test_with_nobody_to_ask_none_is_sent_to_a_bastion(sshrun: Sshrun, sandbox: Sandbox) -> None:
    own = sandbox.config.read_text()
    jump = own.replace("Host sandbox", "Host jump")
    sandbox.config.write_text(own + "    ProxyJump jump\n" + jump)
    finished = Daemon(sshrun, "--", "true").wait()
    assert finished.status == 255
    assert "Permission denied (publickey,password)" in finished.stderr
    assert refused(sandbox) == 0
    assert sandbox.log.read_text().count("Connection from ") == 1, "nobody knocks a second time to learn the reason"


def test_a_key_that_still_opens_is_used_without_a_question(
    relay: Relay, sshrun: Sshrun, sandbox: Sandbox, pat: Account
) -> None:
    authorize(sandbox, pat)
    with LoginTerminal(sshrun.folder, *sshrun.options, *job(pat)) as terminal:
        terminal.wait_for(b"up\r\n")
        relay.cut()
        terminal.wait_for(b"connected to sandbox again")
        go(pat)
        assert terminal.status() == 6
        assert b"needs your" not in terminal.shown and PROMPT not in terminal.shown


def test_a_passphrase_is_asked_again_after_a_loss(relay: Relay, sshrun: Sshrun, sandbox: Sandbox, pat: Account) -> None:
    authorize(sandbox, pat)
    sandbox.config.write_text(sandbox.config.read_text() + "    PreferredAuthentications publickey\n")
    key = sandbox.directory / "user_key"
    subprocess.run(["ssh-keygen", "-q", "-p", "-P", "", "-N", WORD, "-f", key], check=True)
    with LoginTerminal(sshrun.folder, *sshrun.options, *job(pat)) as terminal:
        for _ in range(2):
            terminal.answer(b"Enter passphrase for key", WORD)
            terminal.wait_for(b"up\r\n" if not relay.connections > 1 else b"connected to sandbox again")
            if relay.connections == 1:
                relay.cut()
                terminal.wait_for(b"the passphrase of your key")
        go(pat)
        assert terminal.status() == 6


CODES = ("KbdInteractiveAuthentication yes", "AuthenticationMethods keyboard-interactive", "UsePAM yes")


@pytest.mark.skipif(not os.path.exists("/etc/pam.d/sshd"), reason="this needs an sshd with PAM")
@pytest.mark.parametrize("sandbox", [CODES], indirect=True)
def test_a_code_is_asked_again_after_a_loss(relay: Relay, sshrun: Sshrun, sandbox: Sandbox, pat: Account) -> None:
    with LoginTerminal(sshrun.folder, *sshrun.options, *job(pat)) as terminal:
        terminal.answer(b"Password:", WORD)
        terminal.wait_for(b"up\r\n")
        relay.cut()
        terminal.wait_for(b"needs your password or code")
        terminal.answer(b"Password:", WORD)
        terminal.wait_for(b"connected to sandbox again")
        go(pat)
        assert terminal.status() == 6
    assert (sandbox.log.read_text().count("Failed "), accepted(sandbox)) == (0, 2)


def test_a_wrong_password_gets_a_word_before_the_next_one(sshrun: Sshrun, sandbox: Sandbox, tmp_path: Path) -> None:
    write_spec(tmp_path, "true")
    with LoginTerminal(tmp_path, *sshrun.options, "train", "my_model") as terminal:
        terminal.answer(PROMPT, "wrong")
        terminal.wait_for(b"Permission denied, please try again.")
        terminal.wait_until(lambda: not terminal.echoes, "the second question")
        terminal.type(WORD.encode() + b"\n")
        assert terminal.status() == 0
    with LoginTerminal(tmp_path, *sshrun.options, "train", "my_model") as terminal:
        for _ in range(3):
            terminal.answer(PROMPT, "wrong")
        assert terminal.status() == 255
        assert b"Permission denied (publickey,password)." in terminal.shown, "the reason is the last line"


def test_an_expired_password_is_called_one(
    sshrun: Sshrun, sandbox: Sandbox, pat: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    askpass(tmp_path, monkeypatch, WORD)
    pat.expire_password()
    try:
        finished = Daemon(sshrun, "--", "true").wait()
    finally:
        pat.set_password(WORD)
    assert finished.status == 255
    assert "password on the host has expired" in finished.stderr and "ForceCommand" not in finished.stderr
    assert "ssh -t" in finished.stderr
