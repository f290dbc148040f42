"""A run that is under way: what `run` and `resume` have in common from the moment that the connection is begun."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from sshrun import jobs
from sshrun.errors import JobIsThere, Refused
from sshrun.interrupts import Interrupted, Interrupts
from sshrun.job import Job, Started, age_text, code_text, new_id
from sshrun.link import Link, Steps
from sshrun.records import Record, prepare, prune

if TYPE_CHECKING:
    from sshrun.console import Console
    from sshrun.task import Task


class Live(NamedTuple):
    """Whom it speaks to, about what, and who is told and may interrupt."""

    link: Link
    task: Task
    interrupts: Interrupts
    console: Console

    def start(self, *, discard: bool, clean: bool) -> int:
        """Starts the job and sees it through; returns its code. Raises JobIsThere and what `jobs` may raise."""
        plan = self.task.start(new_id(), discard=discard, clean=clean)
        record = Record(plan.id)
        prepare()
        prune()
        steps = jobs.run(self.link, plan, record, self.interrupts)
        return self._see_through(plan.id, self._clean_when_started(steps) if clean else steps, record)

    def leave(self, *, discard: bool, clean: bool) -> int:
        """Starts the job and leaves it to the host; returns 0. Raises as `start` does."""
        plan = self.task.start(new_id(), discard=discard, clean=clean)
        prepare()
        prune()
        self.console.play(jobs.start(self.link, plan))
        Record(plan.id).mark_started(plan.facts)
        if clean:
            self.task.clean_here()
        self.console.say("sshrun --resume attaches to it, sshrun status looks at it")
        return 0

    def resume(self, *, wait: bool) -> int:
        """Attaches to the job that is there. Raises NothingThere, and JobIsThere where it is another one."""
        job = self.console.play(jobs.attach(self.link))
        asked = self.task.facts
        if not asked.names(job.facts, started_here=Record(job.id).started):
            raise JobIsThere(
                jobs.busy_text(self.link.host, job),
                f"that is not {asked.resumed_by} of {asked.path}; sshrun --resume takes it here all the same",
            )
        return self.resume_job(job, wait=wait)

    def resume_job(self, job: Job, *, wait: bool) -> int:
        """Attaches to a job. Raises JobIsThere where it still runs and nobody is to wait."""
        record = Record(job.id)
        if record.retrieved and record.came_to(self.task.home):
            return retrieved_before(self.link, job, record, self.console)
        if not job.over and not wait:
            age = f" for {age_text(time.time() - job.started)}" if job.started else ""
            raise JobIsThere(
                f"{self.link.host}: job {job.id} ({job.facts.title}) is {job.state}{age}",
                "sshrun --resume waits for it",
            )
        record.write_facts(self.task.facts.started_as(job.facts))
        steps = jobs.follow(self.link, job.id, self.task.homecoming.archive, record, self.interrupts)
        return self._see_through(job.id, steps, record)

    def _see_through(self, job_id: str, steps: Steps[jobs.Ended], record: Record) -> int:
        """The log to its end, then everything home."""
        host, console = self.link.host, self.console
        try:
            ended = console.play(steps)
        except Interrupted:
            if record.begun:
                fate = "was asked to stop" if self.interrupts.passed_on else "goes on"
                console.say(f"leaving; job {job_id} {fate} on {host}: sshrun --resume")
            raise
        except Refused:
            if record.begun:
                console.say(f"job {job_id} is left to {host}; once we may log in again: sshrun --resume")
            raise
        job = ended.job
        if job.cut_off:
            console.warn(job.cut_off)
            if job.phase == "environment" and self.task.runner.fits:
                console.say(self.task.runner.fits)
        elif job.code is not None and job.code != 0:
            console.say(f"the job ended with {code_text(job.code)}")
            if hint := self._missing_module(record):
                console.say(hint)
        try:
            status = console.play(jobs.finish(self.link, ended, self.task.homecoming, record))
        except Interrupted:
            if not record.retrieved:
                console.say(f"leaving; job {job_id} is over, its results are still on {host}: sshrun --resume")
            raise
        for command in self.task.unrun:
            console.say(f"a sandbox runs no shutdown commands; elsewhere this would run now: {command}")
        return 130 if self.interrupts.asked else status

    def _missing_module(self, record: Record) -> str:
        """What to write where the job missed a module that a file beside its script asks for."""
        spec, settings = self.task.spec, self.task.settings
        if spec is None or settings.requirements:
            return ""
        from sshrun.missing_module import hint

        return hint(record.log_end(), spec.folder, create_venv=settings.create_venv.value)

    def _clean_when_started(self, steps: Steps[jobs.Ended]) -> Steps[jobs.Ended]:
        """What an earlier run left here goes only once the host holds the new job."""
        while True:
            try:
                event = next(steps)
            except StopIteration as end:
                ended: jobs.Ended = end.value
                return ended
            if isinstance(event, Started):
                self.task.clean_here()
            yield event


def retrieved_before(link: Link, job: Job, record: Record, console: Console) -> int:
    """Says that there is nothing left to do for a job, also to a host that has not heard; returns the job's code.

    Raises JobLost.
    """
    if "retrieved" not in job.marks:
        console.play(jobs.release(link, job.id))
    status = jobs.outcome(link.host, record.id, record.code)
    console.say(f"job {record.id} is retrieved already; it ended with {code_text(status)}")
    return status
