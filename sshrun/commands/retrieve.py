"""`sshrun retrieve`: what the job made comes home, without its log."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sshrun.commands.host import at_host

if TYPE_CHECKING:
    from sshrun.arguments import Arguments
    from sshrun.console import Console


def retrieve(arguments: Arguments, console: Console) -> int:
    """Returns the job's code, or 0 where it still runs. Raises NothingThere, TransferFailed, JobLost."""
    with at_host(arguments, console) as link:
        # Imported while ssh shakes hands.
        from sshrun import jobs, transfer
        from sshrun.commands.live import retrieved_before
        from sshrun.job import code_text
        from sshrun.records import Record
        from sshrun.task import task_of

        job = console.play(jobs.attach(link))
        record = Record(job.id)
        task = task_of(job, record, link.connection.login)
        everything = "--all" in arguments.words
        retrieved = record.retrieved and record.came_to(task.home)
        if retrieved and not everything:
            return retrieved_before(link, job, record, console)
        for warning in task.warnings:
            console.warn(warning)
        record.write_facts(task.facts.started_as(job.facts))
        home = task.homecoming._replace(everything=everything)
        archive = console.play(jobs.find_archive(link, job, home.archive)) if home.archive else transfer.NO_ARCHIVE
        if retrieved:
            console.play(jobs.retrieve(link, job, archive, home))
            return jobs.outcome(link.host, job.id, job.code)
        if job.over:
            status = console.play(jobs.finish(link, jobs.Ended(job, archive), home, record))
            console.say(f"job {job.id} is retrieved; it ended with {code_text(status)}")
            return status
        console.play(jobs.retrieve(link, job, archive, home))
        console.say(f"job {job.id} is still {job.state}; this is what is there now")
        return 0
