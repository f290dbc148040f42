"""A host and its jobs, as the commands use them. Nothing here prints, exits, or handles signals: it yields events.

What starts and finishes jobs is imported by the methods that need it: a look at a host takes a sixth of the time.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from sshrun.errors import HostBusy, JobNotFound, Refused, TransferFailed, UsageError
from sshrun.events import Notice, Started, WarningNotice
from sshrun.interrupts import Interrupted, Interrupts
from sshrun.job import Job, code_text, new_id
from sshrun.jobs import inspect, logs
from sshrun.jobs.records import Record, prepare, prune
from sshrun.jobs.refusals import busy_text
from sshrun.session.retry import RetryingSession, Steps
from sshrun.units import age_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from sshrun.jobs.follow import Ended
    from sshrun.jobs.plan import Retrieval
    from sshrun.jobs.rewritten import Rewritten
    from sshrun.spec.task import Task


class Host(NamedTuple):
    """A host over a link to it, which whoever has opened it closes.

    Interrupted, raised into a method while it waits for the host or shows an event, ends it; the job goes on.
    """

    link: RetryingSession

    def jobs(self) -> Steps[list[Job]]:
        """All that the host keeps."""
        return (yield from inspect.list_jobs(self.link))

    def status(self, lines: int) -> Steps[tuple[Job | None, dict[str, str], list[str]]]:
        """The current job, what its processes use, and the last lines of its log."""
        return (yield from inspect.query(self.link, lines))

    def log(self, job_id: str, lines: int | None, *, follow: bool = False) -> Steps[None]:
        """A job's log, or its last lines; with `follow` also what is yet to come. Without an id, of the current job."""
        yield from (logs.watch if follow else logs.log)(self.link, job_id, lines)

    def attach(self, task: Task | None = None) -> Steps[Job]:
        """The current job. Raises JobNotFound, and HostBusy where it is not that of the task."""
        job = yield from inspect.attach(self.link)
        if task is not None and not task.manifest.names(job.manifest, started_locally=Record(job.id).started):
            asked = task.manifest
            raise HostBusy(
                busy_text(self.link.host, job),
                f"that is not {asked.resumed_by} of {asked.path}; sshrun --resume retrieves it all the same",
            )
        return job

    def task_of(self, job: Job) -> Steps[Task]:
        """What was stored with a job: results come to the current directory."""
        from sshrun.spec.task import task_of

        task = task_of(job, Record(job.id), self.link.connection.login)
        for warning in task.warnings:
            yield WarningNotice(warning)
        return task

    def stop(self) -> Steps[Job]:
        """Ends every process of the current job. Raises JobNotFound, HostUnfit where one survives."""
        from sshrun.jobs.stop import stop

        job = yield from inspect.attach(self.link)
        if job.is_retrieved:
            raise JobNotFound(f"{self.link.host}: no job is there to stop", "sshrun jobs")
        # Also of one that is over: a job may have left processes behind, and a lost one all of them.
        return (yield from stop(self.link, job.id))

    def start(self, task: Task, *, discard: bool = False, clean: bool = False) -> Steps[str]:
        """Starts the job and leaves it to the host; returns its id. Raises HostBusy and what `launch` may raise."""
        from sshrun.jobs.launch import start

        plan = task.start(new_id(), discard=discard, clean=clean)
        prepare()
        prune()
        rewritten = _rewritten(task, Record(plan.id))
        yield from start(self.link, plan)
        Record(plan.id).mark_started(plan.manifest)
        if rewritten:
            rewritten.note_sent()
        if clean:
            task.remove_earlier_results()
        return plan.id

    def run(self, task: Task, interrupts: Interrupts, *, discard: bool = False, clean: bool = False) -> Steps[int]:
        """Starts the job and sees it through; returns its exit code, or 130 where it was asked to stop."""
        from sshrun.jobs.launch import run

        plan = task.start(new_id(), discard=discard, clean=clean)
        record = Record(plan.id)
        prepare()
        prune()
        steps = run(self.link, plan, record, interrupts)
        if rewritten := _rewritten(task, record):
            steps = _then_when_started(steps, rewritten.note_sent)
        if clean:
            # What an earlier run left on this machine is removed only once the host holds the new job.
            steps = _then_when_started(steps, task.remove_earlier_results)
        return (yield from self._see_through(task, steps, record, interrupts))

    def wait(self, job: Job, task: Task, interrupts: Interrupts) -> Steps[int]:
        """Follows a job to its end and retrieves it; returns its exit code, or 130 where it was asked to stop."""
        from sshrun.jobs.follow import follow

        record = Record(job.id)
        if bool(job.manifest.project) != bool(task.manifest.project):
            # Started by a version without project mode, or when the settings said something else.
            task = yield from self.task_of(job)
        if record.retrieved and record.came_to(task.results_directory):
            return (yield from self._retrieved_before(job))
        record.write_manifest(task.manifest.started_as(job.manifest))
        steps = follow(self.link, job.id, task.runner.archive or "", record, interrupts)
        return (yield from self._see_through(task, steps, record, interrupts))

    def finish(self, job: Job, task: Task, interrupts: Interrupts) -> Steps[int]:
        """The same of a job that is over; raises HostBusy where it still runs."""
        record = Record(job.id)
        if not job.is_over and not (record.retrieved and record.came_to(task.results_directory)):
            age = f" for {age_text(time.time() - job.started)}" if job.started else ""
            raise HostBusy(
                f"{self.link.host}: job {job.id} ({job.manifest.title}) is {job.state}{age}",
                "sshrun --resume waits for it",
            )
        return (yield from self.wait(job, task, interrupts))

    def retrieve(self, job: Job, *, everything: bool = False) -> Steps[int | None]:
        """Downloads what a job made, without its log; returns its exit code, or None where it still runs.

        With `everything` also what the job neither made nor changed. Raises TransferFailed, JobLost.
        """
        from sshrun.jobs.finish import finish, outcome
        from sshrun.jobs.follow import Ended
        from sshrun.jobs.results import find_archive, retrieve
        from sshrun.spec.task import task_of
        from sshrun.transfer.archive import NO_ARCHIVE

        record = Record(job.id)
        task = task_of(job, record, self.link.connection.login)
        retrieved = record.retrieved and record.came_to(task.results_directory)
        if retrieved and not everything:
            return (yield from self._retrieved_before(job))
        for warning in task.warnings:
            yield WarningNotice(warning)
        record.write_manifest(task.manifest.started_as(job.manifest))
        retrieval = _retrieval(task, record)
        if everything:
            retrieval = retrieval._replace(everything=True, limit=None)
        archive = (yield from find_archive(self.link, job, retrieval.archive)) if retrieval.archive else NO_ARCHIVE
        if job.is_over and not retrieved:
            status = yield from finish(self.link, Ended(job, archive), retrieval, record)
            yield Notice("", f"job {job.id} is retrieved; it ended with {code_text(status)}")
            return status
        yield from retrieve(self.link, job, archive, retrieval)
        if retrieved:
            return outcome(self.link.host, job.id, job.code)
        yield Notice("", f"job {job.id} is still {job.state}; this is what is there now")
        return None

    def retrieve_files(self, job: Job, names: Sequence[str]) -> Steps[None]:
        """Downloads files of the working directory, whether the job made them or not; nothing else changes.

        `names` are as in `download_files`. Raises UsageError for what names no file, TransferFailed where one is not
        there.
        """
        from sshrun.jobs.results import retrieve
        from sshrun.spec.task import task_of
        from sshrun.transfer.archive import NO_ARCHIVE
        from sshrun.transfer.patterns import parse_download

        try:
            downloads = [parse_download(name) for name in names]
        except ValueError as error:
            raise UsageError(f"sshrun retrieve: {error}") from error
        record = Record(job.id)
        retrieval = task_of(job, record, self.link.connection.login).retrieval(record)
        retrieval = retrieval._replace(archive="", logs=None, downloads=downloads, everything=True, limit=None)
        missing = yield from retrieve(self.link, job, NO_ARCHIVE, retrieval)
        if missing:
            raise TransferFailed(f"{self.link.host}: {missing}", "a path is relative to the job's working directory")
        if job.is_over and job.holds_slot:
            yield Notice("", f"job {job.id} keeps the rest of its results: sshrun --resume is done with them")

    def _see_through(self, task: Task, steps: Steps[Ended], record: Record, interrupts: Interrupts) -> Steps[int]:
        """The log to its end, then all results."""
        from sshrun.jobs.finish import finish

        host, job_id = self.link.host, record.id
        try:
            ended = yield from steps
        except Interrupted:
            if record.begun:
                fate = "was asked to stop" if interrupts.passed_on else "goes on"
                yield Notice("", f"leaving; job {job_id} {fate} on {host}: sshrun --resume")
            raise
        except Refused:
            if record.begun:
                yield Notice("", f"job {job_id} is left to {host}; once we may log in again: sshrun --resume")
            raise
        yield from _account_of(ended.job, task, record)
        try:
            status = yield from finish(self.link, ended, _retrieval(task, record), record)
        except Interrupted:
            if not record.retrieved:
                yield Notice("", f"leaving; job {job_id} is over, its results are still on {host}: sshrun --resume")
            raise
        for command in task.unrun:
            yield Notice("", f"a sandbox runs no shutdown commands; elsewhere this would run now: {command}")
        return 130 if interrupts.asked else status

    def _retrieved_before(self, job: Job) -> Steps[int]:
        """Tells that there is nothing left to do for a job, also a host that has not heard. Raises JobLost."""
        from sshrun.jobs.finish import outcome, release

        if not job.is_retrieved:
            yield from release(self.link, job.id)
        status = outcome(self.link.host, job.id, Record(job.id).code)
        yield Notice("", f"job {job.id} is retrieved already; it ended with {code_text(status)}")
        return status


