"""Matches patterns in a tree of files, local or remote, by one and the same rules.

A tree is never asked for more than is needed: on the host each question is a round trip.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Protocol

from sshrun.transfer.items import Entry
from sshrun.transfer.patterns import Pattern, has_wildcard, split_glob


class Tree(Protocol):
    """The files beneath a directory, local or remote. Paths are relative to it, "" is the directory itself.

    `directories` are those that it has shown.
    """

    warnings: list[str]

    @property
    def directories(self) -> Mapping[str, Entry]: ...

    def entry(self, path: str) -> Entry | None: ...

    def entries(self, path: str, *, deep: bool) -> Iterable[tuple[str, Entry]]:
        """The entries of a directory; with `deep` the directories in it will be asked for as well."""

    def is_old(self, path: str, entry: Entry) -> bool:
        """Whether it is from before the job whose results are wanted, and so is none of them."""


def find(tree: Tree, pattern: Pattern) -> Iterator[tuple[str, Entry]]:
    """The paths that a pattern means in a tree: files, and the directories of what is named without a glob."""
    path = pattern.path
    only_directories = pattern.source.endswith("/")
    if not pattern.wildcard:
        entry = tree.entry(path)
        if entry is not None and entry.is_directory:
            yield path, entry
            yield from _all_beneath(tree, path, frozenset((entry.identity,)))
        elif entry is not None and not only_directories:
            yield path, entry
    elif not only_directories:
        prefix, parts = split_glob(path)
        entry = tree.entry(prefix)
        if entry is not None and entry.is_directory:
            found = {}
            for path, reached in _matches(tree, prefix, frozenset((entry.identity,)), parts):
                if not reached.is_directory:
                    found[path] = reached
            yield from found.items()


def _all_beneath(tree: Tree, directory: str, above: frozenset[tuple[int, int]]) -> Iterator[tuple[str, Entry]]:
    for name, entry in tree.entries(directory, deep=True):
        path = joined(directory, name)
        if not entry.is_directory:
            yield path, entry
        elif entry.identity not in above:
            yield path, entry
            yield from _all_beneath(tree, path, above | {entry.identity})
        elif entry.link:
            yield path, entry._replace(loop=True)


def _matches(
    tree: Tree, directory: str, above: frozenset[tuple[int, int]], parts: Sequence[str]
) -> Iterator[tuple[str, Entry]]:
    """Python's rules (glob.iglob): no wildcard matches a leading dot unless the step begins with one.

    `above` are the directories on the way; a link that leads back to one of them is not entered again.
    """
    step, rest = parts[0], parts[1:]
    if step == "**":
        if rest:
            yield from _matches(tree, directory, above, rest)
        for name, entry in tree.entries(directory, deep=True):
            if name.startswith("."):
                continue
            if entry.is_directory:
                if entry.identity not in above:
                    yield from _matches(tree, joined(directory, name), above | {entry.identity}, parts)
            elif not rest:
                yield joined(directory, name), entry
    elif has_wildcard(step):
        matches = matcher(step)
        for name, entry in tree.entries(directory, deep=bool(rest)):
            if (name.startswith(".") and not step.startswith(".")) or not matches(name):
                continue
            if not rest:
                yield joined(directory, name), entry
            elif entry.is_directory and entry.identity not in above:
                yield from _matches(tree, joined(directory, name), above | {entry.identity}, rest)
    else:
        path = joined(directory, step)
        found = tree.entry(path)
        if found is not None and not rest:
            yield path, found
        elif found is not None and found.is_directory:
            yield from _matches(tree, path, above | {found.identity}, rest)


def matcher(step: str) -> Callable[[str], object]:
    import fnmatch
    import re

    return re.compile(fnmatch.translate(step)).match


def joined(directory: str, name: str) -> str:
    return f"{directory}/{name}" if directory else name
