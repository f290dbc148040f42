"""Which files go where: patterns of the settings, matched here and on the host by one and the same engine.

A pattern without a pipe is a glob as in Python's `glob` (recursive, hidden names only when named), with the same
relative path on both sides. `SOURCE|TARGET` names one file or folder and the name it gets, or, with a slash at its end,
the folder it goes into. The engine asks a `Tree` what is there, and never more than it needs: on the host each question
is a round trip. Names are `str` as `os.fsdecode` makes them, so that any bytes come through.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol

from sshrun.items import Entry as Entry
from sshrun.items import Item as Item
from sshrun.symlinks import Seen, kept
from sshrun.terminal import visible

# What a transfer that was cut off leaves behind begins with this, on both sides, and is never taken for anybody's file.
PART = ".sshrun-part"

_NAMELESS = ("", ".", "..", "~")


class Pattern(NamedTuple):
    """What to send. `target` is None for a glob, whose paths are the same on both sides.

    One that `excludes` takes out what an earlier one selected. `sender` and `receiver` are the directories that its
    relative paths begin in, "" for the one that the transfer is given.
    """

    text: str
    source: str
    target: str | None = None
    excludes: bool = False
    sender: str = ""
    receiver: str = ""

    @property
    def literal(self) -> bool:
        """Whether `source` is a name, whatever it holds."""
        return self.target is not None

    @property
    def wildcard(self) -> bool:
        return not self.literal and _magic(self.source)

    @property
    def base(self) -> str:
        """The sender's folder that `path` is relative to; "." for the spec's folder, or the working directory."""
        if not self.literal:
            return "."
        folder, name = os.path.split(self.source.rstrip("/") or "/")
        return self.source if name in _NAMELESS else folder or "."

    @property
    def path(self) -> str:
        """Relative to `base`, without "." and ".."; "" for `base` itself."""
        if self.literal:
            name = os.path.basename(self.source.rstrip("/"))
            return "" if name in _NAMELESS else name
        return "/".join(_steps(self.source))

    @property
    def leaves_home(self) -> bool:
        """Whether `target` is a place of its own, and not beneath the receiver's folder."""
        return self.place(self.path)[0] != "."

    def place(self, path: str) -> tuple[str, str]:
        """The receiver's folder, and the name beneath it, of what was found as `path`.

        The folder is "." wherever the name can say it all; otherwise it is absolute, begins with "~" or holds "..".
        """
        if self.target is None:
            return self.receiver or ".", path
        folder, name = os.path.split(self.target)
        if name in _NAMELESS:
            folder, name = self.target, self.path
        below = path[len(self.path) :].lstrip("/") if self.path else path
        name = f"{name}/{below}" if below else name
        if folder.startswith(("/", "~")):
            return folder, name
        if ".." in folder.split("/"):
            return os.path.join(self.receiver, folder), name
        return self.receiver or ".", "/".join(_steps(f"{folder}/{name}"))


class Selection(NamedTuple):
    """`unmatched` are the patterns that no item was found for; `old` is what a pattern found, and what is no result.
    `excluded` is what each one that excludes took out.
    """

    items: tuple[Item, ...]
    warnings: tuple[str, ...] = ()
    unmatched: tuple[Pattern, ...] = ()
    old: tuple[tuple[Pattern, tuple[str, ...]], ...] = ()
    excluded: tuple[tuple[Pattern, tuple[Item, ...]], ...] = ()


class Tree(Protocol):
    """The files beneath a folder, here or on a host. Paths are relative to it, "" is the folder itself.

    `folders` are those that it has shown.
    """

    warnings: list[str]

    @property
    def folders(self) -> Mapping[str, Entry]: ...

    def entry(self, path: str) -> Entry | None: ...

    def entries(self, path: str, *, deep: bool) -> Iterable[tuple[str, Entry]]:
        """What stands in a folder; `deep` says that the folders in it will be asked for as well."""

    def is_old(self, path: str, entry: Entry) -> bool:
        """Whether it stood there before the job that results are wanted of, and is none of them."""


def parse_upload(text: str, local: str = "") -> Pattern:
    """Reads an item of `upload_files`, whose local side begins in the directory `local` where that is not the spec's.

    Raises ValueError with what is wrong and what to do.
    """
    pattern = _parse_exclusion(text) if text.startswith("!") else _parse(text, "LOCAL|REMOTE")
    return pattern._replace(sender=local)


