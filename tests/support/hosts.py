"""Hosts with a character: what a test sees of one, whether it is a container of docker/ or the loopback sandbox."""

from __future__ import annotations

import shlex
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path

from pytest_docker.plugin import Services

from support.relay import Relay


def engine_answers() -> bool:
    """Whether a docker engine is there, and the client for it."""
    try:
        return subprocess.run(["docker", "info"], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


@dataclass(frozen=True)
class Kind:
    """A row of the table: the service of compose.yaml, its account, and where its port is published."""

    name: str
    service: str
    user: str = "joe"
    port: int = 22
    through: str = ""  # the bastion; its port is the one that is published


SANDBOX = "sandbox"
KINDS = {
    kind.name: kind
    for kind in (
        Kind("full", "full"),
        Kind("minimal", "minimal"),
        Kind("hardened", "hardened"),
        Kind("noisy-bash", "noisy"),
        Kind("noisy-fish", "noisy", user="fay"),
        Kind("noisy-tcsh", "noisy", user="tess"),
        Kind("dropbear", "dropbear"),
        Kind("logind", "logind"),
        Kind("inner", "inner", port=2222, through="bastion"),
    )
}


@dataclass(frozen=True)
class SshHost:
    """One host as a test sees it: `name` is its alias in the ssh config `config`, which leads through `relay`."""

    name: str
    config: Path
    relay: Relay

    def ssh(self, command: str, *options: str, seconds: float = 30) -> subprocess.CompletedProcess[bytes]:
        """Plain ssh, as typed by hand."""
        words = ["ssh", "-F", str(self.config), *options, self.name, command]
        return subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, timeout=seconds, check=False)

    def sh(self, script: str) -> str:
        """What a POSIX shell there prints, whatever the login shell is and says."""
        # A connection of its own that stays open, since a test asks more than once; the config does not name it.
        own = (f"-oControlPath={self.config}.master", "-oControlMaster=auto", "-oControlPersist=60", "-oLogLevel=ERROR")
        marked = self.ssh(f"exec /bin/sh -c {shlex.quote(f'echo ==HERE==; {script}')}", *own).stdout
        return marked.partition(b"==HERE==\n")[2].decode(errors="replace").strip()


class Compose:
    """The containers."""

    def __init__(self, services: Services, keys: Path) -> None:
        self.keys = keys
        self._services = services

    def port(self, kind: Kind) -> int:
        return self._services.port_for(kind.through or kind.service, kind.port)

    def run(self, service: str, *command: str) -> str:
        """Runs a command in a container, as root and without ssh."""
        output: bytes = self._services._docker_compose.execute(f"exec -T {service} {shlex.join(command)}")
        return output.decode(errors="replace")


def ssh_config(kind: Kind, port: int, keys: Path) -> str:
    known_hosts = keys / "known_hosts"
    known_hosts.write_text("* " + (keys / "host_key.pub").read_text())
    published = f"HostName 127.0.0.1\n  Port {port}\n  HostKeyAlias published\n"
    if kind.through:
        own = f"Host {kind.name}\n  User {kind.user}\n  ProxyJump {kind.through}\n"
        own += f"Host {kind.through}\n  User guard\n  {published}"
    else:
        own = f"Host {kind.name}\n  User {kind.user}\n  {published}"
    return f"""\
{own}Host *
  IdentityFile "{keys}/user_key"
  IdentitiesOnly yes
  IdentityAgent none
  UserKnownHostsFile "{known_hosts}"
  GlobalKnownHostsFile none
  StrictHostKeyChecking yes
  UpdateHostKeys no
"""


def answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as connection:
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False
