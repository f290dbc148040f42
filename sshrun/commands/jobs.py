"""`sshrun jobs`: the last jobs, here and on the host."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from sshrun.commands.host import at_host
from sshrun.errors import RemoteError, SettingsError, UsageError
from sshrun.job import Job, age_text, code_text
from sshrun.records import Record, records
from sshrun.terminal import visible

if TYPE_CHECKING:
    from sshrun.arguments import Arguments
    from sshrun.console import Console


def jobs(arguments: Arguments, console: Console) -> int:
    """Returns 0; a host that does not answer is a warning, since the copies here can be listed all the same."""
    there: dict[str, Job] = {}
    host = ""
    try:
        with at_host(arguments, console) as link:
            from sshrun import jobs as life  # while ssh shakes hands

            host = link.host
            there = {job.id: job for job in console.play(life.listed(link)) if job.state != "void"}
    except (RemoteError, SettingsError, UsageError) as error:
        console.warn(error.message)
    here = {record.id: record for record in records()}
    for job_id in sorted({*there, *here}, reverse=True):
        job = there.get(job_id) or _copied(here[job_id])
        discarded = job.discarded and str(job.discarded)
        if job_id in here:
            if discarded and here[job_id].open:
                here[job_id].mark_discarded(discarded)
            discarded = here[job_id].discarded
        known = job_id in there or here[job_id].retrieved
        if discarded:
            state = discarded
        elif not known:
            state = "not retrieved"
        else:
            state = code_text(job.code) if job.code is not None else job.state
        where = "here, there" if job_id in there and job_id in here else "there" if job_id in there else "here"
        began = f"{age_text(time.time() - job.started)} ago" if job.started else ""
        name = job.facts.host or host
        console.data("  ".join(filter(None, map(visible, (job_id, name, state, where, began, job.facts.title)))))
        console.record(
            {
                "event": "job", "id": job_id, "host": name, "state": job.state if known else "unknown",
                "code": job.code, "where": where, "started": job.started, "command": job.facts.title,
                "arguments": list(job.facts.args), "from": job.facts.origin, "discarded": discarded,
            }
        )  # fmt: skip
    return 0


def _copied(record: Record) -> Job:
    """A job as far as it is known here."""
    lost = record.retrieved and record.code is None
    return Job(record.id, "lost" if lost else "finished", code=record.code, facts=record.facts())
