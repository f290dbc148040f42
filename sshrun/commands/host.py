"""The host of a command: from the command line and the user file, or the sandbox."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sshrun.errors import UsageError
from sshrun.events import LoggingIn
from sshrun.interrupts import Interrupts
from sshrun.session.retry import RetryingSession
from sshrun.settings.options import settings_for

if TYPE_CHECKING:
    from sshrun.arguments import Arguments
    from sshrun.console import Console
    from sshrun.sandbox import Sandbox


@contextmanager
def at_host(arguments: Arguments, console: Console) -> Iterator[RetryingSession]:
    """A link to the host. Raises UsageError, SettingsError, and Interrupted from now on."""
    Interrupts()  # so that a signal ends also what runs beside us: ssh, and what moves files
    with running_sandbox(arguments) as sandbox:
        settings = settings_for(arguments, sandbox)
        for warning in settings.warnings:
            console.warn(warning)
        console.show(LoggingIn(settings.login.host))  # it may take long to begin with: Match exec of ssh_config(5)
        link = RetryingSession(settings.login)
        try:
            yield link
        finally:
            link.close()


@contextmanager
def running_sandbox(arguments: Arguments) -> Iterator[Sandbox | None]:
    """The sandbox that runs, where --sandbox asks for it. Raises UsageError where none does."""
    if not arguments.sandbox:
        yield None
        return
    from sshrun import sandbox

    server = sandbox.running()
    if server is None:
        raise UsageError("no sandbox is running", "start one in another terminal: sshrun sandbox")
    yield server


@contextmanager
def own_sandbox(arguments: Arguments) -> Iterator[Sandbox | None]:
    """The sandbox that runs, or else one that lives as long as this run, where --sandbox asks for it."""
    if not arguments.sandbox:
        yield None
        return
    from sshrun import sandbox

    server = sandbox.running()
    if server is not None:
        yield server
    else:
        with sandbox.start() as server:
            yield server
