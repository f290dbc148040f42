"""The remote files that patterns of a download select."""

from __future__ import annotations

import os
import stat

from sshrun.errors import TransferFailed
from sshrun.session.protocol import decode
from sshrun.session.session import Session
from sshrun.terminal import visible
from sshrun.transfer.before import Before
from sshrun.transfer.entries import ALL_THE_WAY, RECORD_LIMIT, Reach, reach, records
from sshrun.transfer.items import PARTIAL_PREFIX, Entry
from sshrun.transfer.patterns import Pattern

DEPTH_LIMIT = 300

_ENVIRONMENT = "/pyvenv.cfg"
_NAMELESS = frozenset(("", ".", ".."))


class RemoteTree:
    """The files beneath a directory of the host, as far as one pattern reaches.

    It asks when it is made, so that several can be under way at once, and `read` takes the answer, in the same order:
    then `base` is the real name of its directory, "" if it does not exist.
    Only what is behind links to directories costs round trips later.
    """

    def __init__(self, session: Session, pattern: Pattern, before: Before | None = None) -> None:
        self.session = session
        self._before = before
        self.directory = pattern.base
        self.base = ""
        self.warnings: list[str] = []
        self._mark = os.urandom(16).hex()
        self._links: dict[str, int | None] = {}  # to directories, and how deep what is behind them was listed
        self._own: dict[str, Entry] = {}  # links as themselves
        self._entries: dict[str, Entry] = {}
        self._directories: dict[str, dict[str, Entry]] = {}
        self._pruned = pattern.pruned
        reached = reach(pattern)
        self._key = reached.key
        self._ask(reached)

    @property
    def directories(self) -> dict[str, Entry]:
        return {path: entry for path, entry in self._entries.items() if entry.is_directory}

    def entry(self, path: str) -> Entry | None:
        return self._entries.get(path)

    def entries(self, path: str, *, deep: bool) -> list[tuple[str, Entry]]:
        depth = ALL_THE_WAY if deep else 1
        if path in self._links and self._links[path] not in (depth, ALL_THE_WAY):
            self._links[path] = depth
            self._ask(Reach(self.directory, path, depth, hidden=True, pruned=self._pruned))
            self.read()
        found = sorted(self._directories.get(path, {}).items())
        return [(name, entry) for name, entry in found if not name.startswith(PARTIAL_PREFIX)]

    def is_old(self, path: str, entry: Entry) -> bool:
        if self._before is None:
            return False
        reached = not any(path.startswith(f"{link}/") for link in self._links)
        own = None if entry.is_directory else self._own.get(path)
        return all(self._before.holds(self._key, one, reached=reached) for one in (entry, own) if one is not None)

    def _ask(self, reached: Reach) -> None:
        self._top = reached.top
        self.session.request("list", self._mark, *reached.values)

    def read(self) -> None:
        """Raises TransferFailed where the host lists what it was not asked for."""
        where = decode(self.session.reply().values)
        self.base = self.base or os.fsdecode(where)
        for follows, name, entry in records(self.session, self._mark):
            path = name.removeprefix("./") if name != "." else ""
            beneath = not self._top or path == self._top or path.startswith(self._top + "/")
            steps = path.split("/") if path else []
            if not beneath or not _NAMELESS.isdisjoint(steps):
                raise TransferFailed(f"{self.session.host} lists {visible(name)}, which it was not asked for")
            if len(self._entries) >= RECORD_LIMIT or len(steps) > DEPTH_LIMIT:
                raise TransferFailed(
                    f"{self.session.host} lists more than {RECORD_LIMIT} names, or more than {DEPTH_LIMIT} levels",
                    "download fewer at once",
                )
            self._add(path, entry, follows=follows)
        if self._pruned:
            self._drop_environments()
        denied = decode(self.session.reply().values)
        if denied:
            self.warnings.append(f"{self.session.host}: {visible(os.fsdecode(denied))}")

    def _drop_environments(self) -> None:
        """Virtual environments, by the file that makes a directory one: PEP 405."""
        found = tuple(f"{path.removesuffix(_ENVIRONMENT)}" for path in self._entries if path.endswith(_ENVIRONMENT))
        for path in [path for path in self._entries if path.startswith(found)] if found else ():
            directory, _, name = path.rpartition("/")
            del self._entries[path], self._directories[directory][name]

    def _add(self, path: str, entry: Entry, *, follows: bool) -> None:
        """A link is listed twice: as itself, which means nothing yet, and as what it leads to, if anything."""
        if stat.S_ISLNK(entry.mode):
            self._own[path] = entry
            entry = self._entries.get(path, Entry(0))
        elif follows:
            entry = entry._replace(link=True)
            if entry.is_directory and path != self._top:
                self._links.setdefault(path, None)
        self._entries[path] = entry
        if path:
            directory, _, name = path.rpartition("/")
            self._directories.setdefault(directory, {})[name] = entry
