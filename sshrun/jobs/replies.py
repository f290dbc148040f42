"""Reads the host's replies that are about jobs."""

from __future__ import annotations

from sshrun.errors import HostUnfit
from sshrun.events import JobChanged, Notice, Phase, WarningNotice
from sshrun.job import Discarded, Job, Manifest, State, manifest_from_data
from sshrun.jobs.phases import phase
from sshrun.jobs.records import Record
from sshrun.session.protocol import Reply, decode
from sshrun.session.retry import Steps
from sshrun.session.session import Session


class JobReplies:
    """What a host's replies say on the way: its capabilities, and its current job."""

    def __init__(self) -> None:
        self.capabilities: dict[str, str] = {}
        self.job: Job | None = None
        self.others: list[str] = []

    def take(self, reply: Reply) -> Steps[None]:
        """Notes a reply, and tells of it."""
        self.note(reply)
        if reply.word == "manifest" and self.job is not None:
            yield JobChanged(self.job)
        elif reply.word == "note":
            yield WarningNotice(decode(reply.values).decode("utf-8", "replace"))
        elif reply.word == "discarded":
            about = self.job.manifest.about if self.job is not None else ""
            yield Notice("discarded", f"stopped and discarded job {reply.values}{about}")
        elif reply.word == "fate":
            job_id, _, how = reply.values.partition(" ")
            record, discarded = Record(job_id), read_discarded(how)
            if record.open and discarded is not None:
                title = record.manifest().title
                record.mark_discarded(str(discarded))
                yield WarningNotice(f"job {job_id}{f' ({title})' if title else ''} was {discarded}")

    def take_until(self, session: Session, last: str) -> Steps[Reply]:
        """Takes every reply up to the first one of that word, which it returns."""
        for reply in session.replies(last):
            yield from self.take(reply)
        return reply

    def note(self, reply: Reply) -> None:
        if reply.word == "fact":
            name, _, value = reply.values.partition(" ")
            if name == "other":
                self.others.append(value)
            else:
                self.capabilities[name] = value
        elif reply.word == "job":
            self.job = _job(reply)
        elif reply.word == "manifest" and self.job is not None:
            self.job = self.job._replace(manifest=_manifest(reply.values))
        elif reply.word == "by" and self.job is not None:
            self.job = self.job._replace(discarded=read_discarded(reply.values))


def read_job(session: Session, last: str) -> Steps[Job | None]:
    seen = JobReplies()
    yield from seen.take_until(session, last)
    return seen.job


def phase_of(aside: Reply) -> Phase:
    return phase(decode(aside.values).decode("utf-8", "replace"))


def _job(reply: Reply) -> Job:
    job_id, state, code, started, ended, size, flags, phase = reply.values.split(" ", 7)
    if not (job_id.isascii() and job_id.replace("-", "").isalnum()):
        raise HostUnfit(f"the host names a job {job_id!r}, which is no name that sshrun gives", "sshrun doctor")
    return Job(
        id=job_id,
        state=_state(state),
        code=None if code == "-" else int(code),
        started=None if started == "-" else int(started),
        ended=None if ended == "-" else int(ended),
        log_size=int(size),
        flags=frozenset(filter(None, flags.strip("-").split(","))),
        phase="" if phase == "-" else phase,
    )


def _state(word: str) -> State:
    try:
        return State(word)
    except ValueError:
        raise HostUnfit(f"the host names a state {word!r} of a job, which is unknown", "update sshrun") from None


def read_discarded(values: str) -> Discarded | None:
    at, _, by = values.partition(" ")
    return Discarded(decode(by).decode("utf-8", "replace"), int(at)) if at.isdecimal() else None


def _manifest(values: str) -> Manifest:
    import json

    try:
        return manifest_from_data(json.loads(decode(values) or b"{}"))
    except (ValueError, TypeError):
        return Manifest()
