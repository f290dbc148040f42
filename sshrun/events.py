"""What happens on the way, as data: yielded from below, shown by console.py, written as JSON by it.

`to_data` is the one form of them for programs; docs/json.md describes it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from sshrun.job import Job

VERSION = 1  # of the form, in every object: raised when a field goes or changes its meaning, not when one is added


class Notice(NamedTuple):
    """A line for the person; `kind` is for programs."""

    kind: str
    text: str


class WarningNotice(NamedTuple):
    text: str


class LoginMessage(NamedTuple):
    """A line that ssh, or a program that it goes through, prints while it logs in: it may ask for something."""

    text: str


class PasswordRefused(NamedTuple):
    """A password was refused, and ssh asks again, or has done so already."""

    text: str


class Output(NamedTuple):
    """The job's output, as it is, from byte `offset` on."""

    data: bytes
    offset: int


class TransferProgress(NamedTuple):
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


class JobChanged(NamedTuple):
    """The state of the job on the host."""

    job: Job


class Results(NamedTuple):
    """Results are in place: all their local paths, and a list for a person that may leave some out."""

    paths: tuple[str, ...]
    text: str


class Phase(NamedTuple):
    """What is waited for from now on, until the next one. Without `text` nothing is: the job's command runs.

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
        """Whether the job's log shows it too, perhaps with a bar that is drawn at this moment."""
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
    """A phase too, but with the terminal in ssh's hands: ssh may ask for a password on it, or for a touch of a key."""

    host: str

    @property
    def phase(self) -> Phase:
        return Phase("connecting", f"connecting to {self.host}")


Event = (
    Notice
    | WarningNotice
    | Output
    | TransferProgress
    | Started
    | JobChanged
    | Results
    | LoginMessage
    | PasswordRefused
    | Phase
    | LoggingIn
)


def to_data(event: Event) -> dict[str, Any]:
    """An event as an object for programs. A byte of the output that is no UTF-8 becomes a lone surrogate (PEP 383)."""
    match event:
        case Notice(kind, text):
            return _object("notice", kind=kind, text=text)
        case WarningNotice(text):
            return _object("warning", text=text)
        case LoginMessage(text) | PasswordRefused(text):
            return _object("notice", kind="login", text=text)
        case Output(data, offset):
            return _object("output", offset=offset, text=data.decode("utf-8", "surrogateescape"))
        case TransferProgress():
            return _object("progress", **event._asdict())
        case Started(job_id, host):
            return _object("started", id=job_id, host=host)
        case JobChanged(job):
            return _object("job", id=job.id, state=job.state, code=job.code, phase=job.phase)
        case Results(paths):
            return _object("result", files=list(paths))
        case LoggingIn():
            return to_data(event.phase)
        case Phase():
            return _object("phase", **event._asdict())


def _object(name: str, /, **fields: Any) -> dict[str, Any]:
    return {"version": VERSION, "event": name, **fields}
