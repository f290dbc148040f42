"""What is heard while ssh logs in, and why it cannot: words of a proxy, the silence of an agent, reasons of ssh."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sshrun.connection.login import Login
from sshrun.connection.master import Connection
from sshrun.connection.target import Target
from sshrun.origin import Origin, Sourced
from sshrun.sandbox import Sandbox
from support.installed import Sshrun
from support.login_terminal import LoginTerminal

ADDRESS = "https://login.example.org/?code=ABCD"


def go_through(sandbox: Sandbox, folder: Path, script: str, *, more: str = "") -> Path:
    """From now on the way to the sandbox leads through a program; `$connect` in it is how it goes on."""
    proxy = folder / "proxy"
    connect = f"exec 3<>/dev/tcp/127.0.0.1/{sandbox.port}; cat <&3 & exec cat >&3"
    proxy.write_text(f"#!/bin/bash\n{script.replace('$connect', connect)}\n")
    proxy.chmod(0o755)
    sandbox.config.write_text(sandbox.config.read_text() + f"    ProxyCommand {proxy} %h %p\n{more}")
    return proxy


@contextmanager
def silent_agent(path: Path) -> Iterator[Path]:
    """Takes connections, and never answers."""
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen(8)
        yield path


WAITS = f"echo 'To log in, open {ADDRESS}' >&2; until [ -e opened ]; do sleep 0.05; done; $connect"


def test_an_address_that_a_proxy_prints_is_shown_while_it_waits(
    sshrun: Sshrun, sandbox: Sandbox, tmp_path: Path
) -> None:
    go_through(sandbox, tmp_path, WAITS)
    running = sshrun.start("-q", "--", "echo", "done")
    running.wait_until(lambda run: f"open {ADDRESS}\n" in run.stderr)
    assert running.process.poll() is None
    (tmp_path / "opened").touch()
    finished = running.wait()
    assert (finished.status, finished.stdout) == (0, b"done\n")
    assert finished.stderr.count(ADDRESS) == 1


def test_it_is_shown_on_a_terminal_and_a_question_without_an_end_too(
    sshrun: Sshrun, sandbox: Sandbox, tmp_path: Path
) -> None:
    go_through(sandbox, tmp_path, f"echo {ADDRESS} >&2; printf 'code: ' >&2; read -r code </dev/tty; $connect")
    with LoginTerminal(tmp_path, *sshrun.options, "--", "echo", "done") as terminal:
        terminal.wait_for(ADDRESS.encode())
        terminal.wait_for(b"code:")
        terminal.type(b"1234\n")
        assert terminal.status() == 0
        assert b"done" in terminal.shown


def test_it_is_an_event_for_programs(sshrun: Sshrun, sandbox: Sandbox, tmp_path: Path) -> None:
    (tmp_path / "opened").touch()
    go_through(sandbox, tmp_path, WAITS)
    finished = sshrun("--json", "--", "true")
    assert finished.status == 0
    events = [json.loads(line) for line in finished.stdout.splitlines()]
    notices = [event for event in events if (event["event"], event.get("kind")) == ("notice", "login")]
    assert [event["text"] for event in notices] == [f"To log in, open {ADDRESS}"]


@pytest.mark.long
def test_a_wait_for_a_person_is_longer_than_that_for_a_host(sshrun: Sshrun, sandbox: Sandbox, tmp_path: Path) -> None:
    go_through(sandbox, tmp_path, WAITS)
    running = sshrun.start("--", "true")
    running.wait_until(lambda run: ADDRESS in run.stderr)
    time.sleep(45)
    assert running.process.poll() is None
    (tmp_path / "opened").touch()
    assert running.wait().status == 0


@pytest.mark.parametrize(
    ("proxy", "seconds"),
    [
        ("", "30"),
        ("    ProxyCommand true\n", "600"),
        ("    ProxyJump other\n", "600"),
        ("    ProxyCommand none\n", "30"),
    ],
    ids=["direct", "command", "jump", "none"],
)
def test_how_long_an_answer_may_take(sandbox: Sandbox, proxy: str, seconds: str) -> None:
    assert limit(sandbox, "sandbox", proxy) == seconds
    assert limit(sandbox, "other", "") == "30", "a bastion is reached directly"
    assert limit(sandbox, "sandbox", proxy + "    ConnectTimeout 7\n") == "7", "the person's own wins"


def limit(sandbox: Sandbox, name: str, more: str) -> str:
    config = sandbox.directory / "config"
    config.write_text(sandbox.config.read_text() + more)
    connection = Connection(Login(Target(name), config_path=Sourced(str(config), Origin("option"))))
    try:
        return connection.effective()["connecttimeout"][0]
    finally:
        connection.close()


def test_the_reason_of_a_proxy_is_ours(sshrun: Sshrun, sandbox: Sandbox, tmp_path: Path) -> None:
    go_through(sandbox, tmp_path, "echo x >>tries; echo 'token expired: run cloudflared login' >&2; exit 3")
    finished = sshrun("--", "true")
    assert finished.status == 255
    (line,) = finished.stderr.splitlines()
    assert "sandbox: token expired: run cloudflared login" in line
    assert (tmp_path / "tries").read_text() == "x\n", "it is not tried again to learn the reason"


def test_the_shell_of_a_proxy_is_the_persons(
    sshrun: Sshrun, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shell = tmp_path / "my shell"
    shell.write_text('#!/bin/sh\necho "$0 $SHELL $1 ${SSHRUN_PROXY_LOG-gone}" >shell\nexec /bin/sh "$@"\n')
    shell.chmod(0o755)
    monkeypatch.setenv("SHELL", str(shell))
    go_through(sandbox, tmp_path, "$connect")
    assert sshrun("--", "true").status == 0
    assert (tmp_path / "shell").read_text() == f"{shell} {shell} -c gone\n"


def test_an_agent_that_hangs_is_named(
    sshrun: Sshrun, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox.config.write_text(sandbox.config.read_text().replace("IdentityAgent none", ""))
    with silent_agent(sandbox.directory / "agent") as agent:
        monkeypatch.setenv("SSH_AUTH_SOCK", str(agent))
        running = sshrun.start("--", "true")
        running.wait_until(lambda run: f"waiting for the ssh agent at {agent}" in run.stderr)
    assert running.wait().status == 0, "ssh goes on without it once it is gone"


def test_a_slow_proxy_is_no_agent_that_hangs(
    sshrun: Sshrun, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox.config.write_text(sandbox.config.read_text().replace("IdentityAgent none", ""))
    agent = sandbox.directory / "agent"
    go_through(sandbox, tmp_path, "sleep 3; $connect")

    def answer() -> None:
        connection, _ = listening.accept()
        with connection:
            connection.recv(64)
            connection.sendall(b"\0\0\0\5\x0c\0\0\0\0")

    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(agent))
        listening.listen(8)
        monkeypatch.setenv("SSH_AUTH_SOCK", str(agent))
        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        running = sshrun.start("--", "true")
        thread.join(20)
        assert not thread.is_alive(), "it was asked"
    finished = running.wait()
    assert finished.status == 0 and "agent" not in finished.stderr


@pytest.mark.parametrize("where", ["known_hosts", "RevokedHostKeys"])
def test_a_revoked_host_key_is_called_so(sshrun: Sshrun, sandbox: Sandbox, where: str) -> None:
    key = (sandbox.directory / "host_key.pub").read_text()
    if where == "known_hosts":
        known = sandbox.directory / "known_hosts"
        known.write_text(f"@revoked * {key}{known.read_text()}")
    else:
        (sandbox.directory / "revoked").write_text(key)
        sandbox.config.write_text(sandbox.config.read_text() + f"    RevokedHostKeys {sandbox.directory}/revoked\n")
    finished = sshrun("--", "true")
    assert finished.status == 255
    (line,) = finished.stderr.splitlines()
    assert "its host key is revoked" in line and "not known" not in line
