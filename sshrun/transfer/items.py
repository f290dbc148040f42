"""Files as data: what a name is, locally or on a host, and what is sent under which name."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Sequence
from typing import NamedTuple

# What a transfer that was cut off leaves behind begins with this, on both sides, and is never taken for anybody's file.
PARTIAL_PREFIX = ".sshrun-part"

_HOLE = 128 << 10
_LARGEST_SPARSE = 1 << 42  # a host that lists a larger one means to keep us busy with nothing


class Item(NamedTuple):
    """One file, or one directory of those that are sent whole: `path` beneath `base` becomes `name` beneath `root`.

    `size` is in bytes, `disk` what it takes of the disk now, `mode` is st_mode. For an upload `base` is absolute.
    One with `link` is a link, which leads to that, another item beneath the same root.
    """

    base: str
    path: str
    root: str
    name: str
    size: int
    mtime_ns: int
    mode: int
    link: str = ""
    disk: int = -1  # not known

    @property
    def source(self) -> str:
        return os.path.join(self.base, self.path)

    @property
    def is_directory(self) -> bool:
        return stat.S_ISDIR(self.mode)

    @property
    def is_sparse(self) -> bool:
        """Whether it has holes that are worth keeping. A file system that compresses looks the same."""
        return 0 <= self.disk <= self.size - _HOLE and self.size <= _LARGEST_SPARSE

    @property
    def needs(self) -> int:
        """The bytes that it will take of the receiver's disk."""
        if self.is_directory:
            return 0
        return self.disk if self.is_sparse else self.size


class Entry(NamedTuple):
    """What a name is, links followed. `mode` is 0 for a link to nothing; `identity` is device and inode.

    `changed` is when anything of it last changed (ctime), as the host writes it, and `disk` what it takes of the disk,
    in bytes. It is a `link`, or what that leads to, and a `loop` where that is a directory which holds it.
    """

    mode: int
    size: int = 0
    mtime_ns: int = 0
    identity: tuple[int, int] = (0, 0)
    changed: bytes = b""
    disk: int = 0
    link: bool = False
    loop: bool = False

    @property
    def is_directory(self) -> bool:
        return stat.S_ISDIR(self.mode)

    @property
    def is_file(self) -> bool:
        return stat.S_ISREG(self.mode)


class Mirror(NamedTuple):
    """The files of a directory that are mirrored, under the `id` that a host knows the directory by."""

    id: str
    items: Sequence[Item]

    @property
    def digest(self) -> str:
        """What changes with any of the files, as far as their status shows it."""
        import hashlib

        lines = [f"{item.mode:o} {item.size} {item.mtime_ns} {item.name}" for item in self.items]
        return hashlib.sha256(os.fsencode("\0".join(sorted(lines)))).hexdigest()


def links_apart(items: Iterable[Item]) -> tuple[list[Item], list[Item]]:
    files: list[Item] = []
    links: list[Item] = []
    for item in items:
        (links if item.link else files).append(item)
    return files, links


def grouped(pairs: Iterable[tuple[str, Item]]) -> list[tuple[str, list[Item]]]:
    groups: dict[str, list[Item]] = {}
    for key, item in pairs:
        groups.setdefault(key, []).append(item)
    return list(groups.items())
