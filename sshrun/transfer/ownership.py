"""Which local files a download may replace, and what becomes of the others: they stay, the result goes beside them."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterable
from typing import Protocol


class Ownership(Protocol):
    """What of the files on this machine is ours to replace."""

    def owns(self, path: str) -> bool:
        """Whether the file at a local path may be replaced."""

    def note_downloads(self, paths: Iterable[str]) -> None:
        """Called for each file that was downloaded: from now on it is owned, until somebody changes it."""


class _Everything:
    def owns(self, path: str) -> bool:  # noqa: ARG002
        return True

    def note_downloads(self, paths: Iterable[str]) -> None: ...


EVERYTHING: Ownership = _Everything()


def path_beside(path: str, host: str, is_free: Callable[[str], bool]) -> str:
    """`PATH.from-HOST`; with a number where that is a file that may not be replaced either."""
    first = f"{path}.from-{host}"
    candidates = itertools.chain((first,), (f"{first}-{number}" for number in itertools.count(2)))
    return next(place for place in candidates if not os.path.lexists(place) or is_free(place))


def same_content(path: str, other: str) -> bool:
    """Whether a file that is kept holds, byte for byte, what came beside it."""
    import filecmp  # where results are downloaded, but not where a run begins

    return os.path.isfile(path) and not os.path.islink(path) and filecmp.cmp(path, other, shallow=False)


def kept_text(name: str, other: str) -> str:
    """A line about a file that was kept."""
    return f"{name} is not from this job and stays as it is: the job's is {os.path.basename(other)}"
