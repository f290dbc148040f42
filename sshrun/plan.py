"""What a host is to be given, and what is to come home: all that jobs.py has to know of a task."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from sshrun.environment import Environment
from sshrun.job import Facts
from sshrun.paths import Item, Pattern
from sshrun.runner import LogFolder
from sshrun.sources import Sourced

if TYPE_CHECKING:
    from pathlib import Path  # which takes a tenth of all imports before ssh is started


class Start(NamedTuple):
    """All that a host needs to start a job. `files`, and those of the environment, go into the job's folder."""

    id: str
    folder: str
    facts: Facts
    files: Mapping[str, Sequence[str | bytes]]
    environment: Environment
    stand_in: bytes = b""  # what a spec imports as sshrun, where sshrun is not installed
    uploads: Sequence[Item] = ()
    downloads: Sequence[Pattern] = ()  # of what stands there before the job, nothing is a result of it
    engine: str | None = None
    compress: bool | None = None
    requires_python: Sourced[str] | None = None  # of the environment that is made there
    discard: bool = False
    clean: bool = False  # the archive of an earlier run goes first


class Homecoming(NamedTuple):
    """What comes home when a job is over, and where to: `home` is a folder here."""

    home: Path
    archive: str = ""
    archive_sent: bool = False  # it came from here: unchanged, it is no matter
    logs: LogFolder | None = None
    log_copy: str = ""  # a file here for what the command printed
    downloads: Sequence[Pattern] = ()
    shutdown_cmds: Sequence[str] = ()
    everything: bool = False  # also what the job neither made nor changed
    protected: Sequence[str] = ()
    owned: Callable[[str], bool] | None = None  # where set, what is not the job's own here is not replaced
    engine: str | None = None
    compress: bool | None = None
