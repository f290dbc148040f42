"""`sshrun --resume` without a model: the job that the host has, whichever it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sshrun.commands.host import at_host
from sshrun.interrupts import Interrupts

if TYPE_CHECKING:
    from sshrun.arguments import Arguments
    from sshrun.console import Console


def resume(arguments: Arguments, console: Console) -> int:
    """Returns the job's code. Raises JobNotFound, HostBusy, and what a run may raise."""
    with at_host(arguments, console) as link:
        interrupts = Interrupts()
        from sshrun.api import Host  # while ssh shakes hands

        host = Host(link)
        job = console.play(host.attach())
        task = console.play(host.task_of(job))
        return console.play((host.wait if arguments.wait else host.finish)(job, task, interrupts))
