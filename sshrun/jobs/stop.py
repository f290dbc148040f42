"""Ends every process of a job."""

from __future__ import annotations

from sshrun.events import Phase
from sshrun.job import Job
from sshrun.jobs.refusals import explaining
from sshrun.jobs.replies import JobReplies, read_job
from sshrun.session.retry import RetryingSession, Steps
from sshrun.session.session import Session

STOPPING_PHASE = Phase("stopping", "waiting for the job to end")


def stop(link: RetryingSession, job_id: str) -> Steps[Job]:
    """Ends every process of the job. Raises HostUnfit where one survives even SIGKILL."""

    def step(session: Session) -> Steps[Job]:
        session.request("stop", job_id)
        yield STOPPING_PHASE
        with explaining(link.host, JobReplies()):
            job = yield from read_job(session, "stopped")
        assert job is not None
        return job

    return (yield from link.retry(step))
