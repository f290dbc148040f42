"""What a host has of jobs: the current one, all that it keeps, and what one uses."""

from __future__ import annotations

from sshrun.errors import JobNotFound
from sshrun.job import Job
from sshrun.jobs.records import records
from sshrun.jobs.replies import JobReplies
from sshrun.session.protocol import decode
from sshrun.session.retry import RetryingSession, Steps
from sshrun.session.session import Session


def attach(link: RetryingSession) -> Steps[Job]:
    """The current job of the host, retrieved or not. Raises JobNotFound."""

    def step(session: Session) -> Steps[Job]:
        seen = JobReplies()
        _ask_for_fates(session, link.host)
        session.request("attach")
        yield from seen.take_until(session, "done")
        if seen.job is not None and seen.job.is_started and not seen.job.is_discarded:
            return seen.job
        if seen.others:
            where = ", ".join(seen.others)
            raise JobNotFound(
                f"{link.host}: no job is there; one is on {where}, which shares this home directory",
                f"name that machine: --host {seen.others[0]}",
            )
        raise JobNotFound(f"{link.host}: no job is there", "sshrun jobs lists those of before")

    return (yield from link.retry(step))


def list_jobs(link: RetryingSession) -> Steps[list[Job]]:
    """All jobs that the host keeps."""

    def step(session: Session) -> Steps[list[Job]]:
        session.request("list_jobs")
        found: list[Job] = []
        seen = JobReplies()
        for reply in session.replies("done"):
            seen.note(reply)
            if reply.word == "manifest" and seen.job is not None:
                found.append(seen.job)
        yield from ()
        return found

    return (yield from link.retry(step))


def query(link: RetryingSession, lines: int) -> Steps[tuple[Job | None, dict[str, str], list[str]]]:
    """The current job, what its processes use, and the last lines of its log."""

    def step(session: Session) -> Steps[tuple[Job | None, dict[str, str], list[str]]]:
        _ask_for_fates(session, link.host)
        session.request("status", str(lines))
        seen = JobReplies()
        usage: dict[str, str] = {}
        tail: list[str] = []
        for reply in session.replies("done"):
            seen.note(reply)
            if reply.word == "fate":
                yield from seen.take(reply)
            elif reply.word == "use":
                name, _, value = reply.values.partition(" ")
                usage[name] = value
            elif reply.word == "line":
                tail.append(decode(reply.values).decode("utf-8", "replace"))
        return seen.job, usage, tail

    return (yield from link.retry(step))


def _ask_for_fates(session: Session, host: str) -> None:
    """Asks what has become of jobs whose results this machine still awaits: somebody may have discarded one."""
    awaited = [record.id for record in records() if record.open and record.manifest().host == host]
    if awaited:
        session.request("fates", *awaited)
