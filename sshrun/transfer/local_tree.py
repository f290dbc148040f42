"""The local files that patterns of an upload select."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from sshrun.terminal import visible
from sshrun.transfer.items import PARTIAL_PREFIX, Entry, Item
from sshrun.transfer.matching import joined
from sshrun.transfer.patterns import Pattern
from sshrun.transfer.selection import Selection, select


def select_local(patterns: Sequence[Pattern], directory: str | os.PathLike[str]) -> Selection:
    """What patterns of an upload name beneath `directory`. Where two mean the same target, the later one counts."""

    bases = [
        os.path.abspath(
            os.path.join(directory, pattern.sender, "" if pattern.excludes else os.path.expanduser(pattern.base))
        )
        for pattern in patterns
    ]
    return select(patterns, bases, [LocalTree(base) for base in bases])


def local_item(source: str | os.PathLike[str], name: str) -> Item:
    """One local file, for the working directory. Raises OSError."""
    base, path = os.path.split(os.path.abspath(source))
    status = os.stat(source)
    return Item(base, path, ".", name, status.st_size, status.st_mtime_ns, status.st_mode)


class LocalTree:
    """The files beneath a local directory."""

    def __init__(self, directory: str) -> None:
        self.directory = directory
        self.directories: dict[str, Entry] = {}
        self.warnings: list[str] = []

    def entry(self, path: str) -> Entry | None:
        full = os.path.join(self.directory, path)
        try:
            entry = _entry(os.stat(full))
        except OSError:
            return Entry(0) if os.path.lexists(full) else None
        entry = entry._replace(link=os.path.islink(full))
        if entry.is_directory:
            self.directories[path] = entry
        return entry

    def entries(self, path: str, *, deep: bool) -> Iterator[tuple[str, Entry]]:  # noqa: ARG002 # one query shows it all
        try:
            with os.scandir(os.path.join(self.directory, path)) as listing:
                found = sorted(listing, key=lambda entry: entry.name)
        except OSError as error:
            self.warnings.append(f"{visible(path)} cannot be read: {error.strerror}")
            return
        for one in found:
            if one.name.startswith(PARTIAL_PREFIX):
                continue
            try:
                entry = _entry(one.stat())
            except OSError:
                entry = Entry(0)
            if one.is_symlink():
                entry = entry._replace(link=True)
            if entry.is_directory:
                self.directories[joined(path, one.name)] = entry
            yield one.name, entry

    def is_old(self, path: str, entry: Entry) -> bool:  # noqa: ARG002
        return False  # what is sent is no result


def _entry(status: os.stat_result) -> Entry:
    identity, disk = (status.st_dev, status.st_ino), status.st_blocks * 512
    return Entry(status.st_mode, status.st_size, status.st_mtime_ns, identity, disk=disk)