def parse_download(text: str, local: str = "") -> Pattern:
    """Reads an item of `download_files`, in the same way."""
    return _parse(text, "REMOTE|LOCAL")._replace(receiver=local)


def whole(source: str, target: str | os.PathLike[str]) -> Pattern:
    """One file or folder, under exactly these names."""
    return Pattern(source, source, os.fspath(target))


def item(source: str | os.PathLike[str], name: str) -> Item:
    """One file here, for the working directory. Raises OSError."""
    base, path = os.path.split(os.path.abspath(source))
    status = os.stat(source)
    return Item(base, path, ".", name, status.st_size, status.st_mtime_ns, status.st_mode)


def select_local(patterns: Sequence[Pattern], folder: str | os.PathLike[str]) -> Selection:
    """What patterns of an upload name beneath `folder`. Where two mean the same target, the later one counts."""

    bases = [
        os.path.abspath(
            os.path.join(folder, pattern.sender, "" if pattern.excludes else os.path.expanduser(pattern.base))
        )
        for pattern in patterns
    ]
    return select(patterns, bases, [LocalTree(base) for base in bases])


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
            exclusion = _Exclusion(pattern, base)
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
    linked = any(entry.link for entry in entries) or any(one.link for tree in trees for one in tree.folders.values())
    latest = (
        {(item.root, item.name): Seen(item, entry) for item, entry in zip(items, entries, strict=True)}
        if linked
        else {}
    )
    if len(patterns) > 1:  # one pattern means no target twice
        items = one_for_each(items)
    if linked:
        folders = [folder for group in zip(patterns, bases, trees, strict=True) for folder in _folders(*group)]
        items = kept([latest[item.root, item.name] for item in items], folders)
    for exclusion, taken in excluded:
        if not taken and any(map(exclusion.covers, items)):
            text = visible(exclusion.pattern.text)
            warnings.append(f"{text} takes nothing out: it has to stand behind what selects its files")
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
        for path, entry in find(tree, pattern):
            if not entry.mode:
                self.warnings.append(f"{visible(path)} is a link to nothing: left out")
            elif not (entry.is_file or entry.is_folder):
                self.warnings.append(f"{visible(path)} is neither a file nor a folder: left out")
            elif not tree.is_old(path, entry):
                self.matched = self.matched or not entry.loop
                item = _item(pattern, base, path, entry)
                if item.name:
                    self.items.append(item)
                    self.entries.append(entry)
            elif not entry.is_folder:
                self.old.append(os.path.join(pattern.base, path).removeprefix("./"))
        self.warnings += tree.warnings
        if self.old and all(entry.is_folder for entry in self.entries):
            # Somebody was in these folders, and left no file.
            self.items, self.entries, self.matched = [], [], False


def _item(pattern: Pattern, base: str, path: str, entry: Entry) -> Item:
    root, name = pattern.place(path)
    return Item(base, path, root, name, entry.size, entry.mtime_ns, entry.mode, disk=entry.disk)


def _folders(pattern: Pattern, base: str, tree: Tree) -> Iterator[Seen]:
    """Those that one pattern has come through, with the places that they get."""
    for path, entry in tree.folders.items():
        beneath = pattern.wildcard or not pattern.path or path == pattern.path or path.startswith(pattern.path + "/")
        if beneath and not pattern.excludes:
            yield Seen(_item(pattern, base, path, entry), entry)


