"""Which local file each item of a download becomes, and which items have to be downloaded for it."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from sshrun.terminal import visible
from sshrun.transfer.comparison import same_time
from sshrun.transfer.items import Item
from sshrun.transfer.ownership import Ownership, path_beside
from sshrun.transfer.selection import one_for_each


class Placement(NamedTuple):
    """Items with their local places: `names` are the paths of all, `wanted` those that are to be downloaded.

    `kept` holds the local files that are not replaced, each with the path beside it that its item gets.
    """

    names: tuple[str, ...]
    wanted: tuple[Item, ...]
    files: int
    kept: dict[str, str]
    warnings: tuple[str, ...]


def placed(
    items: Sequence[Item],
    directory: str,
    host: str,
    owned: Ownership,
    protected: Iterable[str | os.PathLike[str]] = (),
) -> Placement:
    """Places items in `directory`, a real path, or where they name a directory of their own."""
    names = []
    wanted = []
    files = 0
    kept: dict[str, str] = {}
    warnings = []
    spared = _identities(protected)
    for item in _with_local_roots(items, directory):
        name = os.path.join(item.root, item.name)
        local = _status(name)
        is_current = local is not None and _looks_like(item, name, local)
        if local is not None and not is_current and not item.is_directory and not owned.owns(name):
            kept[name] = _free_path_beside(item, name, host, owned)
            name = kept[name]
            item = item._replace(name=os.path.relpath(name, item.root))
            local = _status(name)
            is_current = local is not None and _looks_like(item, name, local)
        if not (is_current and item.is_directory):
            names.append(name)
        files += not item.is_directory
        if local is not None and not is_current and (local.st_dev, local.st_ino) in spared:
            warnings.append(f"{visible(item.name)} is not replaced: it is what the job was started from")
        elif not is_current:
            wanted.append(item)
    return Placement(tuple(names), tuple(wanted), files, kept, tuple(warnings))


def _with_local_roots(items: Sequence[Item], directory: str) -> list[Item]:
    """The items with local directories as their roots. What ends up beneath `directory` belongs to it."""
    found = []
    for item in items:
        root, name = directory, item.name
        if item.root != ".":
            root = os.path.join(directory, os.path.expanduser(item.root))
            path = os.path.normpath(os.path.join(root, name))
            if path.startswith(directory + "/"):
                root, name = directory, os.path.relpath(path, directory)
        found.append(item._replace(root=root, name=name))
    # Without a directory of their own, no two items can have the same place.
    return found if all(item.root == "." for item in items) else one_for_each(found)


def _free_path_beside(item: Item, name: str, host: str, owned: Ownership) -> str:
    def is_free(path: str) -> bool:
        status = _status(path)
        return owned.owns(path) or (status is not None and _looks_like(item, path, status))  # of a try that was cut off

    return path_beside(name, host, is_free)


def _identities(paths: Iterable[str | os.PathLike[str]]) -> set[tuple[int, int]]:
    found = (_status(path) for path in paths)
    return {(status.st_dev, status.st_ino) for status in found if status is not None}


def _status(path: str | os.PathLike[str]) -> os.stat_result | None:
    try:
        return os.lstat(path)
    except OSError:
        return None


def _looks_like(item: Item, name: str, local: os.stat_result) -> bool:
    if item.link:
        return stat.S_ISLNK(local.st_mode) and os.readlink(name) == item.link
    if item.is_directory:
        return stat.S_ISDIR(local.st_mode)
    return stat.S_ISREG(local.st_mode) and item.size == local.st_size and same_time(item.mtime_ns, local.st_mtime_ns)
