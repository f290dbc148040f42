"""Which links among the files that are sent stay links, and which are sent as what they lead to.

A link stays one where it leads to something that is sent along. That is decided by device and inode of what it leads
to, never by its text: whatever a sender claims, a link that is made leads from one thing that was sent to another.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from sshrun.transfer.items import Entry, Item

_LINK = stat.S_IFLNK | 0o777


class Seen(NamedTuple):
    """What was found, and as which item it is sent."""

    item: Item
    entry: Entry


def kept(found: Sequence[Seen], directories: Iterable[Seen]) -> list[Item]:
    """The items to send: links that stay links come last, have `link`, and replace all that was found behind them.

    `directories` are all that were seen on the way; not each of them is sent by itself.
    """
    return _Links(found, directories).chosen()


class _Links:
    def __init__(self, found: Sequence[Seen], directories: Iterable[Seen]) -> None:
        self._found = found
        self._sent = {_place(one): one.entry for one in found}
        passed = {_place(one): one for one in (*directories, *(one for one in found if one.entry.is_directory))}
        self._linked_directories = sorted(
            (one for one in passed.values() if one.entry.link), key=lambda one: one.item.name.count("/")
        )
        self._crossings = frozenset(one.item.source for one in self._linked_directories)
        self._behind: dict[
            str, frozenset[str]
        ] = {}  # of a directory: the links that one comes through on the way to it
        self._real: dict[tuple[str, tuple[int, int]], list[Seen]] = {}
        for one in (*passed.values(), *(one for one in found if not one.entry.is_directory)):
            if not one.entry.link and one.entry.identity[1]:
                self._real.setdefault((one.item.root, one.entry.identity), []).append(one)
        self._links: dict[tuple[str, str], Item] = {}
        self._sent_from: dict[tuple[str, str], list[str]] = {_place(one): [] for one in self._linked_directories}
        for root, name in self._sent:
            for step in _above(name):
                if (root, step) in self._sent_from:
                    self._sent_from[root, step].append(name[len(step) + 1 :])

    def chosen(self) -> list[Item]:
        for one in self._linked_directories:
            if not self._is_behind_a_link(one.item):
                self._keep(one, [target for target in self._targets(one) if self._holds_all(target.item, one)])
        for one in self._found:
            if one.entry.link and not one.entry.is_directory and not self._is_behind_a_link(one.item):
                self._keep(one, [target for target in self._targets(one) if _place(target) in self._sent])
        items = [
            one.item
            for one in self._found
            if _place(one) not in self._links and not one.entry.loop and not self._is_behind_a_link(one.item)
        ]
        return items + list(self._links.values())

    def _keep(self, one: Seen, targets: Sequence[Seen]) -> None:
        if targets:
            link = os.path.relpath(targets[0].item.name or ".", os.path.dirname(one.item.name) or ".")
            self._links[_place(one)] = one.item._replace(link=link, size=0, mode=_LINK)

    def _targets(self, one: Seen) -> Iterator[Seen]:
        """What a link leads to, as far as it is sent from where it really is.

        What is reached only through another link, which is resolved, counts for links that are reached through it too.
        """
        for target in self._real.get((one.item.root, one.entry.identity), ()):
            if self._crossed(target.item) <= self._crossed(one.item):
                yield target

    def _holds_all(self, target: Item, one: Seen) -> bool:
        """Whether all that is sent from behind a link to a directory is sent from that directory as well."""
        root, name = _place(one)
        behind = self._sent_from[root, name]
        if not behind and (root, name) not in self._sent:
            return False
        prefix = f"{target.name}/" if target.name else ""
        for below in behind:
            same = self._sent.get((root, prefix + below))
            if same is None or same.identity != self._sent[root, f"{name}/{below}"].identity:
                return False
        return True

    def _crossed(self, item: Item) -> frozenset[str]:
        """The links to directories that one comes through on the way to an item."""
        directory = os.path.dirname(item.source)
        if directory not in self._behind:
            self._behind[directory] = frozenset(step for step in _above(item.source) if step in self._crossings)
        return self._behind[directory]

    def _is_behind_a_link(self, item: Item) -> bool:
        return bool(self._links) and any((item.root, step) in self._links for step in _above(item.name))


def _place(one: Seen) -> tuple[str, str]:
    return one.item.root, one.item.name


def _above(path: str) -> Iterator[str]:
    directory = os.path.dirname(path)
    while directory and directory != path:
        yield directory
        path, directory = directory, os.path.dirname(directory)
