"""What a host's refusal means to the person who meets it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sshrun.errors import DirectoryGone, HostBusy, HostUnfit, JobNotFound, SshrunError, TransferFailed
from sshrun.job import Job
from sshrun.jobs.records import Record
from sshrun.jobs.replies import JobReplies, read_discarded
from sshrun.session.protocol import Refusal, decode
from sshrun.transfer.engine import not_placed
from sshrun.units import age_text


@contextmanager
def explaining(host: str, seen: JobReplies) -> Iterator[None]:
    try:
        yield
    except Refusal as refusal:
        explained = _explained(refusal, host, seen)
        if explained is None:
            raise
        raise explained from refusal


def _explained(refusal: Refusal, host: str, seen: JobReplies) -> SshrunError | None:
    """A refusal in the words of the person who meets it."""
    values = decode(refusal.values).decode("utf-8", "replace")
    match refusal.word:
        case "busy":
            return HostBusy(
                busy_text(host, seen.job),
                "sshrun --resume attaches to it; --force stops and discards it",
                seen.job.id if seen.job else "",
            )
        case "late" | "closed":
            return HostBusy(f"{host}: another client was faster", "sshrun status")
        case "discarded":
            job, _, how = refusal.values.partition(" ")
            fate = read_discarded(how) or "discarded by --force from elsewhere"
            return HostBusy(f"{host}: job {job} was {fate}", "sshrun status")
        case "passed":
            job, _, other = values.partition(" ")
            return HostBusy(
                f"{host}: job {job} was retrieved by another client, and the host now has job {other or 'another'}",
                f"sshrun logs {job} shows what it printed",
            )
        case "nothing":
            return JobNotFound(f"{host}: job {values} is not there any more")
        case "directory":
            return HostUnfit(
                f"{host}: the working directory {values!r} cannot be made, entered or written",
                "name another: --host HOST/PATH, or remote_dir",
            )
        case "gone":
            return DirectoryGone(
                f"{host}: the job's working directory {values!r} is gone, and what it left there",
                "sshrun logs shows its log, which is kept; --force gives the host to the next job",
            )
        case "put":
            return not_placed(host, refusal)
        case "blind":
            return HostUnfit(
                f"{host} shows no processes, so that nobody can tell whether a job lives: /proc is not there, nor a ps",
                "have /proc mounted in the chroot or container that the login leads to",
            )
        case "state":
            return HostUnfit(f"{host}: {values}", "free some space there, or see whose directory it is")
        case "stop":
            return HostUnfit(
                f"{host}: processes of the job could not be ended: {values}", "log in and see what they wait for"
            )
        case "start":
            return HostUnfit(f"{host}: the job's supervisor did not start: {values or 'without a word'}")
        case "truncated":
            return TransferFailed(
                f"{host}: its log has {values} bytes, fewer than the copy on this machine",
                "somebody cut it; sshrun logs shows the copy",
            )
    return None


def busy_text(host: str, job: Job | None) -> str:
    if job is None:
        return f"{host} is busy with another job"
    import time

    age = f", {age_text(time.time() - job.started)} old" if job.started else ""
    state = "being uploaded" if job.is_claim else str(job.state)
    if job.is_over:
        retrieved = job.is_retrieved or Record(job.id).retrieved
        state = f"{state}, retrieved" if retrieved else f"{state}, not retrieved"
    return f"{host} has job {job.id}{job.manifest.about}, {state}{age}"
