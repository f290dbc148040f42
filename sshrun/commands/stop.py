"""`sshrun stop`: ends every process of the job that is there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sshrun.commands.host import at_host
from sshrun.errors import NothingThere
from sshrun.job import code_text

if TYPE_CHECKING:
    from sshrun.arguments import Arguments
    from sshrun.console import Console


def stop(arguments: Arguments, console: Console) -> int:
    """Returns 0 once no process is left. Raises NothingThere, HostUnfit."""
    with at_host(arguments, console) as link:
        from sshrun import jobs  # while ssh shakes hands

        job = console.play(jobs.attach(link))
        if "retrieved" in job.marks:
            raise NothingThere(f"{link.host}: no job is there to stop", "sshrun jobs")
        # Also of one that is over: a job may have left processes behind, and a lost one all of them.
        job = console.play(jobs.stop(link, job.id))
        ended = code_text(job.code) if job.code is not None else job.state
        console.say(f"job {job.id} is over ({ended}); sshrun retrieve brings home what is there")
        console.record({"event": "stopped", "id": job.id, "state": job.state, "code": job.code})
    return 0
