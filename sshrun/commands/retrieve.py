"""`sshrun retrieve`: downloads what the job made, without its log."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sshrun.commands.host import at_host

if TYPE_CHECKING:
    from sshrun.arguments import Arguments
    from sshrun.console import Console


def retrieve(arguments: Arguments, console: Console) -> int:
    """Returns the job's code, or 0 where it still runs or files are named.

    Raises JobNotFound, TransferFailed, JobLost, UsageError for what names no file.
    """
    with at_host(arguments, console) as link:
        from sshrun.api import Host  # while ssh shakes hands

        host = Host(link)
        job = console.play(host.attach())
        if arguments.words:
            console.play(host.retrieve_files(job, arguments.words))
            return 0
        return console.play(host.retrieve(job, everything=arguments.everything)) or 0
