"""A job as data: what was asked for, what is known of it, and what happens on the way."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

State = Literal["claimed", "void", "preparing", "running", "finished", "lost"]

SIGNALS = {
    1: "SIGHUP", 2: "SIGINT", 3: "SIGQUIT", 4: "SIGILL", 5: "SIGTRAP", 6: "SIGABRT", 7: "SIGBUS", 8: "SIGFPE",
    9: "SIGKILL", 10: "SIGUSR1", 11: "SIGSEGV", 12: "SIGUSR2", 13: "SIGPIPE", 14: "SIGALRM", 15: "SIGTERM",
}  # fmt: skip


TITLE_LIMIT = 200  # characters
COMMAND_LIMIT = 100


class Facts(NamedTuple):
    """What the client that started a job wrote down with it: enough to bring its results home from anywhere."""

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
    log_folder: Mapping[str, str] | None = None
    user: str = ""  # on the client
    path: str = ""  # on the client: the spec, without links in it; the current directory where there is no spec
    args: tuple[str, ...] = ()
    startup_cmds: tuple[str, ...] = ()

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
        """The client that started the job, and the path there, as scp writes it: `joe@laptop:/home/joe/my_model.py`."""
        login = "@".join(filter(None, (self.user, self.client)))
        return ":".join(filter(None, (login, self.path or self.spec)))

    def started_as(self, job: Facts) -> Facts:
        """These facts, of a client that resumes, with those of the start, which stay what they were."""
        if not job.path:  # recorded by an older version
            return self
        started = ("argv", "args", "user", "client", "path", "startup_cmds")
        return self._replace(**{name: getattr(job, name) for name in started})

    def names(self, job: Facts, *, started_here: bool) -> bool:
        """Whether COMMAND MODEL, of which these are the facts, mean the job of those facts.

        A path says nothing on another machine: there it is the client that has to be the same as well. `started_here`
        is for one whose name has changed since. What an older version has not recorded is not compared.
        """
        if (job.command, job.model) != (self.command, self.model):
            return False
        path = job.path
        if not path and job.client == self.client and job.spec:
            path = os.path.realpath(job.spec)
        return not path or (path == self.path and (started_here or job.client == self.client))


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
    marks: frozenset[str] = frozenset()
    phase: str = ""
    facts: Facts = Facts()
    discarded: Discarded | None = None

    @property
    def cut_off(self) -> str:
        """Where a job ended before its command began, and how; "" where it did not. A lost one ends nowhere."""
        if self.code is None or self.phase == "running":
            return ""
        kind, _, number = self.phase.partition(" ")
        if kind == "startup" and number.isdecimal():
            commands = self.facts.startup_cmds
            text = f" (`{_cut(commands[int(number) - 1], COMMAND_LIMIT)}`)" if 0 < int(number) <= len(commands) else ""
            return f"startup command {number}{text} failed with {_code_words(self.code)}"
        where = f"phase {self.phase}" if self.phase else "a start file of the login shell there: try sshrun doctor"
        return f"the job ended before its command began ({code_text(self.code)}), in {where}"

    @property
    def over(self) -> bool:
        return self.state in ("finished", "lost")


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


def files_text(count: int) -> str:
    return "1 file" if count == 1 else f"{count} files"


def size_text(count: int) -> str:
    """`81.2 GB` of so many bytes: of 1000, as disks and networks are sold."""
    size = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 999.5:  # what is rounded to three digits
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} TB"


def age_text(seconds: float) -> str:
    """`42 s`, `7 min`, `3 h 20 min`, `2 d 4 h`."""
    whole = max(0, int(seconds))
    if whole < 120:
        return f"{whole} s"
    minutes, hours = whole // 60, whole // 3600
    if hours < 1:
        return f"{minutes} min"
    if hours < 48:
        return f"{hours} h {minutes % 60} min"
    return f"{hours // 24} d {hours % 24} h"


# What happens on the way. jobs.py yields these, console.py shows them.


class Said(NamedTuple):
    """A line for the person; `kind` is what --json calls it."""

    kind: str
    text: str


class Warned(NamedTuple):
    text: str


class Heard(NamedTuple):
    """A line of a program that ssh goes through while it logs in: it may ask for something to be done."""

    text: str


class TryAgain(NamedTuple):
    """A password was refused, and ssh asks again, or has done so already."""

    text: str


class Logged(NamedTuple):
    """The job's output, as it is, from byte `offset` on."""

    data: bytes
    offset: int


class Moved(NamedTuple):
    """Files on their way: `direction` is "upload" or "download"; sizes in bytes."""

    direction: str
    done: int
    total: int
    files: int
    finished: bool = False
    engine: str = ""  # the ways it took, once it is finished


class Started(NamedTuple):
    """The host holds the job."""

    id: str
    host: str


class Described(NamedTuple):
    """What is known of the job changed."""

    job: Job


class Retrieved(NamedTuple):
    """Results are in place: all their local paths, and a line for a person that may leave some out."""

    paths: tuple[str, ...]
    text: str


class Phase(NamedTuple):
    """What is waited for from here on, until the next one. Without `text` nothing is: the job's command runs.

    `name` is for programs; `detail` is what it is at, and changes within a phase. Where it is one of several, it is
    `number` of `total`.
    """

    name: str
    text: str = ""
    number: int = 0
    total: int = 0
    detail: str = ""

    @property
    def logged(self) -> bool:
        """Whether the job's log tells of it too, perhaps with a bar that is drawn at this moment."""
        return self.name in ("environment", "startup")

    @property
    def early(self) -> bool:
        """Whether every command begins with it, quickly as a rule."""
        return self.name in ("reading", "connecting", "answer", "examining")

    @property
    def lengthy(self) -> bool:
        """Whether it may take minutes by its nature; other phases do only where host or network are slow."""
        return self.logged or self.name in ("wheels", "stopping", "discarding", "shutdown")


class LoggingIn(NamedTuple):
    """A phase too, but with the terminal in ssh's hands: it may ask for a password there, or a touch of a key."""

    host: str

    @property
    def phase(self) -> Phase:
        return Phase("connecting", f"connecting to {self.host}")


Event = Said | Warned | Logged | Moved | Started | Described | Retrieved | Heard | TryAgain | Phase | LoggingIn


def facts_to_data(facts: Facts) -> dict[str, Any]:
    return {name: value for name, value in facts._asdict().items() if value}


def facts_from_data(data: Mapping[str, Any]) -> Facts:
    """Reads facts that this or another version of sshrun wrote: what is unknown is left out."""
    known = {name: data[name] for name in Facts._fields if name in data}
    for name in ("argv", "download_files", "shutdown_cmds", "args", "startup_cmds"):
        if name in known:
            known[name] = tuple(str(item) for item in known[name])
    return Facts(**known)
