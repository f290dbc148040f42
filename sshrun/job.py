"""A job as data: what was asked for, and what is known of it."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, NamedTuple

MANIFEST_VERSION = 1  # raised when a field goes or changes its meaning, not when one is added


class State(StrEnum):
    """What a job is at, as ARCHITECTURE.md draws it. Whoever asks for more than equality asks a predicate."""

    CLAIMED = "claimed"  # the host is taken, files are on their way
    VOID = "void"  # the claim ended before anything was started
    PREPARING = "preparing"  # the environment and the startup commands
    RUNNING = "running"
    FINISHED = "finished"  # with an exit code
    LOST = "lost"  # without one

    @property
    def is_over(self) -> bool:
        """Nothing of the job runs any more."""
        return self in (State.FINISHED, State.LOST)

    @property
    def is_started(self) -> bool:
        """The host has begun the job, and has what was sent for it."""
        return self not in (State.CLAIMED, State.VOID)


SIGNALS = {
    1: "SIGHUP", 2: "SIGINT", 3: "SIGQUIT", 4: "SIGILL", 5: "SIGTRAP", 6: "SIGABRT", 7: "SIGBUS", 8: "SIGFPE",
    9: "SIGKILL", 10: "SIGUSR1", 11: "SIGSEGV", 12: "SIGUSR2", 13: "SIGPIPE", 14: "SIGALRM", 15: "SIGTERM",
}  # fmt: skip


RUNNING_PHASE = "running"
TITLE_LIMIT = 200  # characters
COMMAND_LIMIT = 100


class Manifest(NamedTuple):
    """What the client that started a job wrote down with it: enough to download its results from anywhere."""

    command: str = ""
    model: str = ""
    argv: tuple[str, ...] = ()
    runner: str = ""
    host: str = ""
    client: str = ""
    archive: str = ""
    spec: str = ""
    download_files: tuple[str, ...] = ()
    shutdown_cmds: tuple[str, ...] = ()
    runner_logs: Mapping[str, str] | None = None
    user: str = ""  # on the client
    path: str = ""  # on the client: the spec, without links in it; the current directory where there is no spec
    args: tuple[str, ...] = ()
    startup_cmds: tuple[str, ...] = ()
    project: str = ""  # on the client: the directory that went along whole, and whose results are all that is new
    selected: int = 0  # when its files were, in nanoseconds since the epoch by the client's clock
    results_limit: int = 0  # bytes; what a download leaves on the host where there is more
    version: int = 0  # of the form; 0 where it was written before there was one

    @property
    def resumed_by(self) -> str:
        """What names the job behind --resume."""
        return f"run {os.path.basename(self.spec)}" if self.runner == "run" else f"{self.command} {self.model}"

    @property
    def title(self) -> str:
        """What was typed, arguments included, in one line of bearable length."""
        model = os.path.basename(self.spec) if self.runner == "run" else self.model
        words = self.argv if self.runner == "program" else (self.command, model, *self.args)
        return _cut(" ".join(filter(None, words)), TITLE_LIMIT)

    @property
    def origin(self) -> str:
        """The client that started the job, and the path on it, as scp writes it: `joe@laptop:/home/joe/my_model.py`."""
        login = "@".join(filter(None, (self.user, self.client)))
        return ":".join(filter(None, (login, self.path or self.spec)))

    @property
    def about(self) -> str:
        """What the job is and who started it, in brackets; "" where its claim is all that the host has yet."""
        origin = f"from {self.origin}" if self.origin else ""
        shown = ", ".join(filter(None, (self.title, origin)))
        return f" ({shown})" if shown else ""

    def started_as(self, job: Manifest) -> Manifest:
        """This manifest, of a client that resumes, with what is known of the start, which stays what it was."""
        if not job.path:  # recorded by an older version
            return self._replace(project="", selected=0)
        started = ("argv", "args", "user", "client", "path", "startup_cmds", "project", "selected")
        return self._replace(**{name: getattr(job, name) for name in started})

    def names(self, job: Manifest, *, started_locally: bool) -> bool:
        """Whether COMMAND MODEL, of which this is the manifest, mean the job of that one.

        A path means nothing on another machine: then the client has to be the same as well. `started_locally`
        is for one whose name has changed since. What an older version has not recorded is not compared.
        """
        if (job.command, job.model) != (self.command, self.model):
            return False
        path = job.path
        if not path and job.client == self.client and job.spec:
            path = os.path.realpath(job.spec)
        return not path or (path == self.path and (started_locally or job.client == self.client))


class Client(NamedTuple):
    """Who starts jobs: a user of this machine."""

    user: str
    name: str


def this_client() -> Client:
    import pwd
    import socket

    try:
        user = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # an account that only a container's runtime knows
        user = str(os.getuid())
    return Client(user, socket.gethostname())


class Discarded(NamedTuple):
    """Who ended a job by --force, and when, in seconds since the epoch by the host's clock."""

    by: str
    at: int

    def __str__(self) -> str:
        return f"discarded by --force from {self.by}, {time.strftime('%Y-%m-%d %H:%M', time.localtime(self.at))}"


