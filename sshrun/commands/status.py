"""`sshrun status`: what the host is doing."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from sshrun.commands.host import at_host
from sshrun.job import age_text, code_text
from sshrun.terminal import visible

if TYPE_CHECKING:
    from sshrun.arguments import Arguments
    from sshrun.console import Console

LINES = 5  # of the log


def status(arguments: Arguments, console: Console) -> int:
    """Returns 0, job or no job."""
    with at_host(arguments, console) as link:
        # Imported while ssh shakes hands.
        from sshrun import jobs
        from sshrun.records import Record

        job, usage, tail = console.play(jobs.look(link, LINES))
    if job is None or job.state == "void" or "discarded" in job.marks:
        console.data(f"{link.host}: no job")
        console.record({"event": "status", "host": link.host, "job": None})
        return 0
    state = code_text(job.code) if job.code is not None else job.state
    # This client's last word may be on its way still, or lost.
    if job.over and "retrieved" not in job.marks and not Record(job.id).retrieved:
        state += ", not retrieved"
    console.data(f"host     {link.host}")
    console.data(f"job      {job.id}")
    console.data(f"command  {visible(job.facts.title)}")
    if job.facts.origin:
        console.data(f"from     {visible(job.facts.origin)}")
    console.data(f"state    {state}")
    if not job.over and job.phase:
        meaning = ": the command has ended, and processes that it left have not" if job.phase == "leftovers" else ""
        console.data(f"phase    {visible(job.phase)}{meaning}")
    if job.started:
        console.data(f"age      {age_text((job.ended or time.time()) - job.started)}")
    for name, value in usage.items():
        console.data(f"{visible(name):<8} {visible(value)}")
    for line in tail:
        console.data(f"  | {visible(line)}")
    console.record(
        {
            "event": "status",
            "host": link.host,
            "job": {**job._asdict(), "marks": sorted(job.marks), "facts": job.facts._asdict()},
            "usage": usage,
            "log": tail,
        }
    )
    return 0
