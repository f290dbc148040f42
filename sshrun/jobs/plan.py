"""What a host is to be given, and what is to come home: all that jobs.py has to know of a task."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from sshrun.environment.venv import Environment
from sshrun.job import Manifest
from sshrun.origin import Sourced
from sshrun.transfer.items import Item
from sshrun.transfer.ownership import EVERYTHING, Ownership
from sshrun.transfer.patterns import Pattern

if TYPE_CHECKING:
    from pathlib import Path  # which takes a tenth of all imports before ssh is started


class Start(NamedTuple):
    """All that a host needs to start a job. `files`, and those of the environment, go into the job's folder."""

    id: str
    folder: str
    manifest: Manifest
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


class LogFolder(NamedTuple):
    """What a runner writes down itself: the folder of a model's logs, which comes to `here` (absolute), and the log of
    the command, which comes to lie in it.

    On the host both are below the folder that `variable` names in the job's own environment, where a profile or a
    startup command may have set it, or else below `cache`. A folder of the spec's own choice begins with "/", "~" or
    "./", and is where it says.
    """

    here: str
    folder: str
    command_log: str
    variable: str
    cache: str

    @property
    def there(self) -> str:
        """The folder on the host, as far as it is known before the job has begun."""
        return self.folder if is_own_choice(self.folder) else f"{self.cache}/{self.folder}"

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """Each name on the host, and the path it gets here."""
        return (self.folder, self.here), (self.command_log, f"{self.here}/{os.path.basename(self.command_log)}")

    def to_data(self) -> dict[str, str]:
        """What is kept with the job. Where its logs come to is up to whoever fetches them."""
        return {name: value for name, value in self._asdict().items() if name != "here"}


def is_own_choice(folder: str) -> bool:
    return folder.startswith(("/", "~", "./"))


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
    owned: Ownership = EVERYTHING  # of local files; no other one is replaced
    engine: str | None = None
    compress: bool | None = None
