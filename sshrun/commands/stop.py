"""`sshrun stop`: ends every process of the job that the host has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sshrun.commands.host import at_host
from sshrun.job import code_text

if TYPE_CHECKING:
    from sshrun.arguments import Arguments
    from sshrun.console import Console


def stop(arguments: Arguments, console: Console) -> int:
    """Returns 0 once no process is left. Raises JobNotFound, HostUnfit."""
    with at_host(arguments, console) as link:
        from sshrun.api import Host  # while ssh shakes hands

        job = console.play(Host(link).stop())
        ended = code_text(job.code) if job.code is not None else job.state
        console.notice(f"job {job.id} is over ({ended}); sshrun retrieve downloads its results")
        console.record({"event": "stopped", "id": job.id, "state": job.state, "code": job.code})
    return 0
