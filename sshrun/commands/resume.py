"""`sshrun --resume` without a model: the job that is there, whichever it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sshrun.commands.host import at_host
from sshrun.interrupts import Interrupts

if TYPE_CHECKING:
    from sshrun.arguments import Arguments
    from sshrun.console import Console


def resume(arguments: Arguments, console: Console) -> int:
    """Returns the job's code. Raises NothingThere, JobIsThere, and what a run may raise."""
    with at_host(arguments, console) as link:
        interrupts = Interrupts()
        # Imported while ssh shakes hands.
        from sshrun import jobs
        from sshrun.commands.live import Live
        from sshrun.records import Record
        from sshrun.task import task_of

        job = console.play(jobs.attach(link))
        task = task_of(job, Record(job.id), link.connection.login)
        for warning in task.warnings:
            console.warn(warning)
        return Live(link, task, interrupts, console).resume_job(job, wait=arguments.wait)