class Job(NamedTuple):
    """A job as the host describes it. Times are seconds since the epoch, by the host's clock; sizes are bytes."""

    id: str
    state: State
    code: int | None = None
    started: int | None = None
    ended: int | None = None
    log_size: int = 0
    flags: frozenset[str] = frozenset()
    phase: str = ""
    manifest: Manifest = Manifest()
    discarded: Discarded | None = None

    @property
    def cut_off(self) -> str:
        """Where a job ended before its command began, and how; "" where it did not. A lost one ends nowhere."""
        if self.code is None or self.command_began:
            return ""
        kind, _, number = self.phase.partition(" ")
        if kind == "startup" and number.isdecimal():
            commands = self.manifest.startup_cmds
            text = f" (`{_cut(commands[int(number) - 1], COMMAND_LIMIT)}`)" if 0 < int(number) <= len(commands) else ""
            return f"startup command {number}{text} failed with {_code_words(self.code)}"
        where = f"phase {self.phase}" if self.phase else "a start file of the login shell: try sshrun doctor"
        return f"the job ended before its command began ({code_text(self.code)}), in {where}"

    @property
    def is_over(self) -> bool:
        return self.state.is_over

    @property
    def is_started(self) -> bool:
        return self.state.is_started

    @property
    def is_lost(self) -> bool:
        return self.state is State.LOST

    @property
    def is_claim(self) -> bool:
        """Its files are still on their way."""
        return self.state is State.CLAIMED

    @property
    def is_void(self) -> bool:
        """It was never more than a claim."""
        return self.state is State.VOID

    @property
    def command_began(self) -> bool:
        return self.phase == RUNNING_PHASE

    @property
    def is_retrieved(self) -> bool:
        """A client has reported to the host that all results are downloaded."""
        return "retrieved" in self.flags

    @property
    def is_discarded(self) -> bool:
        return "discarded" in self.flags

    @property
    def is_held(self) -> bool:
        """Its shutdown commands have waited once for a download that was missing."""
        return "held" in self.flags

    @property
    def holds_slot(self) -> bool:
        """Whether a start is refused because of this job."""
        return not (self.is_void or self.is_retrieved or self.is_discarded)


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def new_id() -> str:
    """The time of its making, to about a microsecond, so that ids sort by age; and chance, so that two never meet."""
    now = time.time()
    fraction = int(now % 1 * (1 << 20))
    return time.strftime("%Y%m%d-%H%M%S-", time.localtime(now)) + f"{fraction:05x}{os.urandom(2).hex()[:3]}"


def code_text(code: int) -> str:
    """`exit 3`; above 128 a shell cannot tell a signal from the program's own code."""
    name = SIGNALS.get(code - 128)
    return f"exit {code} ({name}, or the program's own code)" if name else f"exit {code}"


def _code_words(code: int) -> str:
    return code_text(code).replace("exit", "exit code", 1)


def manifest_to_data(manifest: Manifest) -> dict[str, Any]:
    return {name: value for name, value in manifest._asdict().items() if value}


def manifest_from_data(data: Mapping[str, Any]) -> Manifest:
    """Reads what this or another version of sshrun wrote: what is unknown is left out."""
    logs = data.get("log_folder")  # until version 1
    if isinstance(logs, Mapping) and "folder" in logs:
        data = {**data, "runner_logs": {"directory": logs["folder"], **logs}}
    known = {name: data[name] for name in Manifest._fields if name in data}
    for name in ("argv", "download_files", "shutdown_cmds", "args", "startup_cmds"):
        if name in known:
            known[name] = tuple(str(item) for item in known[name])
    if not isinstance(known.get("runner_logs"), Mapping):
        known["runner_logs"] = None
    return Manifest(**known)
