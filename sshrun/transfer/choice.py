"""Which engine takes which files: rsync the large ones where both sides have it, tar all others, scp where it must."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sshrun.errors import TransferFailed
from sshrun.session.session import Session
from sshrun.transfer import rsync
from sshrun.transfer.engine import Engine, SessionRefused, SharedConnection
from sshrun.transfer.items import Item
from sshrun.transfer.rsync import Rsync
from sshrun.transfer.scp import Scp
from sshrun.transfer.tar import Tar

# From this size on a delta or a resumed transfer is worth what a second session and rsync's dialogue cost.
LARGE = 1 << 20


def choose(capabilities: Mapping[str, str], override: str | None = None) -> str:
    """ "rsync", "tar" or "scp", by the capabilities "tools" and "rsync" of the host and what this machine has.

    Raises TransferFailed where the override cannot be used.
    """
    host = capabilities.get("name", "the host")
    possible = []
    if override in (None, "rsync") and rsync.version(capabilities.get("rsync", "")) >= rsync.OLDEST:
        if rsync.local_version() >= rsync.OLDEST:
            possible.append("rsync")
        elif override:
            raise TransferFailed(
                "transfer: rsync, but this machine has no rsync, or one older than 3.0", "install rsync"
            )
    if has_tar(capabilities):
        possible.append("tar")
    possible.append("scp")
    if override is None:
        return possible[0]
    if override not in possible:
        raise TransferFailed(
            f"transfer: {override}, but {host} has no {override} that can be used", "leave it to sshrun"
        )
    return override


def has_tar(capabilities: Mapping[str, str]) -> bool:
    return {"tar", "xargs"}.issubset(capabilities.get("tools", "").split())


class Engines:
    """The engines for one transfer, and which files go by which."""

    def __init__(
        self,
        session: Session,
        connection: SharedConnection,
        capabilities: Mapping[str, str],
        override: str | None,
        *,
        compress: bool,
    ) -> None:
        self._session = session
        self._connection = connection
        self._capabilities = capabilities
        self._override = override
        self._compress = compress
        self._tar = Tar(session, compress=compress) if has_tar(capabilities) else None
        self._main: Engine | None = None
        self._used: dict[str, None] = {}

    @property
    def used(self) -> str:
        return " and ".join(self._used)

    def split(self, items: Sequence[Item]) -> list[tuple[Engine, list[Item]]]:
        small: list[Item] = list(items)
        large: list[Item] = []
        if self._override or self._tar is None:
            small, large = large, small
        elif self._main is not self._tar:
            small = [item for item in items if item.size < LARGE or item.is_directory]
            large = [item for item in items if item.size >= LARGE and not item.is_directory]
        parts: list[tuple[Engine, list[Item]]] = []
        if small and self._tar is not None:
            parts.append((self._tar, small))
        if large:
            self._main = self._main or self._choose()
            parts.append((self._main, large))
        self._used.update((way.name, None) for way, _ in parts)
        return parts

    def _choose(self) -> Engine:
        name = choose(self._capabilities, self._override)
        if name == "rsync":
            return Rsync(self._session, self._connection, rsync.local_version(), compress=self._compress)
        if name == "tar":
            return Tar(self._session, compress=self._compress)
        return Scp(self._session, self._connection)

    def instead(self, refused: SessionRefused) -> Engine:
        """What needs no second session; from now on for all files."""
        if self._tar is None:
            raise TransferFailed(refused.message, refused.hint) from refused
        self._main = self._tar
        self._used = {self._tar.name: None}
        return self._tar
