"""Which local files a download may replace, and what becomes of the others: they stay, the result goes beside them."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterable
from typing import Protocol


class Ownership(Protocol):
    """What of the files on this machine is ours to replace; `reason` is said of one that is not."""

    @property
    def reason(self) -> str: ...

    def owns(self, path: str) -> bool:
        """Whether the file at a local path may be replaced."""

    def note_downloads(self, paths: Iterable[str]) -> None:
        """Called for each file that was downloaded: from now on it is owned, until somebody changes it."""


class _Everything:
    reason = ""

    def owns(self, path: str) -> bool:  # noqa: ARG002
        return True

    def note_downloads(self, paths: Iterable[str]) -> None: ...


EVERYTHING: Ownership = _Everything()


class Since:
    """What nobody has changed since a moment, in nanoseconds of this machine's clock, and what came from the job.

    By the time of the last change (ctime), which no program can set.
    """

    reason = "was changed here since the job began"

    def __init__(self, moment: int, record: Ownership) -> None:
        self._moment = moment
        self._record = record

    def owns(self, path: str) -> bool:
        try:
            unchanged = os.lstat(path).st_ctime_ns < self._moment
        except OSError:
            return True
        return unchanged or self._record.owns(path)

    def note_downloads(self, paths: Iterable[str]) -> None:
        self._record.note_downloads(paths)


def path_beside(path: str, host: str, is_free: Callable[[str], bool]) -> str:
    """`PATH.from-HOST`; with a number where that is a file that may not be replaced either."""
    first = f"{path}.from-{host}"
    candidates = itertools.chain((first,), (f"{first}-{number}" for number in itertools.count(2)))
    return next(place for place in candidates if not os.path.lexists(place) or is_free(place))


def same_content(path: str, other: str) -> bool:
    """Whether a file that is kept holds, byte for byte, what came beside it."""
    import filecmp  # where results are downloaded, but not where a run begins

    return os.path.isfile(path) and not os.path.islink(path) and filecmp.cmp(path, other, shallow=False)


def kept_text(name: str, other: str, owned: Ownership) -> str:
    """A line about a file that was kept."""
    return f"{name} {owned.reason} and stays as it is: the job's is {os.path.basename(other)}"
