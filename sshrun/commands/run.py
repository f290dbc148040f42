"""`sshrun COMMAND MODEL`, `sshrun run SCRIPT`, `sshrun -- PROGRAM`: a whole run, or `--resume` of one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sshrun.commands.host import own_sandbox, running_sandbox
from sshrun.events import LoggingIn, Phase
from sshrun.interrupts import Interrupts
from sshrun.session.retry import RetryingSession
from sshrun.spec.task import prepare

if TYPE_CHECKING:
    from sshrun.arguments import Arguments
    from sshrun.console import Console


def run(arguments: Arguments, console: Console) -> int:
    """Returns the job's own exit code. Raises what SshrunError stands for."""
    # A sandbox of this run's own ends with it, and a job in it too: nothing could be resumed.
    a_host = own_sandbox if arguments.wait and not arguments.resume else running_sandbox
    with a_host(arguments) as sandbox:
        console.show(Phase("reading", "reading the settings, and which files to upload"))
        task = prepare(arguments, sandbox)
        for warning in task.warnings:
            console.warn(warning)
        for notice in task.notices:
            console.notice(notice)
        if arguments.dry_run:
            from sshrun.commands.dry_run import dry_run

            return dry_run(task, console)
        interrupts = Interrupts()  # before ssh asks for a password on the terminal, which a signal must not leave to it
        console.show(LoggingIn(task.settings.login.host))  # it may take long to begin with: Match exec of ssh_config(5)
        link = RetryingSession(task.settings.login)
        try:
            # Imported while ssh shakes hands.
            from sshrun.api import Host

            host = Host(link)
            if arguments.resume:
                job = console.play(host.attach(task))
                return console.play((host.wait if arguments.wait else host.finish)(job, task, interrupts))
            if arguments.wait:
                return console.play(host.run(task, interrupts, discard=arguments.force, clean=arguments.clean))
            console.play(host.start(task, discard=arguments.force, clean=arguments.clean))
            console.notice("sshrun --resume attaches to it, sshrun status shows it")
            return 0
        finally:
            link.close()
