"""`sshrun status`: what the host is doing."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from sshrun.commands.host import at_host
from sshrun.job import Job, code_text
from sshrun.table import Sheet
from sshrun.terminal import visible
from sshrun.units import age_text

if TYPE_CHECKING:
    from sshrun.arguments import Arguments
    from sshrun.console import Console

LINES = 5  # of the log


def status(arguments: Arguments, console: Console) -> int:
    """Returns 0, job or no job."""
    with at_host(arguments, console) as link:
        # Imported while ssh shakes hands.
        from sshrun.api import Host
        from sshrun.jobs.records import Record

        job, usage, tail = console.play(Host(link).status(LINES))
    if job is None or job.is_void or job.is_discarded:
        console.data(f"{link.host}: no job")
        console.record({"event": "status", "host": link.host, "job": None, "usage": {}, "log": []})
        return 0
    state = code_text(job.code) if job.code is not None else job.state
    # This client's last word may be on its way still, or lost.
    if job.is_over and not job.is_retrieved and not Record(job.id).retrieved:
        state += ", not retrieved"
    console.table(Sheet([*_rows(link.host, job, state), *usage.items()]))
    for line in tail:
        console.data(f"  | {visible(line)}")
    console.record(
        {
            "event": "status",
            "host": link.host,
            "job": {**job._asdict(), "flags": sorted(job.flags), "manifest": job.manifest._asdict()},
            "usage": usage,
            "log": tail,
        }
    )
    return 0


def _rows(host: str, job: Job, state: str) -> Iterator[tuple[str, str]]:
    yield "host", host
    yield "job", job.id
    yield "command", job.manifest.title
    if job.manifest.origin:
        yield "from", job.manifest.origin
    yield "state", state
    if not job.is_over and job.phase:
        meaning = ": the command has ended, and processes that it left have not" if job.phase == "leftovers" else ""
        yield "phase", f"{job.phase}{meaning}"
    if job.started:
        yield "age", age_text((job.ended or time.time()) - job.started)
