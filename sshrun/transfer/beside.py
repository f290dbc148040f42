"""Where a result goes whose own place holds a local file that it must not replace: beside it, as NAME.from-HOST."""

from __future__ import annotations

import filecmp
import itertools
import os
from collections.abc import Callable

Owned = Callable[[str], bool]  # whether what stands at a local path is this job's own, and may be replaced


def beside(path: str, host: str, free: Owned) -> str:
    """The place beside `path`; with a number where that holds something that may not be replaced either."""
    first = f"{path}.from-{host}"
    places = itertools.chain((first,), (f"{first}-{number}" for number in itertools.count(2)))
    return next(place for place in places if not os.path.lexists(place) or free(place))


def same_content(path: str, place: str) -> bool:
    """Whether a file that is kept holds, byte for byte, what came beside it."""
    return os.path.isfile(path) and not os.path.islink(path) and filecmp.cmp(path, place, shallow=False)


def kept_text(name: str, place: str) -> str:
    """A line about a file that was kept."""
    return f"{name} here is not from this job and stays as it is: the job's is {os.path.basename(place)}"
