"""`sshrun jobs`: the last jobs, of the records of this machine and on the host."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from sshrun.commands.host import at_host
from sshrun.errors import RemoteError, SettingsError, UsageError
from sshrun.job import Job, State, code_text
from sshrun.jobs.records import Record, records
from sshrun.table import Table
from sshrun.units import age_text

if TYPE_CHECKING:
    from sshrun.arguments import Arguments
    from sshrun.console import Console


HEADERS = ("JOB", "HOST", "STATE", "WHERE", "STARTED", "COMMAND")


def jobs(arguments: Arguments, console: Console) -> int:
    """Returns 0; a host that does not answer is a warning, since what is recorded can be listed all the same."""
    on_host: dict[str, Job] = {}
    host = ""
    try:
        with at_host(arguments, console) as link:
            from sshrun.api import Host  # while ssh shakes hands

            host = link.host
            on_host = {job.id: job for job in console.play(Host(link).jobs()) if not job.is_void}
    except (RemoteError, SettingsError, UsageError) as error:
        console.warn(error.message)
    copies = {record.id: record for record in records()}
    rows = []
    for job_id in sorted({*on_host, *copies}, reverse=True):
        job = on_host.get(job_id) or _copied(copies[job_id])
        discarded = job.discarded and str(job.discarded)
        if job_id in copies:
            if discarded and copies[job_id].open:
                copies[job_id].mark_discarded(discarded)
            discarded = copies[job_id].discarded
        known = job_id in on_host or copies[job_id].retrieved
        if discarded:
            state = discarded
        elif not known:
            state = "not retrieved"
        else:
            state = code_text(job.code) if job.code is not None else job.state
        where = "both" if job_id in on_host and job_id in copies else "host" if job_id in on_host else "local"
        began = f"{age_text(time.time() - job.started)} ago" if job.started else ""
        name = job.manifest.host or host
        rows.append((job_id, name, state, where, began, job.manifest.title))
        console.record(
            {
                "event": "job", "id": job_id, "state": job.state if known else "unknown", "code": job.code,
                "phase": job.phase, "host": name, "where": where, "started": job.started, "command": job.manifest.title,
                "arguments": list(job.manifest.args), "from": job.manifest.origin, "discarded": discarded,
            }
        )  # fmt: skip
    if rows:
        console.table(Table(HEADERS, rows, wrapped=("STATE", "COMMAND")))
    return 0


def _copied(record: Record) -> Job:
    """A job as far as it is recorded."""
    lost = record.retrieved and record.code is None
    return Job(record.id, State.LOST if lost else State.FINISHED, code=record.code, manifest=record.manifest())