def _account_of(job: Job, task: Task, record: Record) -> Steps[None]:
    """How a job ended, where there is more to it than exit 0."""
    if job.cut_off:
        yield WarningNotice(job.cut_off)
        if job.phase == "environment" and task.runner.fits:
            yield Notice("", task.runner.fits)
    elif job.code is not None and job.code != 0:
        yield Notice("", f"the job ended with {code_text(job.code)}")
        if hint := _missed(task, record):
            yield Notice("", hint)


def _missed(task: Task, record: Record) -> str:
    """What to write where the job missed a module that a file beside its script asks for, or what stayed here."""
    if task.project is not None:
        return task.project.hint(record.log_end())
    if task.spec is None or task.settings.requirements:
        return ""
    from sshrun.jobs.missing_module import hint

    return hint(record.log_end(), task.spec.directory, create_venv=task.settings.create_venv.value)


def _rewritten(task: Task, record: Record) -> Rewritten | None:
    """A file that the job is to replace, as it is now, before it is sent; a project is looked at as a whole."""
    if not task.runner.rewrites or task.manifest.project:
        return None
    from sshrun.jobs.rewritten import Rewritten

    rewritten = Rewritten(task.runner.rewrites, record, task.owned)
    rewritten.look()
    return rewritten


def _retrieval(task: Task, record: Record) -> Retrieval:
    retrieval, rewritten = task.retrieval(record), _rewritten(task, record)
    return retrieval._replace(owned=rewritten) if rewritten else retrieval


def _then_when_started(steps: Steps[Ended], act: Callable[[], None]) -> Steps[Ended]:
    """The steps, with something to do once the host holds the job."""
    try:
        while True:
            event = next(steps)
            if isinstance(event, Started):
                act()
            yield event
    except StopIteration as end:
        ended: Ended = end.value
        return ended
    finally:
        steps.close()
