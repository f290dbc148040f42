"""Symbolic links of a project: what they lead to goes under their name, as long as it is the project's own."""

from __future__ import annotations

import errno
import os
import stat
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import NamedTuple

MOST = 100_000  # names that links to directories may add: each step of nested ones can double them


class Lead(NamedTuple):
    """Where a link leads: to a file (`status`), to a `directory` (relative to the root), or nowhere: `problem`."""

    status: os.stat_result | None = None
    directory: str = ""
    target: str = ""
    problem: str = ""


def follow(root: str, name: str) -> Lead:
    """`target` is relative to the root, links in it resolved."""
    path = os.path.join(root, name)
    try:
        written = os.readlink(path)
    except OSError:
        return Lead(problem="a link that cannot be read")
    real, within = os.path.realpath(path), os.path.realpath(root).rstrip("/") + "/"
    try:
        status = os.stat(path)
    except OSError as error:
        nothing = "to itself" if error.errno == errno.ELOOP else "to nothing"
        return Lead(problem=f"a link {nothing}: {written}")
    if not f"{real}/".startswith(within):
        return Lead(problem=f"a link that leaves the project: {written}")
    target = real[len(within) :]
    if ".git" in target.split("/"):
        return Lead(problem=f"a link into .git: {written}")
    if stat.S_ISDIR(status.st_mode):
        return Lead(directory=target or ".", target=target)
    if not stat.S_ISREG(status.st_mode):
        return Lead(problem=f"a link to what is no file: {written}")
    return Lead(status, target=target)


def expanded(name: str, directories: dict[str, str], files: Sequence[str]) -> Iterator[tuple[str, str]]:
    """What a link to a directory stands for: pairs of a name beneath it, and the file of `files` (sorted) that it is.

    `directories` has where each such link leads. A link to a directory that holds it, or to one that is being
    followed, is a loop, and ends.
    """
    yield from _beneath(name, directories[name], (_above(name),), directories, files)


def is_loop(name: str, directories: dict[str, str]) -> bool:
    return _holds(directories[name], name)


def _beneath(
    name: str, target: str, followed: tuple[str, ...], directories: dict[str, str], files: Sequence[str]
) -> Iterator[tuple[str, str]]:
    followed = (*followed, target)
    prefix = "" if target == "." else f"{target}/"
    at = bisect_left(files, prefix)
    while at < len(files) and files[at].startswith(prefix):
        yield f"{name}/{files[at][len(prefix) :]}", files[at]
        at += 1
    for link, leads_to in directories.items():
        inner = link.startswith(prefix) and not _holds(leads_to, link)
        if inner and not any(_holds(leads_to, before) for before in followed):
            inner_name = f"{name}/{link[len(prefix) :]}"
            yield from _beneath(inner_name, leads_to, (*followed, _above(link)), directories, files)


def _holds(directory: str, name: str) -> bool:
    return directory in (".", name) or name.startswith(f"{directory}/")


def _above(name: str) -> str:
    return os.path.dirname(name) or "."
