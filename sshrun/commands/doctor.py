"""`sshrun doctor [HOST]`: could a job run on the host? One line a check, with the fix to type."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sshrun.commands.host import running_sandbox
from sshrun.doctor import examine
from sshrun.errors import HostBusy, RemoteError, UsageError
from sshrun.events import LoggingIn, Phase
from sshrun.interrupts import Interrupts
from sshrun.settings.options import settings_for
from sshrun.terminal import visible

if TYPE_CHECKING:
    from sshrun.arguments import Arguments
    from sshrun.console import Console


def doctor(arguments: Arguments, console: Console) -> int:
    """Returns 0 only if a job could be started now; 75 where a job is in the way, 255 for everything else."""
    if len(arguments.words) > 1 or (arguments.words and arguments.host is not None):
        raise UsageError("sshrun doctor: one host at a time", "sshrun doctor HOST")
    if arguments.words:
        arguments = arguments._replace(host=arguments.words[0])
    failures = []
    Interrupts()  # so that a signal ends also what runs beside us: ssh, which may be asking for a password
    with running_sandbox(arguments) as sandbox:
        settings = settings_for(arguments, sandbox)
        host = settings.login.host
        for finding in examine(settings):
            if isinstance(finding, LoggingIn | Phase):
                console.show(finding)
                continue
            console.data(f"{finding.verdict:<8} {finding.check:<11} {visible(finding.text)}")
            if finding.fix:
                console.data(f"{'':<20} -> {visible(finding.fix)}")
            console.record({"event": "finding", "host": host, **finding._asdict()})
            if finding.verdict == "failure":
                failures.append(finding)
    if not failures:
        console.notice(f"a job could run on {host}")
        return 0
    names = ", ".join(dict.fromkeys(finding.check for finding in failures))
    console.notice(f"no job could start on {host} now: {names}")
    return HostBusy.exit_status if all(finding.busy for finding in failures) else RemoteError.exit_status
