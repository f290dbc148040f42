"""What is sent to a host, and what is retrieved from it: all that `jobs` has to know of a task."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from sshrun.environment.venv import Environment
from sshrun.job import Manifest
from sshrun.origin import Sourced
from sshrun.transfer.items import Item, Mirror
from sshrun.transfer.ownership import EVERYTHING, Ownership
from sshrun.transfer.patterns import Pattern

if TYPE_CHECKING:
    from pathlib import Path  # which takes a tenth of all imports before ssh is started


class Launcher(NamedTuple):
    """What starts, asks after, ends and measures a job on the host: one of those behind remote/launcher.sh.

    The client names it once, when it starts the job. Every later request means the job, and the host knows the rest.
    """

    name: str = "direct"

    def files(self) -> dict[str, tuple[str, ...]]:
        """What is kept with the job."""
        return {"launcher": (self.name,)}


class Start(NamedTuple):
    """All that a host needs to start a job. `files`, and those of the environment, go into the job's directory."""

    id: str
    directory: str
    manifest: Manifest
    files: Mapping[str, Sequence[str | bytes]]
    environment: Environment
    launcher: Launcher = Launcher()
    modules: Mapping[str, bytes] = {}  # of ours, which the job may import: by their names, their source
    mirror: Mirror | None = None  # of a whole directory, in the working directory
    uploads: Sequence[Item] = ()
    downloads: Sequence[Pattern] = ()  # what exists before the job is no result of it
    engine: str | None = None
    compress: bool | None = None
    requires_python: Sourced[str] | None = None  # of the environment that is made on the host
    discard: bool = False
    clean: bool = False  # the archive of an earlier run goes first


class RunnerLogs(NamedTuple):
    """What a runner writes itself: the directory of a model's logs, downloaded to `local` (absolute), and the log of
    the command, downloaded into it.

    On the host both are below the directory that `variable` names in the job's own environment, where a profile or a
    startup command may have set it, or else below `cache`. A directory of the spec's own choice begins with "/", "~" or
    "./", and is used as it is.
    """

    local: str
    directory: str
    command_log: str
    variable: str
    cache: str

    @property
    def remote(self) -> str:
        """The directory on the host, as far as it is known before the job has begun."""
        return self.directory if is_own_choice(self.directory) else f"{self.cache}/{self.directory}"

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """Each name on the host, and its local path."""
        return (self.directory, self.local), (self.command_log, f"{self.local}/{os.path.basename(self.command_log)}")

    def to_data(self) -> dict[str, str]:
        """What is stored with the job. The local directory is up to whoever retrieves the logs."""
        return {name: value for name, value in self._asdict().items() if name != "local"}


def is_own_choice(directory: str) -> bool:
    return directory.startswith(("/", "~", "./"))


class Retrieval(NamedTuple):
    """What is retrieved when a job is over: `directory` is the local one that results are downloaded to."""

    directory: Path
    archive: str = ""
    archive_sent: bool = False  # it was uploaded: unchanged, it is no result, and nothing to tell of
    logs: RunnerLogs | None = None
    log_copy: str = ""  # a local file for what the command printed
    downloads: Sequence[Pattern] = ()
    shutdown_cmds: Sequence[str] = ()
    everything: bool = False  # also what the job neither made nor changed
    protected: Sequence[str] = ()
    owned: Ownership = EVERYTHING  # of local files; no other one is replaced
    limit: int | None = None  # bytes of downloads; what is more stays on the host
    engine: str | None = None
    compress: bool | None = None
