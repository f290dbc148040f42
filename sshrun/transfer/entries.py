"""What the host lists of its files: how far a pattern reaches, and records, one for each name."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import NamedTuple

from sshrun.errors import TransferFailed
from sshrun.session.session import Session
from sshrun.terminal import visible
from sshrun.transfer.engine import REPLY_TIMEOUT
from sshrun.transfer.items import Entry
from sshrun.transfer.patterns import Pattern, split_glob

ALL_THE_WAY = 0
# A host that lists more is broken, or means to fill our memory: with names, or with links to ever deeper directories.
RECORD_LIMIT = 1 << 20
_LONGEST_RECORD = 64 << 10  # bytes; no path is longer than 4096 (PATH_MAX of Linux)


class Reach(NamedTuple):
    """The files that a pattern can mean: beneath `top` in `directory`, `depth` steps down.

    `last` is what their names match, as find(1) understands it, "" where find has no such pattern. Nothing beneath
    `top` of a name in `pruned`, patterns for find, is reached.
    """

    directory: str
    top: str
    depth: int
    hidden: bool
    last: str = ""
    pruned: tuple[str, ...] = ()

    @property
    def values(self) -> tuple[str, ...]:
        """As the host's "list" takes them."""
        top = f"./{self.top}" if self.top else "."
        return self.directory, top, str(self.depth), str(int(self.hidden)), *self.pruned

    @property
    def key(self) -> str:
        """What a host knows it by."""
        import hashlib

        return hashlib.sha256(os.fsencode("\0".join((*self.values, self.last)))).hexdigest()[:16]


def reach(pattern: Pattern) -> Reach:
    if not pattern.wildcard:
        return Reach(pattern.base, pattern.path, ALL_THE_WAY, hidden=True, pruned=pattern.pruned)
    top, parts = split_glob(pattern.path)
    depth = ALL_THE_WAY if "**" in parts else len(parts)
    hidden = any(step.startswith(".") for step in (os.path.basename(top), *parts))
    # find compares bytes where Python compares characters, and has other brackets.
    plain = parts[-1] != "**" and not set(parts[-1]) & set("?[\\")
    return Reach(pattern.base, top, depth, hidden, parts[-1] if plain else "")


def records(session: Session, mark: str) -> Iterator[tuple[bool, str, Entry]]:
    """What the host lists: whether a link was followed for it, its name, what it is. The next reply ends it."""
    for record in raw_records(session, mark):
        yield record[:1] == b">", *read_entry(session, record)


def raw_records(session: Session, mark: str) -> Iterator[bytes]:
    begin = b"\n" + mark.encode()
    rest = b"\n"
    count = 0
    for chunk in session.raw(timeout=REPLY_TIMEOUT):
        *whole, rest = (rest + chunk).split(begin)
        count += len(whole)
        if count > 2 * RECORD_LIMIT or len(rest) > _LONGEST_RECORD:
            raise TransferFailed(f"{session.host}: its list of files has no end", "download fewer at once")
        yield from filter(None, whole)
    if rest != b"\n":
        yield rest.removesuffix(b"\n")


def read_entry(session: Session, record: bytes) -> tuple[str, Entry]:
    """One record of the host's: a sign, and the fields of `file_format` in files.sh. Raises TransferFailed."""
    try:
        mode, size, time, device, inode, changed, blocks, name = record[1:].split(b" ", 7)
        seconds, _, fraction = time.partition(b".")
        mtime_ns = int(seconds + fraction[:9].ljust(9, b"0"))
        entry = Entry(int(mode, 16), int(size), mtime_ns, (int(device), int(inode)), changed, int(blocks) * 512)
        # Numbers that no stat(2) can give are none that os.stat_result and os.utime could take.
        if not (0 <= entry.mode < 1 << 16 and 0 <= entry.size < 1 << 63 and abs(mtime_ns) < 10**9 << 63):
            raise ValueError(record)
        if b"\0" in name:
            raise ValueError(name)  # it would be two names in every list that is sent
    except ValueError as error:
        shown = visible(os.fsdecode(record[:200]))
        raise TransferFailed(f"{session.host}: its list of files cannot be read: {shown}") from error
    return os.fsdecode(name), entry
