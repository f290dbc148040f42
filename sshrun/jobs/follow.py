"""Follows a job's log to the end of the job."""

from __future__ import annotations

from typing import NamedTuple

from sshrun.events import Notice, Output
from sshrun.interrupts import Interrupts
from sshrun.job import Job
from sshrun.jobs.records import Record
from sshrun.jobs.refusals import explaining
from sshrun.jobs.replies import JobReplies, phase_of, read_job
from sshrun.jobs.stop import STOPPING_PHASE
from sshrun.session.protocol import Reply
from sshrun.session.retry import RetryingSession, Steps
from sshrun.session.session import Session
from sshrun.transfer.archive import INLINE_ARCHIVE_LIMIT, NO_ARCHIVE, Archive, read_archive


class Ended(NamedTuple):
    """A job that is over, and its archive as far as that came along with the end."""

    job: Job
    archive: Archive


def follow(link: RetryingSession, job_id: str, archive: str, record: Record, interrupts: Interrupts) -> Steps[Ended]:
    """The log, from the end of the local copy on, until the job is over. Ctrl+C ends the job, not the log."""
    interrupts.hold()
    try:
        with explaining(link.host, JobReplies()):
            return (yield from link.retry(lambda session: follow_once(session, job_id, archive, record, interrupts)))
    finally:
        interrupts.let_go()
        record.close()


def follow_once(session: Session, job_id: str, archive: str, record: Record, interrupts: Interrupts) -> Steps[Ended]:
    ask_to_follow(session, job_id, archive, record.log_size)
    return (yield from stream(session, archive, record, interrupts))


def ask_to_follow(session: Session, job_id: str, archive: str, offset: int) -> None:
    """An archive that is small comes along with the end, which is a wait on the network less."""
    session.request("follow", job_id, str(offset), archive, str(INLINE_ARCHIVE_LIMIT))


def stream(session: Session, archive: str, record: Record, interrupts: Interrupts) -> Steps[Ended]:
    """What a follow that was asked for brings."""
    if interrupts.asked:
        yield STOPPING_PHASE
        session.send(b"interrupt\n")  # the connection may have been lost before it arrived
    while True:
        offset = int(session.reply().values)
        for piece in session.raw_and_notices(interrupts.descriptor):
            if isinstance(piece, Reply):
                if not interrupts.asked:
                    yield phase_of(piece)
            elif piece:
                record.write_log(piece, offset)
                yield Output(piece, offset)
                offset += len(piece)
            else:
                interrupts.taken()
                yield Notice("stopping", "stopping the job; Ctrl+C again leaves at once")
                yield STOPPING_PHASE
                session.send(b"interrupt\n")
        size = int(session.reply().values)
        job = yield from read_job(session, "manifest")
        assert job is not None
        ended = Ended(job, read_archive(session, archive) if archive else NO_ARCHIVE)
        if offset >= size:
            return ended
        ask_to_follow(session, record.id, archive, offset)
