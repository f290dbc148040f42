"""The errors a user can meet, and the exit status each of them means.

    SshrunError ........................ 70   (never raised itself)
    ├── UsageError ..................... 2    wrong words on the command line
    ├── ProgramMissing ................. 2    a program that this machine needs is missing
    ├── SettingsError .................. 2    wrong words in files, all of them at once
    ├── JobNotFound ................... 2    nothing to resume, follow, stop or retrieve
    ├── HostBusy ..................... 75   another job holds the host (EX_TEMPFAIL of sysexits.h)
    ├── JobLost ........................ 76   the job ended without a trace
    └── RemoteError .................... 255  as ssh itself has it
        ├── ConnectionFailed ...........      no connection, and a retry may help: it was lost, or the server hung up
        │   ├── Unreachable ............      nobody answered, so that a retry may follow soon
        │   └── Refused ................      a retry cannot help: a key or a host key is wrong
        │       └── AnswerNeeded .......      a retry can help if a person answers: a password, a passphrase, a code
        ├── HostUnfit ..................      the host lacks what a job needs
        │   └── DirectoryGone ..........      a job's working directory, and with it its results
        ├── TransferFailed .............      files did not arrive whole
        └── OutputFailed ...............      what the job prints cannot be shown or written

Each is one line that names what is wrong and where, and a hint: what to type next. `details` is the rest, for -v.
"""

from __future__ import annotations


class SshrunError(Exception):
    """An error that is the user's to solve: shown as one line, never as a traceback."""

    exit_status = 70
    details = ""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(SshrunError):
    """The command line cannot be understood."""

    exit_status = 2


class ProgramMissing(SshrunError, FileNotFoundError):
    """A program of this machine that is needed is not on PATH."""

    exit_status = 2

    def __init__(self, program: str) -> None:
        package = "the OpenSSH client" if program.startswith(("ssh", "scp")) else "it"
        super().__init__(f"{program} is not installed on this machine, or not on PATH", f"install {package}")


class SettingsError(SshrunError):
    """Settings files, a spec or what they name are wrong; `problems` holds one line each."""

    exit_status = 2

    def __init__(self, problems: list[str], hint: str = "", details: str = "") -> None:
        super().__init__("\n".join(problems), hint)
        self.problems = problems
        self.details = details


class JobNotFound(SshrunError):
    """There is no job to resume, follow, stop or retrieve."""

    exit_status = 2


class HostBusy(SshrunError):
    """Another job holds the host; `job_id` is "" where it is not known."""

    exit_status = 75

    def __init__(self, message: str, hint: str = "", job_id: str = "") -> None:
        super().__init__(message, hint)
        self.job_id = job_id


class JobLost(SshrunError):
    """The job ended without leaving its exit code: a restart of the host, or SIGKILL."""

    exit_status = 76


class RemoteError(SshrunError):
    """The connection, a transfer or retrieving failed."""

    exit_status = 255


class ConnectionFailed(RemoteError):
    """There is no connection now; trying again may help."""


class Unreachable(ConnectionFailed):
    """Nobody answered: refused, unreachable, timed out, or a name that does not resolve now."""


class Refused(ConnectionFailed):
    """There is no connection, and trying again cannot help: a key or a host key is wrong."""


class AnswerNeeded(Refused):
    """Logging in takes a person's answer, and nobody could be asked."""


class HostUnfit(RemoteError):
    """The host answers, but lacks something without which no job can run."""


class DirectoryGone(HostUnfit):
    """The working directory of a job was removed, and with it what the job wrote."""


class TransferFailed(RemoteError):
    """Files did not arrive whole; those that they would replace are unchanged."""


class OutputFailed(RemoteError):
    """What the job prints cannot be shown or written (a full disk, a directory of somebody else's); it goes on."""

    def __init__(
        self, place: str, error: OSError, hint: str = "free some space; a job that runs goes on: sshrun --resume"
    ) -> None:
        super().__init__(f"{place}: {error.strerror}", hint)