class _Exclusion:
    """What a pattern that excludes takes out: the files that it means, and directories with all that is in them.

    Judged by names alone, since what was selected is known: nothing is looked for on the disk again.
    """

    def __init__(self, pattern: Pattern, start: str) -> None:
        self.pattern = pattern
        source = os.path.normpath(pattern.source)
        if source.startswith("~"):
            start, source = os.path.expanduser("~"), source[1:]
        elif source.startswith("/"):
            start = "/"
        steps = _steps(source)
        while steps[:1] == [".."]:
            start, steps = os.path.dirname(start), steps[1:]
        self._start = start.rstrip("/") + "/"
        self._parts = [(step, _matcher(step) if _magic(step) else step.__eq__) for step in steps]

    def covers(self, item: Item) -> bool:
        if not item.source.startswith(self._start):
            return False
        return self._match(0, _steps(item.source[len(self._start) :]), 0, folder=item.is_folder)

    def _match(self, part: int, steps: Sequence[str], at: int, *, folder: bool) -> bool:
        """Whether the parts from `part` on mean a beginning of the steps from `at` on, of a `folder` or a file."""
        if part == len(self._parts):
            return True
        wildcard, matches = self._parts[part]
        if wildcard == "**" and part + 1 == len(self._parts) and at and (folder or at < len(steps)):
            return True  # as in glob, `a/**` means `a` too
        if at == len(steps):
            return False
        hidden = steps[at].startswith(".")
        if wildcard == "**":
            if part + 1 == len(self._parts):
                return not hidden
            skipped = self._match(part + 1, steps, at, folder=folder)
            return skipped or (not hidden and self._match(part, steps, at + 1, folder=folder))
        if hidden and not wildcard.startswith("."):
            return False
        return bool(matches(steps[at])) and self._match(part + 1, steps, at + 1, folder=folder)


def one_for_each(items: Sequence[Item]) -> list[Item]:
    """Of items for one target the later; so, too, where one would have to stand beneath another that is a file."""
    latest = {(item.root, item.name): number for number, item in enumerate(items)}
    files: set[tuple[str, str]] = set()
    folders: set[tuple[str, str]] = set()
    chosen = []
    for number in sorted(latest.values(), reverse=True):
        item = items[number]
        above = set()
        folder = os.path.dirname(item.name)
        while folder and (item.root, folder) not in folders and (item.root, folder) not in files:
            above.add((item.root, folder))
            folder = os.path.dirname(folder)
        if (item.root, folder) in files or (not item.is_folder and (item.root, item.name) in folders):
            continue
        folders |= above
        if not item.is_folder:
            files.add((item.root, item.name))
        chosen.append(item)
    return chosen[::-1]


def find(tree: Tree, pattern: Pattern) -> Iterator[tuple[str, Entry]]:
    """The paths that a pattern means in a tree: files, and the folders of what is named without a glob."""
    path = pattern.path
    only_folders = pattern.source.endswith("/")
    if not pattern.wildcard:
        entry = tree.entry(path)
        if entry is not None and entry.is_folder:
            yield path, entry
            yield from _everything(tree, path, frozenset((entry.identity,)))
        elif entry is not None and not only_folders:
            yield path, entry
    elif not only_folders:
        prefix, parts = split(path)
        entry = tree.entry(prefix)
        if entry is not None and entry.is_folder:
            found = {}
            for path, reached in _glob(tree, prefix, frozenset((entry.identity,)), parts):
                if not reached.is_folder:
                    found[path] = reached
            yield from found.items()


def split(path: str) -> tuple[str, list[str]]:
    """The folder that a glob begins in, and the steps of the path below it, from the first with a wildcard on."""
    steps = path.split("/")
    first = next((number for number, step in enumerate(steps) if _magic(step)), len(steps))
    # "**/**" finds what "**" finds, in as many ways as there are folders on the way.
    parts = [
        step for number, step in enumerate(steps) if number >= first and steps[number - 1 : number + 1] != ["**", "**"]
    ]
    return "/".join(steps[:first]), parts


def _parse_exclusion(text: str) -> Pattern:
    source = text[1:]
    if not source:
        raise ValueError("'!' takes out what an earlier pattern selected: name it behind the '!'")
    if "\0" in source:
        raise ValueError("holds a NUL character, which no path can")
    if "|" in source:
        raise ValueError(f"{text!r}: '!' and '|' do not go together; name the local side alone")
    return Pattern(text, source, excludes=True)


def _parse(text: str, form: str) -> Pattern:
    if not text:
        raise ValueError("is empty: name a file, a folder or a pattern")
    if "\0" in text:
        raise ValueError("holds a NUL character, which no path can")
    source, *targets = text.split("|")
    if not targets:
        if source.startswith(("/", "~/")) or source == "~" or ".." in source.split("/"):
            raise ValueError(f"{text!r} leaves the folder, which takes both sides: {form}")
        return Pattern(text, source)
    if len(targets) > 1:
        raise ValueError(f"{text!r} has more than one '|': it is {form}")
    target = targets[0]
    for side in (source, target):
        if not side:
            raise ValueError(f"{text!r} names nothing on one side of '|': it is {form}")
        if "*" in side or "?" in side:
            raise ValueError(f"{text!r}: '*' and '?' do not go together with '|'; name the folder, and it goes whole")
        if side.startswith("~") and side != "~" and not side.startswith("~/"):
            raise ValueError(f"{text!r}: '~' stands for one's own home only; write ./{side} for a file of that name")
    pattern = Pattern(text, source, target)
    if not pattern.path and os.path.basename(target) in _NAMELESS:
        raise ValueError(f"{text!r} says no name for what arrives: end it in one, like {target.rstrip('/')}/NAME")
    return pattern


