"""Shows the log of a job that somebody else may be following."""

from __future__ import annotations

from collections.abc import Callable

from sshrun.events import Output
from sshrun.jobs.refusals import explaining
from sshrun.jobs.replies import JobReplies, phase_of, read_job
from sshrun.session.protocol import Reply
from sshrun.session.retry import RetryingSession, Steps
from sshrun.session.session import Session


def log(link: RetryingSession, job_id: str, lines: int | None) -> Steps[None]:
    """The log of a job as it is now: all of it, or the last `lines`. Without an id, that of the current job."""
    yield from link.retry(_log(link.host, job_id, lines))


def watch(link: RetryingSession, job_id: str, lines: int | None) -> Steps[None]:
    """The same, and what the job adds to it until it is over."""
    job_id, offset = yield from link.retry(_log(link.host, job_id, lines))

    def step(session: Session) -> Steps[None]:
        nonlocal offset
        session.request("follow", job_id, str(offset))
        session.reply()
        for piece in session.raw_and_notices():
            if isinstance(piece, Reply):
                yield phase_of(piece)
            elif piece:
                yield Output(piece, offset)
                offset += len(piece)
        session.reply()
        yield from read_job(session, "manifest")

    yield from link.retry(step)


def _log(host: str, job_id: str, lines: int | None) -> Callable[[Session], Steps[tuple[str, int]]]:
    """A step that shows a log, and goes on behind what it has shown when it is done again.

    Returns the job's whole id and the size of its log.
    """
    shown = 0

    def step(session: Session) -> Steps[tuple[str, int]]:
        nonlocal shown
        session.request("log", job_id, "" if lines is None else str(lines))
        with explaining(host, JobReplies()):
            found = session.reply().values
        chunks = session.raw()
        if lines is not None:
            chunks = iter([b"".join(chunks)])  # by the next time other lines may be the last ones
        offset = 0
        for chunk in chunks:
            new = chunk[max(0, shown - offset) :]
            offset += len(chunk)
            if new:
                shown = offset
                yield Output(new, offset - len(new))
        return found, int(session.reply().values)

    return step
