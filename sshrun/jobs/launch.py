"""Starts a job: claims the host, uploads what the job needs, and has its supervisor started."""

from __future__ import annotations

import os
from collections.abc import Callable
from signal import SIGINT

from sshrun import dirs
from sshrun.environment.requires_python import RELEASES, fits, nearest_that_fits
from sshrun.environment.wheels import HostPython, collect
from sshrun.environment.wheels import items as wheel_items
from sshrun.errors import HostBusy, HostUnfit
from sshrun.events import Notice, Phase, Started, WarningNotice
from sshrun.interrupts import Interrupted, Interrupts
from sshrun.jobs.finish import release
from sshrun.jobs.follow import Ended, ask_to_follow, follow_once, stream
from sshrun.jobs.plan import Start
from sshrun.jobs.records import Record
from sshrun.jobs.refusals import explaining
from sshrun.jobs.replies import JobReplies, read_job
from sshrun.session.protocol import Refusal, decode, encode
from sshrun.session.retry import Result, RetryingSession, Steps
from sshrun.session.session import Session
from sshrun.transfer.before import request_before
from sshrun.transfer.inline import Inline, inline, request_inline
from sshrun.transfer.mirror import request_mirror, update
from sshrun.transfer.upload import upload

KEEP = 20  # jobs whose logs and manifests stay on the host


def start(link: RetryingSession, plan: Start) -> Steps[None]:
    """Claims the host for the job, uploads its files and starts it.

    Raises HostBusy, HostUnfit, TransferFailed.
    """

    def step(session: Session, small: Inline | None, again: bool) -> Steps[None]:
        if not (again and (yield from _begun(session, plan.id))):
            yield from _send(session, link, plan, small)
            yield from _started(session, link, plan)
        yield Started(plan.id, link.host)

    yield from _sent(link, plan, step)


def run(link: RetryingSession, plan: Start, record: Record, interrupts: Interrupts) -> Steps[Ended]:
    """Starts the job and follows it to its end, as `start` and `follow` do, without a wait in between."""

    def step(session: Session, small: Inline | None, again: bool) -> Steps[Ended]:
        if again and not record.begun and (yield from _begun(session, plan.id)):
            yield from begun()
        if record.begun:
            return (yield from follow_once(session, plan.id, plan.manifest.archive, record, interrupts))
        interrupts.let_go()
        if interrupts.asked:
            raise Interrupted(SIGINT)  # it came while the connection was lost, and there is no job to stop
        yield from _send(session, link, plan, small)
        # From here on a Ctrl+C means the job, even if it begins only now.
        interrupts.hold()
        ask_to_follow(session, plan.id, plan.manifest.archive, record.log_size)
        yield from _started(session, link, plan)
        yield from begun()
        return (yield from stream(session, plan.manifest.archive, record, interrupts))

    def begun() -> Steps[None]:
        record.mark_started(plan.manifest)
        yield Started(plan.id, link.host)

    try:
        return (yield from _sent(link, plan, step))
    finally:
        interrupts.let_go()
        record.close()


def _sent(
    link: RetryingSession, plan: Start, step: Callable[[Session, Inline | None, bool], Steps[Result]]
) -> Steps[Result]:
    """Carries through a step that sends a small upload along with its requests, as far as the host can unpack it.

    The step is told when it is done `again`: what was sent over a connection that was lost may have arrived.
    """
    sessions = 0

    def numbered(session: Session) -> Steps[Result]:
        nonlocal sessions
        sessions += 1
        return step(session, small, sessions > 1)

    small = inline(plan.uploads)
    released = ""
    while True:
        try:
            return (yield from link.retry(numbered))
        except Refusal as refusal:
            if refusal.word != "notar" or small is None:
                raise
            small = None
        except HostBusy as other:
            # All of its results are downloaded: only the release did not arrive.
            if other.job_id in ("", released) or not Record(other.job_id).retrieved:
                raise
            released = other.job_id
            link.kill_session()
            yield from release(link, released)


def _begun(session: Session, job_id: str) -> Steps[bool]:
    """Whether the host has started a job that it was asked to start: then nothing is to be sent to it again."""
    session.request("attach")
    job = yield from read_job(session, "done")
    return job is not None and job.id == job_id and job.is_started


