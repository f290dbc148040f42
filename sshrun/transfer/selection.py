"""What a list of patterns selects: each target once, links where they can stay links, and what matched nothing."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from sshrun.terminal import visible
from sshrun.transfer.exclusion import Exclusion
from sshrun.transfer.items import Entry, Item
from sshrun.transfer.matching import Tree, find
from sshrun.transfer.patterns import Pattern
from sshrun.transfer.symlinks import Seen, kept


class Selection(NamedTuple):
    """`unmatched` are the patterns that no item was found for; `old` is what a pattern found, and what is no result.
    `excluded` is what each one that excludes took out.
    """

    items: tuple[Item, ...]
    warnings: tuple[str, ...] = ()
    unmatched: tuple[Pattern, ...] = ()
    old: tuple[tuple[Pattern, tuple[str, ...]], ...] = ()
    excluded: tuple[tuple[Pattern, tuple[Item, ...]], ...] = ()


def select(patterns: Sequence[Pattern], bases: Sequence[str], trees: Sequence[Tree]) -> Selection:
    """What patterns name, each in its tree, which the items call by its base."""
    items: list[Item] = []
    entries: list[Entry] = []  # of the items
    warnings: list[str] = []
    unmatched = []
    old = []
    excluded = []
    for pattern, base, tree in zip(patterns, bases, trees, strict=True):
        if pattern.excludes:
            exclusion = Exclusion(pattern, base)
            taken = tuple(item for item in items if exclusion.covers(item))
            excluded.append((exclusion, taken))
            if taken:
                left = [number for number, item in enumerate(items) if not exclusion.covers(item)]
                items, entries = [items[number] for number in left], [entries[number] for number in left]
            continue
        found = _Found(pattern, base, tree)
        warnings += found.warnings
        items += found.items
        entries += found.entries
        if found.old:
            old.append((pattern, tuple(found.old)))
        if not found.matched:
            unmatched.append(pattern)
    linked = any(entry.link for entry in entries) or any(
        one.link for tree in trees for one in tree.directories.values()
    )
    latest = (
        {(item.root, item.name): Seen(item, entry) for item, entry in zip(items, entries, strict=True)}
        if linked
        else {}
    )
    if len(patterns) > 1:  # one pattern means no target twice
        items = one_for_each(items)
    if linked:
        directories = [
            directory for group in zip(patterns, bases, trees, strict=True) for directory in _directories(*group)
        ]
        items = kept([latest[item.root, item.name] for item in items], directories)
    for exclusion, taken in excluded:
        if not taken and any(map(exclusion.covers, items)):
            text = visible(exclusion.pattern.text)
            warnings.append(f"{text} takes nothing out: it has to come after what selects its files")
    return Selection(
        tuple(items),
        tuple(dict.fromkeys(warnings)),
        tuple(unmatched),
        tuple(old),
        tuple((exclusion.pattern, taken) for exclusion, taken in excluded),
    )


class _Found:
    """What one pattern finds: items, what each of them is, and what is no result."""

    def __init__(self, pattern: Pattern, base: str, tree: Tree) -> None:
        self.items: list[Item] = []
        self.entries: list[Entry] = []
        self.warnings: list[str] = []
        self.old: list[str] = []
        self.matched = False
        found = list(find(tree, pattern))
        if pattern.is_optional:
            # A directory comes with what is in it; by itself only where it is empty.
            above = {os.path.dirname(path) for path, _ in found}
            found = [(path, entry) for path, entry in found if not (entry.is_directory and path in above)]
        for path, entry in found:
            if not entry.mode:
                self.warnings.append(f"{visible(path)} is a link to nothing: left out")
            elif not (entry.is_file or entry.is_directory):
                self.warnings.append(f"{visible(path)} is neither a file nor a directory: left out")
            elif not tree.is_old(path, entry):
                self.matched = self.matched or not entry.loop
                item = _item(pattern, base, path, entry)
                if item.name:
                    self.items.append(item)
                    self.entries.append(entry)
            elif not entry.is_directory:
                self.old.append(os.path.join(pattern.base, path).removeprefix("./"))
        self.warnings += tree.warnings
        if self.old and all(entry.is_directory for entry in self.entries):
            # Somebody changed these directories, and left no new file in them.
            self.items, self.entries, self.matched = [], [], False


def _item(pattern: Pattern, base: str, path: str, entry: Entry) -> Item:
    root, name = pattern.place(path)
    return Item(base, path, root, name, entry.size, entry.mtime_ns, entry.mode, disk=entry.disk)


def _directories(pattern: Pattern, base: str, tree: Tree) -> Iterator[Seen]:
    """Those that one pattern has come through, with the places that they get."""
    for path, entry in tree.directories.items():
        beneath = pattern.wildcard or not pattern.path or path == pattern.path or path.startswith(pattern.path + "/")
        if beneath and not pattern.excludes:
            yield Seen(_item(pattern, base, path, entry), entry)


def one_for_each(items: Sequence[Item]) -> list[Item]:
    """Of items for one target the later; so, too, where one would be beneath another that is a file."""
    latest = {(item.root, item.name): number for number, item in enumerate(items)}
    files: set[tuple[str, str]] = set()
    directories: set[tuple[str, str]] = set()
    chosen = []
    for number in sorted(latest.values(), reverse=True):
        item = items[number]
        above = set()
        directory = os.path.dirname(item.name)
        while directory and (item.root, directory) not in directories and (item.root, directory) not in files:
            above.add((item.root, directory))
            directory = os.path.dirname(directory)
        if (item.root, directory) in files or (not item.is_directory and (item.root, item.name) in directories):
            continue
        directories |= above
        if not item.is_directory:
            files.add((item.root, item.name))
        chosen.append(item)
    return chosen[::-1]
