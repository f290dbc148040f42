"""`sshrun sandbox`: a throwaway SSH server, for as long as this runs."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

from sshrun import sandbox as sandboxes
from sshrun.errors import HostUnfit, UsageError

if TYPE_CHECKING:
    from sshrun.arguments import Arguments
    from sshrun.console import Console

_ENDING = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT}


def sandbox(_arguments: Arguments, console: Console) -> int:
    """Runs one in the foreground until a signal ends it; returns 128 + that signal, as a shell would.

    Raises UsageError when one is running already, HostUnfit when sshd is not installed or ends by itself.
    """
    already = sandboxes.running()
    if already is not None:
        raise UsageError(
            f"a sandbox is running already, in {already.directory}",
            "type: sshrun --sandbox train my_model; Ctrl+C in its own terminal ends it",
        )
    with sandboxes.start() as server:
        # From now on they wait for us; sshd has been started without, since it would pass the mask on to its jobs.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {*_ENDING, signal.SIGCHLD})
        try:
            server.publish()
            console.notice(
                f"A host of your own, until Ctrl+C: {server.home} on port {server.port}. In another terminal:"
            )
            console.data("sshrun --sandbox train my_model")
            console.data(f"ssh -F {server.config} {server.host}")
            console.record(
                {"event": "sandbox", "host": server.host, "config": str(server.config), "home": str(server.home)}
            )
            return _wait(server)
        finally:
            server.close()
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _wait(server: sandboxes.Sandbox) -> int:
    while True:
        received = signal.sigwait({*_ENDING, signal.SIGCHLD})
        if received in _ENDING:
            return 128 + received
        if not server.alive():
            raise HostUnfit("the sandbox's sshd has ended by itself")
