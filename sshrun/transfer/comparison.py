"""Which files the host has already: what given names are, and what of an upload differs from it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence

from sshrun.session.session import Session
from sshrun.transfer.entries import raw_records, read_entry
from sshrun.transfer.items import Entry, Item

# Bytes of names in one question: so many fit into what ssh buffers, or both sides could wait for each other.
_NAMES = 512 << 10


def entries_at(session: Session, directory: str, names: Sequence[str]) -> dict[str, Entry]:
    """What these names are in a directory of the host, links as themselves."""
    found = {}
    for record in _compared(session, directory, names):
        name, entry = read_entry(session, record)
        found[name.removeprefix("./")] = entry
    return found


def changed(session: Session, root: str, items: Sequence[Item]) -> list[Item]:
    """Those of an upload's items that differ on the host, or are not on it."""
    records = _compared(session, root, [item.name for item in items])
    # Formatted while the host is busy: most records match one of these byte for byte, and parsing a record takes longer
    # than all the rest.
    listed = [b"" if item.is_directory else _listed(item) for item in items]
    remote = set(records)
    candidates = [item for item, record in zip(items, listed, strict=True) if record not in remote]
    if not candidates:
        return []
    entries = dict(read_entry(session, record) for record in remote.difference(listed))
    return [item for item in candidates if not _same(item, entries.get("./" + item.name))]


def _listed(item: Item) -> bytes:
    seconds, nanoseconds = divmod(item.mtime_ns, 10**9)
    return b"=%x %d %d.%09d 0 0 0 0 ./%b" % (item.mode, item.size, seconds, nanoseconds, os.fsencode(item.name))


def _compared(session: Session, directory: str, names: Sequence[str]) -> Iterator[bytes]:
    """The host's records for names. The first question is asked at once, each other one after an answer."""
    mark = os.urandom(16).hex()
    parts = _parts(name_list(names))

    def ask() -> bool:
        part = next(parts, b"")
        if part:
            session.request("compare", mark, directory, str(len(part)))
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
    """Two directories are always the same; a file that became executable locally has to become so on the host."""
    if entry is None or item.is_directory or entry.is_directory:
        return entry is not None and item.is_directory and entry.is_directory
    return same_content(item, entry) and item.mode & 0o777 == entry.mode & 0o777


def same_content(item: Item, entry: Entry) -> bool:
    """Whether size and time show no write in between."""
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
