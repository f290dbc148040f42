"""A file of this machine that was sent and that its job replaces, as a notebook is executed in place.

The local one is replaced only as long as it is what was sent: who went on editing it meanwhile finds the result beside
it, like that of another job.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

from sshrun.jobs.records import Record, Stamp, stamp
from sshrun.transfer.ownership import Ownership


class Rewritten:
    """The ownership of a job's results where one of them is such a file; `others` owns the rest."""

    reason = "was changed here since the job began"

    def __init__(self, path: str, record: Record, others: Ownership) -> None:
        self._path = _place(path)
        self._record = record
        self._others = others
        self._sent: Stamp = []

    def look(self) -> None:
        """What stands there from now on is what was sent."""
        self._sent = stamp(self._path)

    def note_sent(self) -> None:
        """Called once there is a record of the job."""
        self._record.note_stamps({self._path: self._sent})

    def owns(self, path: str) -> bool:
        # Also where the results go to another directory than the one that it was sent from.
        is_it = os.path.basename(path) == os.path.basename(self._path)
        return self._record.owns(path) if is_it else self._others.owns(path)

    def note_downloads(self, paths: Iterable[str]) -> None:
        paths = list(paths)
        self._record.note_downloads(paths)
        if self._others is not self._record:
            self._others.note_downloads(paths)


def _place(path: str) -> str:
    """As downloads name it: links in the directory are resolved, and a link of that name is not."""
    directory, name = os.path.split(path)
    return os.path.join(os.path.realpath(directory), name)
