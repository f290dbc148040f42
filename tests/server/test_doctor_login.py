"""`sshrun doctor` logs in the way a run does: whatever lets a run in is no failure, and what it says to type works."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sshrun.sandbox import Sandbox
from support.accounts import Account, Accounts
from support.examination import Examination, examine
from support.installed import Sshrun

Look = Callable[..., Examination]

PASSWORD = "open sesame"


@pytest.fixture
def look(plain_sshrun: Sshrun, home: Path) -> Look:
    """`sshrun doctor` with an ssh config, and that a run is let in by the same."""

    def look(config: Path, *words: str) -> Examination:
        file = home / ".sshrun" / "user_settings.yaml"
        file.parent.mkdir(mode=0o700, exist_ok=True)
        file.write_text(json.dumps({"ssh": {"config_path": str(config)}}))
        ran = plain_sshrun("-h", *words, "--", "true")
        assert ran.status == 0, ran.stderr
        return examine(plain_sshrun, "-h", *words)

    return look


def make_key(path: Path, passphrase: str = "") -> Path:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-f", path], check=True)
    return path


def accept(sandbox: Sandbox, key: Path) -> None:
    with (sandbox.directory / "authorized_keys").open("a") as accepted:
        accepted.write(key.with_name(f"{key.name}.pub").read_text())


def name_key(sandbox: Sandbox, *keys: Path) -> None:
    """Makes these the keys of the config, in the place of the sandbox's own."""
    own = f'    IdentityFile "{sandbox.directory}/user_key"\n'
    text = sandbox.config.read_text()
    assert own in text
    sandbox.config.write_text(text.replace(own, "".join(f'    IdentityFile "{key}"\n' for key in keys)))


def use_agent(sandbox: Sandbox, path: Path) -> None:
    sandbox.config.write_text(sandbox.config.read_text().replace("IdentityAgent none", f"IdentityAgent {path}"))


