"""`-i F` logs in with F wherever the server accepts F, whatever the agent and the config hold besides."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.desk import Desk, Entry

JOES = [Entry("near", "joe", "gold")]


class Agent:
    """A real ssh-agent(1)."""

    def __init__(self, socket: Path) -> None:
        self.socket = socket
        self._process = subprocess.Popen(["ssh-agent", "-D", "-a", socket], stdout=subprocess.PIPE)
        assert self._process.stdout is not None
        self._process.stdout.readline()  # what it says once it listens

    def add(self, key: Path) -> None:
        ask = {"SSH_ASKPASS": str(key.with_name("askpass")), "SSH_ASKPASS_REQUIRE": "force"}
        environment = {**os.environ, **ask, "SSH_AUTH_SOCK": str(self.socket)}
        subprocess.run(["ssh-add", "-q", key], check=True, env=environment)

    def end(self) -> None:
        self._process.terminate()
        self._process.communicate()


@pytest.fixture
def agent(desk: Desk, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Agent]:
    """What SSH_AUTH_SOCK names; it holds silver and copper, both of which open every account."""
    agent = Agent(tmp_path_factory.mktemp("agent") / "socket")
    monkeypatch.setenv("SSH_AUTH_SOCK", str(agent.socket))
    agent.add(desk.world.keys["silver"])
    agent.add(desk.world.keys["copper"])
    yield agent
    agent.end()


@pytest.fixture
def locked(desk: Desk, tmp_path: Path) -> Path:
    """A copy of gold with a passphrase, and beside it a program that knows it."""
    key = tmp_path / "locked"
    key.write_bytes(desk.world.keys["gold"].read_bytes())
    key.chmod(0o600)
    subprocess.run(["ssh-keygen", "-q", "-p", "-N", "secret", "-f", key], check=True, stdout=subprocess.DEVNULL)
    askpass = tmp_path / "askpass"
    askpass.write_text("#!/bin/sh\necho secret\n")
    askpass.chmod(0o755)
    return key


def lay(desk: Desk, *lines: str) -> None:
    joe = desk.words["joe"]
    block = ["Host alias", "HostName 127.0.0.1", f"Port {desk.world.near.port}", f"User {joe}", *lines]
    desk.ssh_config("\n  ".join(block).format(**desk.words) + "\n")
    desk.user_file()


def test_the_key_of_the_option_beats_what_the_agent_holds(desk: Desk, agent: Agent) -> None:
    lay(desk)
    desk("-h", "alias", "-i", desk.words["gold"], "--", "true")
    assert desk.world.entries() == JOES


@pytest.mark.parametrize(
    "lines",
    [
        ["IdentityFile {silver}"],
        ["IdentityFile {silver}", "IdentitiesOnly yes"],
        ["IdentityAgent SSH_AUTH_SOCK"],
        ["IdentityAgent $SSH_AUTH_SOCK", "IdentityFile {copper}"],
        ["PreferredAuthentications gssapi-with-mic,hostbased,publickey"],
    ],
)
def test_it_beats_what_the_config_names_too(desk: Desk, agent: Agent, lines: list[str]) -> None:
    lay(desk, *lines)
    desk("-h", "alias", "-i", desk.words["gold"], "--", "true")
    assert desk.world.entries() == JOES


def test_a_connection_that_the_user_has_open_with_another_key_is_not_used(desk: Desk, tmp_path: Path) -> None:
    lay(desk, f"ControlPath {tmp_path}/master", "IdentityFile {silver}")
    ssh = ["ssh", "-F", str(desk.home / "ssh_config")]
    subprocess.run([*ssh, "-fNM", "alias"], check=True)
    try:
        desk("-h", "alias", "-i", desk.words["gold"], "--", "true")
        assert desk.world.entries() == [Entry("near", "joe", "silver"), *JOES]
    finally:
        subprocess.run([*ssh, "-O", "exit", "alias"], check=True, stderr=subprocess.DEVNULL)


def test_the_key_file_of_the_connection_beats_the_agent_as_well(desk: Desk, agent: Agent) -> None:
    desk.log_in_as("joe", "gold")
    desk("--", "true")
    assert desk.world.entries() == JOES


def test_a_locked_key_is_used_through_the_agent_that_holds_it(desk: Desk, agent: Agent, locked: Path) -> None:
    agent.add(locked)
    lay(desk)
    desk("-h", "alias", "-i", locked, "--", "true")
    assert desk.world.entries() == JOES


def test_a_locked_key_that_the_agent_would_offer_too_late_is_not_used_through_it(
    desk: Desk, agent: Agent, locked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent.add(locked)
    monkeypatch.setenv("SSH_ASKPASS", str(tmp_path / "askpass"))
    monkeypatch.setenv("SSH_ASKPASS_REQUIRE", "force")
    # The agent holds silver as well, before it, and what the config names stays in the running.
    (tmp_path / "silver-of-alias").write_bytes(desk.world.keys["silver"].read_bytes())
    (tmp_path / "silver-of-alias").chmod(0o600)
    lay(desk, f"IdentityFile {tmp_path}/silver-of-%n")
    desk("-h", "alias", "-i", locked, "--", "true")
    assert desk.world.entries() == JOES


def test_the_agent_may_be_another_than_that_of_the_environment(
    desk: Desk, agent: Agent, locked: Path, tmp_path: Path
) -> None:
    other = Agent(tmp_path / "other")
    try:
        other.add(locked)
        lay(desk, f"IdentityAgent {tmp_path}/other")
        desk("-h", "alias", "-i", locked, "--", "true")
        assert desk.world.entries() == JOES
    finally:
        other.end()


def test_the_public_half_is_enough_where_the_agent_holds_the_key(desk: Desk, agent: Agent, tmp_path: Path) -> None:
    agent.add(desk.world.keys["gold"])
    (tmp_path / "half.pub").write_bytes(desk.world.keys["gold"].with_suffix(".pub").read_bytes())
    lay(desk)
    desk("-h", "alias", "-i", tmp_path / "half", "--", "true")
    assert desk.world.entries() == JOES


def certificate(desk: Desk, key: str, folder: Path) -> Path:
    """A certificate of one of the keys, for joe."""
    public = folder / f"{key}.pub"
    public.write_bytes(desk.world.keys[key].with_suffix(".pub").read_bytes())
    sign = ["ssh-keygen", "-q", "-s", desk.world.authority, "-I", "x", "-n", desk.words["joe"], public]
    subprocess.run(sign, check=True)
    return folder / f"{key}-cert.pub"


def test_a_certificate_of_another_key_in_the_config_does_not_come_first(desk: Desk, tmp_path: Path) -> None:
    lay(desk, "IdentityFile {silver}", f"CertificateFile {certificate(desk, 'silver', tmp_path)}")
    desk("-h", "alias", "-i", desk.words["gold"], "--", "true")
    assert desk.world.entries() == JOES
    assert "ED25519-CERT" not in desk.world.near.news()
    desk("-h", "alias", "--", "true")
    assert "ED25519-CERT" in desk.world.near.news()


def test_a_certificate_of_the_key_itself_is_used(desk: Desk, tmp_path: Path) -> None:
    certificates = [f"CertificateFile {certificate(desk, key, tmp_path)}" for key in ("silver", "gold")]
    lay(desk, "IdentityFile {silver}", *certificates)
    desk("-h", "alias", "-i", desk.words["gold"], "--", "true")
    assert desk.world.entries() == JOES
    assert "ED25519-CERT" in desk.world.near.news()