def _send(session: Session, link: RetryingSession, plan: Start, small: Inline | None) -> Steps[None]:
    """Asks for all that is needed, up to the start. With a small upload nothing is waited for."""
    seen = JobReplies()
    if plan.discard:
        yield Phase("discarding", f"waiting for {link.host} to stop and discard the job that it has")
        session.request("force", plan.id, str(KEEP), "@".join((plan.manifest.user, plan.manifest.client)))
    else:
        session.request("claim", plan.id, str(KEEP))
    session.request("place", plan.directory)
    yield from _see_that_python_fits(session, link, plan)
    if plan.mirror is not None or small is None:
        session.request("probe", ".")
        with explaining(link.host, seen):
            if plan.mirror is not None:
                request_mirror(session, plan.mirror)
            yield from seen.take_until(session, "done")
            how = seen.capabilities, plan.engine, plan.compress
            if plan.mirror is not None:
                yield from update(session, link.connection, plan.mirror, *how)
            if small is None:
                yield from upload(session, link.connection, plan.uploads, *how)
    if small is not None:
        request_inline(session, small)
    wheels_directory = yield from _send_wheels(session, link, plan)
    for name, values in {**plan.files, **plan.launcher.files(), **plan.environment.files(wheels_directory)}.items():
        session.request("keep", name, *(encode(value) for value in values))
    for name, source in plan.modules.items():
        session.request("module", name, source)
    if plan.clean:
        session.request("clean", plan.manifest.archive)
    request_before(session, plan.downloads)
    session.request("start", plan.manifest.archive)


def _see_that_python_fits(session: Session, link: RetryingSession, plan: Start) -> Steps[None]:
    """Before anything is uploaded or built: the Python that the environment would be made with. Raises HostUnfit."""
    if plan.requires_python is None:
        return
    seen = JobReplies()
    session.request("python", plan.environment.python)
    with explaining(link.host, seen):
        reply = yield from seen.take_until(session, "python")
    version = reply.values.strip()
    required = plan.requires_python.value
    if version and not fits(version, required):
        session.request("pythons")
        with explaining(link.host, seen):
            reply = yield from seen.take_until(session, "pythons")
        others = reply.values.split()
        if other := nearest_that_fits(version, others, required):
            hint = f"set python: {other}, which {link.host} has"
        elif "uv" in others and (other := nearest_that_fits(version, RELEASES, required)):
            hint = f"set python: {other}, which uv on {link.host} fetches"
        else:
            hint = f"{link.host} has no other that fits: install one, or uv, which fetches them"
        raise HostUnfit(
            f"{plan.requires_python.origin}: {required} is required, and {link.host} would use Python {version}", hint
        )


def _send_wheels(session: Session, link: RetryingSession, plan: Start) -> Steps[str]:
    """For a host without internet: uploads the wheels that it lacks. Returns their directory on the host."""
    wanted = plan.environment
    if not (wanted.wanted and wanted.wheels and wanted.requirements):
        return ""
    seen = JobReplies()
    session.request("probe", ".")
    session.request("wheels", wanted.python, *wanted.requirements)
    with explaining(link.host, seen):
        reply = yield from seen.take_until(session, "wheels")
        if reply.values == "ready":
            return ""
        directory = os.fsdecode(decode(session.reply().values))
        python = HostPython.read(reply.values, link.host)
        yield Notice("wheels", f"collecting wheels for Python {python.version} on {python.platform}")
        yield Phase("wheels", f"collecting wheels for {link.host}")
        found = collect(wanted.requirements, python, dirs.wheels())
        yield from upload(
            session, link.connection, wheel_items(found, directory), seen.capabilities, plan.engine, plan.compress
        )
    return directory


def _started(session: Session, link: RetryingSession, plan: Start) -> Steps[None]:
    seen = JobReplies()
    with explaining(link.host, seen):
        for reply in session.replies("started"):
            yield from seen.take(reply)
            if reply.word == "claimed":
                yield Phase("starting", f"waiting for {link.host} to start the job")
    if seen.capabilities.get("shell") == "sh" and (plan.files.get("startup") or plan.manifest.shutdown_cmds):
        yield WarningNotice(f"{link.host} has no bash: startup and shutdown commands run in sh")
