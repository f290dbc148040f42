"""Examines everything between this machine and a job on a host, in the order in which a run depends on it.

Nothing is changed: a canary, a job that does nothing, is started, left without a connection, queried and removed.
"""

from __future__ import annotations

from collections.abc import Iterator

from sshrun.connection.master import Connection
from sshrun.connection.query import resolved
from sshrun.doctor import local, remote
from sshrun.doctor.finding import Finding, failure
from sshrun.doctor.login import login
from sshrun.errors import SettingsError
from sshrun.events import LoggingIn, Phase
from sshrun.settings.schema import Settings

__all__ = ["Finding", "examine"]


def examine(settings: Settings) -> Iterator[Finding | LoggingIn | Phase]:
    """All findings, up to the first that leaves the rest unknown, and the phases in between.

    Raises UsageError where no host is named.
    """
    yield Phase("examining", f"examining {settings.login.host}")
    yield from local.programs()
    try:
        connection = Connection(settings.login, verbose=True)
        effective = connection.effective()
        origins = resolved(settings.login)
    except FileNotFoundError:
        return  # no ssh: a finding of `programs`
    except SettingsError as error:
        yield failure("config", "; ".join(error.problems), error.hint)
        return
    try:
        yield local.config(connection, effective, origins)
        yield from local.home_directory()
        yield from local.keys(effective, connection.target)
        yield from login(connection, effective)
        if connection.usable:
            yield from remote.host(connection, settings)
    finally:
        connection.close()
