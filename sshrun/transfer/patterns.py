"""Patterns of the settings: which files they name, and the names that these get on the other side.

A pattern without a pipe is a glob as in Python's `glob` (recursive, hidden names only when named), with the same
relative path on both sides. `SOURCE|TARGET` names one file or directory and the name it gets, or, with a slash at its
end, the directory it goes into. Names are `str` as `os.fsdecode` makes them, so that any bytes come through.
"""

from __future__ import annotations

import os
from typing import NamedTuple

from sshrun import dirs

_NAMELESS = ("", ".", "..", "~")

# Virtual environments and caches, what sshrun itself keeps in a working directory, and the inside of a repository, in
# which no file means anything alone. A virtual environment of another name is told by its pyvenv.cfg: see remote_tree.
_NO_RESULTS = (
    ".venv",
    dirs.NAME,
    ".git",
    "__pycache__",
    ".cache",
    ".ipynb_checkpoints",
    ".mypy_cache",
    ".pytest_cache",
    ".ruff_cache",
    "node_modules",
    "*.egg-info",
)


class Pattern(NamedTuple):
    """What to send. `target` is None for a glob, whose paths are the same on both sides.

    One that `excludes` takes out what an earlier one selected. `sender` and `receiver` are the directories that its
    relative paths begin in, "" for the one that the transfer is given. Nothing of a name in `pruned`, patterns for
    find(1), is among what it means, and nothing beneath such a directory.
    """

    text: str
    source: str
    target: str | None = None
    excludes: bool = False
    sender: str = ""
    receiver: str = ""
    pruned: tuple[str, ...] = ()

    @property
    def is_optional(self) -> bool:
        """Whether it may well match nothing: nobody has named anything in particular."""
        return bool(self.pruned)

    @property
    def literal(self) -> bool:
        """Whether `source` is a name, whatever it holds."""
        return self.target is not None

    @property
    def wildcard(self) -> bool:
        return not self.literal and has_wildcard(self.source)

    @property
    def names_one(self) -> bool:
        """Whether it names a file or directory that is expected to be there."""
        return not (self.wildcard or self.is_optional)

    @property
    def base(self) -> str:
        """The sender's directory that `path` is relative to; "." for the spec's directory, or the working directory."""
        if not self.literal:
            return "."
        directory, name = os.path.split(self.source.rstrip("/") or "/")
        return self.source if name in _NAMELESS else directory or "."

    @property
    def path(self) -> str:
        """Relative to `base`, without "." and ".."; "" for `base` itself."""
        if self.literal:
            name = os.path.basename(self.source.rstrip("/"))
            return "" if name in _NAMELESS else name
        return "/".join(steps_of(self.source))

    @property
    def leaves_directory(self) -> bool:
        """Whether `target` is a place of its own, and not beneath the receiver's directory."""
        return self.place(self.path)[0] != "."

    def place(self, path: str) -> tuple[str, str]:
        """The receiver's directory, and the name beneath it, of what was found as `path`.

        The directory is "." wherever the name suffices; otherwise it is absolute, begins with "~" or contains "..".
        """
        if self.target is None:
            return self.receiver or ".", path
        directory, name = os.path.split(self.target)
        if name in _NAMELESS:
            directory, name = self.target, self.path
        below = path[len(self.path) :].lstrip("/") if self.path else path
        name = f"{name}/{below}" if below else name
        if directory.startswith(("/", "~")):
            return directory, name
        if ".." in directory.split("/"):
            return os.path.join(self.receiver, directory), name
        return self.receiver or ".", "/".join(steps_of(f"{directory}/{name}"))


def parse_upload(text: str, local: str = "") -> Pattern:
    """Reads an item of `upload_files`, whose local side begins in the directory `local` where that is not the spec's.

    Raises ValueError with what is wrong and what to do.
    """
    pattern = _parse_exclusion(text) if text.startswith("!") else _parse(text, "LOCAL|REMOTE")
    return pattern._replace(sender=local)


def parse_download(text: str, local: str = "") -> Pattern:
    """Reads an item of `download_files`, in the same way."""
    return _parse(text, "REMOTE|LOCAL")._replace(receiver=local)


def everything() -> Pattern:
    """All that is beneath the working directory, but what no job makes for anybody to keep."""
    return Pattern(".", ".", pruned=_NO_RESULTS)


def whole(source: str, target: str | os.PathLike[str]) -> Pattern:
    """One file or directory, under exactly these names."""
    return Pattern(source, source, os.fspath(target))


def _parse_exclusion(text: str) -> Pattern:
    source = text[1:]
    if not source:
        raise ValueError("'!' takes out what an earlier pattern selected: name it behind the '!'")
    if "\0" in source:
        raise ValueError("contains a NUL character, which no path can")
    if "|" in source:
        raise ValueError(f"{text!r}: '!' and '|' do not go together; name the local side alone")
    return Pattern(text, source, excludes=True)


def _parse(text: str, form: str) -> Pattern:
    if not text:
        raise ValueError("is empty: name a file, a directory or a pattern")
    if "\0" in text:
        raise ValueError("contains a NUL character, which no path can")
    source, *targets = text.split("|")
    if not targets:
        if source.startswith(("/", "~/")) or source == "~" or ".." in source.split("/"):
            raise ValueError(f"{text!r} leaves the directory, which takes both sides: {form}")
        return Pattern(text, source)
    if len(targets) > 1:
        raise ValueError(f"{text!r} has more than one '|': it is {form}")
    target = targets[0]
    for side in (source, target):
        if not side:
            raise ValueError(f"{text!r} names nothing on one side of '|': it is {form}")
        if "*" in side or "?" in side:
            raise ValueError(
                f"{text!r}: '*' and '?' do not go together with '|'; name the directory, and it goes whole"
            )
        if side.startswith("~") and side != "~" and not side.startswith("~/"):
            raise ValueError(
                f"{text!r}: '~' stands for one's own home directory only; write ./{side} for a file of that name"
            )
    pattern = Pattern(text, source, target)
    if not pattern.path and os.path.basename(target) in _NAMELESS:
        raise ValueError(f"{text!r} gives no name to what arrives: end it in one, like {target.rstrip('/')}/NAME")
    return pattern


def split_glob(path: str) -> tuple[str, list[str]]:
    """The directory that a glob begins in, and the steps of the path below it, from the first with a wildcard on."""
    steps = path.split("/")
    first = next((number for number, step in enumerate(steps) if has_wildcard(step)), len(steps))
    # "**/**" finds what "**" finds, in as many ways as there are directories on the way.
    parts = [
        step for number, step in enumerate(steps) if number >= first and steps[number - 1 : number + 1] != ["**", "**"]
    ]
    return "/".join(steps[:first]), parts


def steps_of(path: str) -> list[str]:
    return [step for step in path.split("/") if step not in ("", ".")]


def has_wildcard(step: str) -> bool:
    return "*" in step or "?" in step or "[" in step
