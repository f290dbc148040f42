"""What there is on the host: the tree that patterns of a download are matched in, and what an upload would change."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Sequence

from sshrun.errors import TransferFailed
from sshrun.paths import PART, Entry, Item, Pattern, split
from sshrun.scripts import Session, decode
from sshrun.terminal import visible
from sshrun.transfer.engine import PATIENCE

ALL_THE_WAY = 0
# A host that lists more is broken, or means to fill our memory: with names, or with links to ever deeper folders.
RECORD_LIMIT = 1 << 20
DEPTH_LIMIT = 300
_LONGEST_RECORD = 64 << 10  # bytes; no path is longer than 4096 (PATH_MAX of Linux)

_NAMELESS = frozenset(("", ".", ".."))

# Bytes of names in one question: so many fit into what ssh buffers, or both sides could wait for each other.
_NAMES = 512 << 10


class RemoteTree:
    """The files beneath a folder of the host, as far as one pattern reaches.

    It asks when it is made, so that several can be under way at once, and `read` takes the answer, in the same order:
    then `base` is the real name of its folder, "" if there is none.
    Only what stands behind links to folders costs round trips later.
    """

    def __init__(self, session: Session, pattern: Pattern) -> None:
        self.session = session
        self.folder = pattern.base
        self.base = ""
        self.warnings: list[str] = []
        self._mark = os.urandom(16).hex()
        self._links: dict[str, int | None] = {}  # to folders, and how deep was looked behind them
        self._entries: dict[str, Entry] = {}
        self._folders: dict[str, dict[str, Entry]] = {}
        if not pattern.wildcard:
            self._top = pattern.path
            self._ask(self._top, ALL_THE_WAY, hidden=True)
        else:
            self._top, parts = split(pattern.path)
            depth = ALL_THE_WAY if "**" in parts else len(parts)
            hidden = any(step.startswith(".") for step in (os.path.basename(self._top), *parts))
            self._ask(self._top, depth, hidden=hidden)

    def entry(self, path: str) -> Entry | None:
        return self._entries.get(path)

    def entries(self, path: str, *, deep: bool) -> list[tuple[str, Entry]]:
        depth = ALL_THE_WAY if deep else 1
        if path in self._links and self._links[path] not in (depth, ALL_THE_WAY):
            self._links[path] = depth
            self._ask(path, depth, hidden=True)
            self._top = path
            self.read()
        return [found for found in sorted(self._folders.get(path, {}).items()) if not found[0].startswith(PART)]

    def _ask(self, path: str, depth: int, *, hidden: bool) -> None:
        name = f"./{path}" if path else "."
        self.session.request("list", self._mark, str(depth), str(int(hidden)), self.folder, name)

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
            entry = self._entries.get(path, Entry(0))
        elif follows and entry.is_folder and path != self._top:
            self._links.setdefault(path, None)
        self._entries[path] = entry
        if path:
            folder, _, name = path.rpartition("/")
            self._folders.setdefault(folder, {})[name] = entry


def records(session: Session, mark: str) -> Iterator[tuple[bool, str, Entry]]:
    """What the host lists: whether a link was followed for it, its name, what it is. The next reply ends it."""
    for record in _raw_records(session, mark):
        yield record[:1] == b">", *read_entry(session, record)


def _raw_records(session: Session, mark: str) -> Iterator[bytes]:
    begin = b"\n" + mark.encode()
    rest = b"\n"
    count = 0
    for chunk in session.raw(timeout=PATIENCE):
        *whole, rest = (rest + chunk).split(begin)
        count += len(whole)
        if count > 2 * RECORD_LIMIT or len(rest) > _LONGEST_RECORD:
            raise TransferFailed(f"{session.host}: its list of files has no end", "download fewer at once")
        yield from filter(None, whole)
    if rest != b"\n":
        yield rest.removesuffix(b"\n")


def read_entry(session: Session, record: bytes) -> tuple[str, Entry]:
    """One record of the host's: a sign, mode in hex, size, time, device, inode, name. Raises TransferFailed."""
    try:
        mode, size, time, device, inode, name = record[1:].split(b" ", 5)
        seconds, _, fraction = time.partition(b".")
        mtime_ns = int(seconds + fraction[:9].ljust(9, b"0"))
        entry = Entry(int(mode, 16), int(size), mtime_ns, (int(device), int(inode)))
        # Numbers that no stat(2) can give are none that os.stat_result and os.utime could take.
        if not (0 <= entry.mode < 1 << 16 and 0 <= entry.size < 1 << 63 and abs(mtime_ns) < 10**9 << 63):
            raise ValueError(record)
        if b"\0" in name:
            raise ValueError(name)  # it would be two names in every list that is sent
    except ValueError as error:
        shown = visible(os.fsdecode(record[:200]))
        raise TransferFailed(f"{session.host}: its list of files cannot be read: {shown}") from error
    return os.fsdecode(name), entry


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
    return b"=%x %d %d.%09d 0 0 ./%b" % (item.mode, item.size, seconds, nanoseconds, os.fsencode(item.name))


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
            yield from _raw_records(session, mark)
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
