"""Looks at everything between here and a job on a host, in the order in which a run would meet it. Never prints.

Nothing is changed on the way: a canary, a job that does nothing, is started, left alone without a connection, looked at
again, and removed.
"""

from __future__ import annotations

from collections.abc import Iterator

from sshrun.doctor import here, there
from sshrun.doctor.finding import Finding, failure
from sshrun.doctor.login import login
from sshrun.errors import SettingsError
from sshrun.host import resolved
from sshrun.job import LoggingIn, Phase
from sshrun.settings import Settings
from sshrun.ssh import Connection, look

__all__ = ["Finding", "examine"]


def examine(settings: Settings) -> Iterator[Finding | LoggingIn | Phase]:
    """All findings, up to the first that leaves the rest unknown, and what is waited for in between.

    Raises UsageError where no host is named.
    """
    yield Phase("examining", f"examining {settings.login.host}")
    yield from here.programs()
    try:
        connection = Connection(settings.login, account=True)
        effective = connection.effective()
        origins = resolved(settings.login, look(settings.login))
    except FileNotFoundError:
        return  # no ssh, as has been said
    except SettingsError as error:
        yield failure("config", "; ".join(error.problems), error.hint)
        return
    try:
        yield here.config(connection, effective, origins)
        yield from here.homes()
        yield from here.keys(effective, connection.target)
        yield from login(connection, effective)
        if connection.usable:
            yield from there.host(connection, settings)
    finally:
        connection.close()
