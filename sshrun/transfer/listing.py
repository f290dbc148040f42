"""What there is on the host: the tree that patterns of a download are matched in, and what an upload would change."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Sequence

from sshrun.errors import TransferFailed
from sshrun.paths import PART, Entry, Item, Pattern
from sshrun.scripts import Session, decode
from sshrun.terminal import visible
from sshrun.transfer.before import Before
from sshrun.transfer.entries import ALL_THE_WAY, RECORD_LIMIT, Reach, raw_records, reach, read_entry, records

DEPTH_LIMIT = 300

_NAMELESS = frozenset(("", ".", ".."))

# Bytes of names in one question: so many fit into what ssh buffers, or both sides could wait for each other.
_NAMES = 512 << 10


class RemoteTree:
    """The files beneath a folder of the host, as far as one pattern reaches.

    It asks when it is made, so that several can be under way at once, and `read` takes the answer, in the same order:
    then `base` is the real name of its folder, "" if there is none.
    Only what stands behind links to folders costs round trips later.
    """

    def __init__(self, session: Session, pattern: Pattern, before: Before | None = None) -> None:
        self.session = session
        self._before = before
        self.folder = pattern.base
        self.base = ""
        self.warnings: list[str] = []
        self._mark = os.urandom(16).hex()
        self._links: dict[str, int | None] = {}  # to folders, and how deep was looked behind them
        self._own: dict[str, Entry] = {}  # links as themselves
        self._entries: dict[str, Entry] = {}
        self._folders: dict[str, dict[str, Entry]] = {}
        reached = reach(pattern)
        self._key = reached.key
        self._ask(reached)

    @property
    def folders(self) -> dict[str, Entry]:
        return {path: entry for path, entry in self._entries.items() if entry.is_folder}

    def entry(self, path: str) -> Entry | None:
        return self._entries.get(path)

    def entries(self, path: str, *, deep: bool) -> list[tuple[str, Entry]]:
        depth = ALL_THE_WAY if deep else 1
        if path in self._links and self._links[path] not in (depth, ALL_THE_WAY):
            self._links[path] = depth
            self._ask(Reach(self.folder, path, depth, hidden=True))
            self.read()
        return [found for found in sorted(self._folders.get(path, {}).items()) if not found[0].startswith(PART)]

    def is_old(self, path: str, entry: Entry) -> bool:
        if self._before is None:
            return False
        reached = not any(path.startswith(f"{link}/") for link in self._links)
        own = None if entry.is_folder else self._own.get(path)
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
                    f"{self.session.host} lists more than {RECORD_LIMIT} names, or deeper than {DEPTH_LIMIT} folders",
                    "download fewer at once",
                )
            self._add(path, entry, follows=follows)
        denied = decode(self.session.reply().values)
        if denied:
            self.warnings.append(f"{self.session.host}: {visible(os.fsdecode(denied))}")

    def _add(self, path: str, entry: Entry, *, follows: bool) -> None:
        """A link is told of twice: as itself, which means nothing yet, and as what it leads to, if anything."""
        if stat.S_ISLNK(entry.mode):
            self._own[path] = entry
            entry = self._entries.get(path, Entry(0))
        elif follows:
            entry = entry._replace(link=True)
            if entry.is_folder and path != self._top:
                self._links.setdefault(path, None)
        self._entries[path] = entry
        if path:
            folder, _, name = path.rpartition("/")
            self._folders.setdefault(folder, {})[name] = entry


def standing(session: Session, folder: str, names: Sequence[str]) -> dict[str, Entry]:
    """What stands under these names in a folder of the host, links as themselves."""
    there = {}
    for record in _compared(session, folder, names):
        name, entry = read_entry(session, record)
        there[name.removeprefix("./")] = entry
    return there


def changed(session: Session, root: str, items: Sequence[Item]) -> list[Item]:
    """Those of an upload's items that do not stand on the host as they stand here."""
    records = _compared(session, root, [item.name for item in items])
    # Written down while the host looks: most stand there byte for byte as they would be listed, and to read what a
    # record says takes longer than all the rest.
    listed = [b"" if item.is_folder else _listed(item) for item in items]
    there = set(records)
    candidates = [item for item, record in zip(items, listed, strict=True) if record not in there]
    if not candidates:
        return []
    entries = dict(read_entry(session, record) for record in there.difference(listed))
    return [item for item in candidates if not _same(item, entries.get("./" + item.name))]


def _listed(item: Item) -> bytes:
    seconds, nanoseconds = divmod(item.mtime_ns, 10**9)
    return b"=%x %d %d.%09d 0 0 0 0 ./%b" % (item.mode, item.size, seconds, nanoseconds, os.fsencode(item.name))


def _compared(session: Session, folder: str, names: Sequence[str]) -> Iterator[bytes]:
    """The host's records for names. The first question is asked at once, each other one when it is its turn."""
    mark = os.urandom(16).hex()
    parts = _parts(name_list(names))

    def ask() -> bool:
        part = next(parts, b"")
        if part:
            session.request("compare", mark, folder, str(len(part)))
            session.send(part)
        return bool(part)

    def answers(asked: bool) -> Iterator[bytes]:
        while asked:
            session.reply()
            yield from raw_records(session, mark)
            session.reply()
            asked = ask()

    return answers(ask())


def _parts(data: bytes) -> Iterator[bytes]:
    while data:
        end = data.find(b"\0", _NAMES) + 1 or len(data)
        yield data[:end]
        data = data[end:]


def _same(item: Item, entry: Entry | None) -> bool:
    """Folders are alike once they are there; a file that became executable here has to become it there."""
    if entry is None or item.is_folder or entry.is_folder:
        return entry is not None and item.is_folder and entry.is_folder
    return same_content(item, entry) and item.mode & 0o777 == entry.mode & 0o777


def same_content(item: Item, entry: Entry) -> bool:
    """Whether a file looks as if nobody had written to it in between."""
    return entry.is_file and item.size == entry.size and same_time(item.mtime_ns, entry.mtime_ns)


def same_time(sent: int, kept: int) -> bool:
    """Whether a file system could have made one time of the other: some keep 100 ns, microseconds or whole seconds.

    Whole seconds alone would not do: a script that is saved twice within one would not be sent the second time.
    """
    return kept == sent or any(
        kept == sent - sent % grain or sent == kept - kept % grain for grain in (100, 1000, 10**9)
    )


def name_list(names: Iterable[str]) -> bytes:
    """Names as programs on the host read them."""
    return os.fsencode("".join([f"./{name}\0" for name in names]))