@pytest.fixture
def askpass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program that answers whatever ssh asks with the password."""
    program = tmp_path / "askpass"
    program.write_text(f"#!/bin/sh\necho {PASSWORD}\n")
    program.chmod(0o755)
    monkeypatch.setenv("SSH_ASKPASS", str(program))
    monkeypatch.setenv("SSH_ASKPASS_REQUIRE", "force")
    return program


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Path]:
    """The socket of an agent that holds nothing."""
    path = tmp_path / "agent"
    with subprocess.Popen(["ssh-agent", "-D", "-a", path], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()  # what it says once it listens
        yield path
        process.terminate()


def hold(agent: Path, key: Path) -> None:
    subprocess.run(["ssh-add", "-q", key], check=True, env={**os.environ, "SSH_AUTH_SOCK": str(agent)})


# Keys


@pytest.mark.parametrize("named", ["key.pub", "key"])
def test_a_public_half_whose_key_is_in_the_agent_is_well(
    look: Look, sandbox: Sandbox, agent: Path, tmp_path: Path, named: str
) -> None:
    """As 1Password and its kin have it: the private half is in no file."""
    key = make_key(tmp_path / "key")
    accept(sandbox, key)
    hold(agent, key)
    key.unlink()
    name_key(sandbox, tmp_path / named)
    use_agent(sandbox, agent)
    found = look(sandbox.config, sandbox.host)
    assert (found.status, found.failures()) == (0, set())
    assert (found["keys"].verdict, found["login"].verdict) == ("ok", "ok")
    assert "in the agent" in found["keys"].text
    assert "without a question" in found["login"].text


def test_a_public_half_whose_key_is_nowhere_is_a_warning_where_another_key_logs_in(
    look: Look, sandbox: Sandbox, tmp_path: Path
) -> None:
    key = make_key(tmp_path / "key")
    key.unlink()
    name_key(sandbox, tmp_path / "key.pub", sandbox.directory / "user_key")
    found = look(sandbox.config, sandbox.host)
    assert (found.status, found["keys"].verdict) == (0, "warning")
    assert "private half" in found["keys"].text
    assert "chmod" not in found["keys"].fix


def test_a_key_that_others_can_read_is_a_warning_where_another_key_logs_in(
    look: Look, sandbox: Sandbox, tmp_path: Path
) -> None:
    key = make_key(tmp_path / "key")
    key.chmod(0o644)
    name_key(sandbox, key, sandbox.directory / "user_key")
    found = look(sandbox.config, sandbox.host)
    assert (found.status, found["keys"].verdict) == (0, "warning")
    assert found["keys"].fix == f"chmod 600 {key}"


def test_a_key_whose_name_holds_tokens_is_not_missing(look: Look, sandbox: Sandbox, tmp_path: Path) -> None:
    shutil.copy(sandbox.directory / "user_key", tmp_path / f"key-{sandbox.host}-127.0.0.1-{sandbox.port}")
    name_key(sandbox, tmp_path / "key-%n-%h-%p", tmp_path / "another-%C-%k")
    found = look(sandbox.config, sandbox.host)
    assert (found.status, found["keys"].verdict) == (0, "ok")


def test_a_passphrase_that_was_asked_for_is_a_warning(
    look: Look, sandbox: Sandbox, askpass: Path, tmp_path: Path
) -> None:
    key = make_key(tmp_path / "key", PASSWORD)
    accept(sandbox, key)
    name_key(sandbox, key)
    found = look(sandbox.config, sandbox.host)
    assert (found.status, found["login"].verdict) == (0, "warning")
    assert "with an answer of yours: a lost connection waits for you" in found["login"].text
    assert found["login"].fix == f"ssh-add {key}"
    assert (found["detaching"].verdict, found["detaching"].text[:9]) == ("warning", "not known")


def test_a_home_that_ssh_does_not_go_by_is_told(look: Look, sandbox: Sandbox, home: Path) -> None:
    (home / ".ssh").mkdir()
    found = look(sandbox.config, sandbox.host)
    assert (found.status, found["config"].verdict) == (0, "warning")
    assert f"whatever $HOME is; from {home}/.ssh it takes" in found["config"].text


# Passwords


@pytest.fixture(scope="module")
def joe() -> Iterator[Account]:
    if os.getuid() != 0:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("only root can make an account with a password")
    with Accounts("joe") as accounts:
        (account,) = accounts.all
        account.set_password(PASSWORD)
        yield account


# The server's two ways to ask for it.
ASKS = {
    "password": ["PasswordAuthentication yes"],
    "keyboard-interactive": ["KbdInteractiveAuthentication yes", "UsePAM yes"],
}


@pytest.mark.parametrize("method", ASKS)
def test_a_password_is_asked_for_as_in_a_run_and_the_fix_makes_it_needless(
    look: Look,
    start_sandbox: Callable[..., Sandbox],
    joe: Account,
    home: Path,
    askpass: Path,
    tmp_path: Path,
    method: str,
) -> None:
    joe.clear()
    # As an account meets it: its own home, its own environment.
    own = ("ForceCommand none", "SetEnv MACHINE=near")
    server = start_sandbox(*own, "AuthorizedKeysFile .ssh/authorized_keys", *ASKS[method])
    key = make_key(tmp_path / "key")
    config = home / "config"
    # The port and the account are those of the command line: the fix must carry them.
    config.write_text(
        f"Host near\n  HostName 127.0.0.1\n  IdentityFile {key}\n  IdentitiesOnly yes\n  IdentityAgent none\n"
        f"  UserKnownHostsFile {server.directory}/known_hosts\n  HostKeyAlias [127.0.0.1]:{server.port}\n"
    )
    address = f"{joe.name}@near:{server.port}"
    found = look(config, address)
    assert (found.status, found.failures()) == (0, set())
    assert found["login"].verdict == "warning"
    assert f"by {method}, with an answer of yours: a lost connection waits for you" in found["login"].text
    assert found["login"].fix == f"ssh-copy-id -i {key}.pub -F {config} -p {server.port} {joe.name}@near"
    (home / ".ssh").mkdir()  # ssh-copy-id wants one, and puts nothing there
    copied = subprocess.run(shlex.split(found["login"].fix), capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert copied.returncode == 0, copied.stdout + copied.stderr
    assert "without a question" in look(config, address)["login"].text


# Servers with one session, and slow ways


def test_a_server_that_ends_the_connection_with_its_first_session(
    look: Look, start_sandbox: Callable[..., Sandbox], tmp_path: Path
) -> None:
    shell = tmp_path / "shell"
    shell.write_text('#!/bin/sh\n/bin/sh "$@"\nstatus=$?\nkill $PPID\nexit $status\n')
    shell.chmod(0o755)
    sandbox = start_sandbox("MaxSessions 1", shell=shell)
    found = look(sandbox.config, sandbox.host)
    assert (found.status, found.failures()) == (0, set())
    assert (found["sessions"].verdict, found["sftp"].verdict, found["detaching"].verdict) == ("warning", "ok", "ok")


class Tinysshd:
    """One for each connection, as inetd would start it."""

    def __init__(self, keys: Path) -> None:
        self._keys = keys
        self._server = socket.create_server(("127.0.0.1", 0))
        self._started: list[subprocess.Popen[bytes]] = []
        self.port = self._server.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            with connection:
                words = ["/usr/sbin/tinysshd", self._keys]
                self._started.append(subprocess.Popen(words, stdin=connection, stdout=connection))

    def end(self) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._server.close()
        for process in self._started:
            process.terminate()
            process.wait()


@pytest.fixture
def tiny() -> Iterator[Account]:
    """An account whose home is where tinysshd lets it be: beneath no directory that others may write to, as /tmp is."""
    if os.getuid() != 0 or not os.path.exists("/usr/sbin/tinysshd"):
        pytest.skip("this needs to be root, and tinysshd")
    with Accounts("tiny", beneath="/srv") as accounts:
        yield accounts.all[0]


@pytest.mark.long
def test_tinysshd(look: Look, tiny: Account, home: Path, tmp_path: Path) -> None:
    key = make_key(tmp_path / "key")
    (tiny.home / ".ssh").mkdir(mode=0o700)
    (tiny.home / ".ssh" / "authorized_keys").write_text((tmp_path / "key.pub").read_text())
    tiny.own(tiny.home)
    subprocess.run(["tinysshd-makekey", "-q", tmp_path / "keys"], check=True)
    server = Tinysshd(tmp_path / "keys")
    try:
        config = home / "config"
        config.write_text(
            f"Host tiny\n  HostName 127.0.0.1\n  Port {server.port}\n  User {tiny.name}\n  IdentityFile {key}\n"
            f"  IdentitiesOnly yes\n  IdentityAgent none\n  UserKnownHostsFile {home}/known_hosts\n"
            "  StrictHostKeyChecking accept-new\n"
        )
        found = look(config, "tiny")
        assert (found.status, found.failures()) == (0, set())
        assert (found["sessions"].verdict, found["detaching"].verdict) == ("warning", "ok")
    finally:
        server.end()


@pytest.mark.long
def test_a_way_that_needs_twelve_seconds(look: Look, sandbox: Sandbox, tmp_path: Path) -> None:
    way = tmp_path / "way"
    way.write_text('#!/bin/bash\nsleep 12\nexec 3<>"/dev/tcp/$1/$2"\ncat <&3 &\ncat >&3\nkill $!\n')
    way.chmod(0o755)
    sandbox.config.write_text(f"{sandbox.config.read_text()}    ProxyCommand {way} %h %p\n")
    found = look(sandbox.config, sandbox.host)
    assert (found.status, found.failures()) == (0, set())
    assert (found["login"].verdict, found["detaching"].verdict) == ("ok", "ok")