def _steps(path: str) -> list[str]:
    return [step for step in path.split("/") if step not in ("", ".")]


def _magic(step: str) -> bool:
    return "*" in step or "?" in step or "[" in step


def _join(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


def _everything(tree: Tree, folder: str, above: frozenset[tuple[int, int]]) -> Iterator[tuple[str, Entry]]:
    for name, entry in tree.entries(folder, deep=True):
        path = _join(folder, name)
        if not entry.is_folder:
            yield path, entry
        elif entry.identity not in above:
            yield path, entry
            yield from _everything(tree, path, above | {entry.identity})
        elif entry.link:
            yield path, entry._replace(loop=True)


def _glob(
    tree: Tree, folder: str, above: frozenset[tuple[int, int]], parts: Sequence[str]
) -> Iterator[tuple[str, Entry]]:
    """Python's rules (glob.iglob): no wildcard matches a leading dot unless the step begins with one.

    `above` are the folders on the way; a link that leads back to one of them is not entered again.
    """
    step, rest = parts[0], parts[1:]
    if step == "**":
        if rest:
            yield from _glob(tree, folder, above, rest)
        for name, entry in tree.entries(folder, deep=True):
            if name.startswith("."):
                continue
            if entry.is_folder:
                if entry.identity not in above:
                    yield from _glob(tree, _join(folder, name), above | {entry.identity}, parts)
            elif not rest:
                yield _join(folder, name), entry
    elif _magic(step):
        matches = _matcher(step)
        for name, entry in tree.entries(folder, deep=bool(rest)):
            if (name.startswith(".") and not step.startswith(".")) or not matches(name):
                continue
            if not rest:
                yield _join(folder, name), entry
            elif entry.is_folder and entry.identity not in above:
                yield from _glob(tree, _join(folder, name), above | {entry.identity}, rest)
    else:
        path = _join(folder, step)
        found = tree.entry(path)
        if found is not None and not rest:
            yield path, found
        elif found is not None and found.is_folder:
            yield from _glob(tree, path, above | {found.identity}, rest)


def _matcher(step: str) -> Callable[[str], object]:
    import fnmatch
    import re

    return re.compile(fnmatch.translate(step)).match


class LocalTree:
    """The files beneath a folder here."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.folders: dict[str, Entry] = {}
        self.warnings: list[str] = []

    def entry(self, path: str) -> Entry | None:
        full = os.path.join(self.folder, path)
        try:
            entry = _entry(os.stat(full))
        except OSError:
            return Entry(0) if os.path.lexists(full) else None
        entry = entry._replace(link=os.path.islink(full))
        if entry.is_folder:
            self.folders[path] = entry
        return entry

    def entries(self, path: str, *, deep: bool) -> Iterator[tuple[str, Entry]]:  # noqa: ARG002 # one look is as good
        try:
            with os.scandir(os.path.join(self.folder, path)) as listing:
                found = sorted(listing, key=lambda entry: entry.name)
        except OSError as error:
            self.warnings.append(f"{visible(path)} cannot be read: {error.strerror}")
            return
        for one in found:
            if one.name.startswith(PART):
                continue
            try:
                entry = _entry(one.stat())
            except OSError:
                entry = Entry(0)
            if one.is_symlink():
                entry = entry._replace(link=True)
            if entry.is_folder:
                self.folders[_join(path, one.name)] = entry
            yield one.name, entry

    def is_old(self, path: str, entry: Entry) -> bool:  # noqa: ARG002
        return False  # what is sent is no result


def _entry(status: os.stat_result) -> Entry:
    identity, disk = (status.st_dev, status.st_ino), status.st_blocks * 512
    return Entry(status.st_mode, status.st_size, status.st_mtime_ns, identity, disk=disk)
