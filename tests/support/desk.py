"""Two servers, three accounts on each, three keys that open them all; and a desk with the files that name them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, NamedTuple

from sshrun.sandbox import Sandbox
from support.accounts import Account
from support.installed import Finished, Sshrun

ACCEPTED = re.compile(r"Accepted publickey for (\S+) from \S+ port \d+ ssh2: \S+ (SHA256:\S+)")


class Entry(NamedTuple):
    """A login as the server's own log tells it."""

    server: str
    account: str
    key: str


class Server:
    """A real sshd that lets every account in with every key."""

    def __init__(self, name: str, sandbox: Sandbox, authorized: Path, fingerprints: dict[str, str]) -> None:
        self.name = name
        self.port = sandbox.port
        self.folder = sandbox.directory
        self.host_key = (sandbox.directory / "host_key.pub").read_text().strip()
        self.log = sandbox.log
        self.authorized = authorized
        self._fingerprints = fingerprints
        self._read = 0

    def forget(self) -> None:
        self._read = self.log.stat().st_size

    def news(self) -> str:
        """What it has logged since `forget`."""
        return self.log.read_bytes()[self._read :].decode()

    def met_nobody(self) -> bool:
        """Since `forget`. Not that nothing was logged: whoever was there before may only then have left."""
        return "Connection from" not in self.news()

    def entries(self) -> list[Entry]:
        """Who has come since `forget`."""
        found = ACCEPTED.findall(self.news())
        return [Entry(self.name, account, self._fingerprints[fingerprint]) for account, fingerprint in found]


class World(NamedTuple):
    """`near` and `far` are servers; the keys are files, by name. What `authority` signs is accepted as well."""

    near: Server
    far: Server
    accounts: dict[str, Account]
    keys: dict[str, Path]
    authority: Path

    def entries(self) -> list[Entry]:
        """Who has come since the test began, to which server."""
        names = {account.name: name for name, account in self.accounts.items()}
        found = [*self.near.entries(), *self.far.entries()]
        return [entry._replace(account=names.get(entry.account, entry.account)) for entry in found]


class Desk:
    """A folder here, the files with settings, and sshrun."""

    def __init__(self, folder: Path, home: Path, world: World, sshrun: Sshrun) -> None:
        self.folder = folder
        self.home = home
        self.world = world
        self.sshrun = sshrun
        self._ssh_config = home / "ssh_config"
        self.ssh_config("")
        known_hosts = [f"[127.0.0.1]:{server.port} {server.host_key}\n" for server in (world.near, world.far)]
        (home / "known_hosts").write_text("".join(known_hosts))

    @property
    def words(self) -> dict[str, str]:
        """The names of all that is there, and of an address where nobody listens, to be put into texts."""
        world = self.world
        return {
            "host": "127.0.0.1",
            "nowhere": "127.0.0.9",
            "near": str(world.near.port),
            "far": str(world.far.port),
            **{name: account.name for name, account in world.accounts.items()},
            **{name: str(path) for name, path in world.keys.items()},
        }

    def ssh_config(self, text: str) -> None:
        """Writes the ssh config that `user_file` names. `Host *` in it is about the servers' own keys."""
        self._ssh_config.write_text(
            f"{text}\nHost *\n  UserKnownHostsFile {self.home}/known_hosts\n  GlobalKnownHostsFile none\n"
            "  StrictHostKeyChecking yes\n  UpdateHostKeys no\n"
        )

    def user_file(self, **settings: Any) -> None:
        """Writes the user file: JSON is YAML, as long as each character beyond ASCII is escaped by itself."""
        path = self.home / ".sshrun/user_settings.yaml"
        path.parent.mkdir(exist_ok=True)
        text = json.dumps({"ssh": {"config_path": str(self._ssh_config), **settings}}, indent=1, ensure_ascii=False)
        path.write_text("".join(sign if sign < "\x7f" else f"\\U{ord(sign):08X}" for sign in text))

    def write(self, name: str, text: str | bytes = "") -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    def log_in_as(self, account: str = "joe", key: str = "gold", **settings: Any) -> None:
        """The short way to a user file where it does not matter who logs in where."""
        connection = {
            "hostname": "127.0.0.1",
            "port": self.world.near.port,
            "username": self.world.accounts[account].name,
            "key_filename": str(self.world.keys[key]),
        }
        self.user_file(connection=connection, **settings)

    def __call__(self, *arguments: str | Path, status: int = 0) -> Finished:
        """Runs sshrun to its end, which must be `status`."""
        finished = self.sshrun(*arguments)
        assert finished.status == status, (finished.stderr, self.world.near.news(), self.world.far.news())
        return finished
