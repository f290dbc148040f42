"""What the host had before a job began: what is the same afterwards is none of its results.

Noted by the host, just before the job begins, of all that the patterns of its results reach: size, times, device and
inode. A time alone would not do: unzip, `cp -p` and `rsync -t` set that of the last writing to any they like.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

from sshrun.session.session import Session
from sshrun.transfer.entries import reach, records
from sshrun.transfer.items import Entry
from sshrun.transfer.patterns import Pattern

# A pattern that whoever resumes a job has brought along was not known when it began. Then the time of the last change
# (ctime, which no program can set) counts, with room for clocks that differ: the host's, and that of its file server.
_DOUBT = 60.0

# Some systems keep whole seconds only: what changed in the second of the start may have changed twice.
_MOMENT = 2


def request_before(session: Session, patterns: Iterable[Pattern]) -> None:
    """Asks the host to record what exists where patterns reach; it replies nothing."""
    for pattern in patterns:
        reached = reach(pattern)
        directory, *tree = reached.values
        session.request("before", reached.key, os.urandom(16).hex(), directory, reached.last, *tree)


class Before:
    """What was noted, for patterns that a job's results are wanted of. `started` is when it began, by the host's clock.

    It asks when it is made, and `read` takes the answer.
    """

    def __init__(self, session: Session, patterns: Iterable[Pattern], started: int | None) -> None:
        self._session = session
        self._started = started
        self._keys = dict.fromkeys(reach(pattern).key for pattern in patterns)
        self._noted: set[str] = set()
        self._stamps: set[tuple[object, ...]] = set()
        for key in self._keys:
            session.request("noted", key)

    def read(self) -> None:
        for key in self._keys:
            mark = self._session.reply().values
            if mark:
                self._noted.add(key)
                self._stamps.update(_stamp(entry) for _, _, entry in records(self._session, mark))
            self._session.reply()

    def holds(self, key: str, entry: Entry, *, reached: bool) -> bool:
        """Whether an entry that the pattern of `key` found is as it was; `reached` where it would have been noted."""
        if key not in self._keys:
            return False
        if _stamp(entry) in self._stamps:
            return not self._just_now(entry)
        return not (reached and key in self._noted) and self._long_ago(entry)

    def _just_now(self, entry: Entry) -> bool:
        return self._started is not None and entry.changed.isdigit() and int(entry.changed) >= self._started - _MOMENT

    def _long_ago(self, entry: Entry) -> bool:
        try:
            return self._started is not None and float(entry.changed) < self._started - _DOUBT
        except ValueError:
            return False


def _stamp(entry: Entry) -> tuple[object, ...]:
    return entry.size, entry.mtime_ns, entry.identity, entry.changed
