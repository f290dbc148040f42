"""Who wins among `--host` and its options, the person's ssh config, and the `connection` setting: the only decision.

    rank  where               what                                                 how ssh gets it
    1     Login.overrides     -p, -i, USER and PORT of --host; without --host also   options of ssh
                              port, username and key_filename of `connection`
    2     Configured.account  Port, User and IdentityFile of the ssh config        files that ssh reads by itself
    3     Login.defaults      with --host: those of `connection`                   a block behind all those files
    4                         port 22, the local user's name, ssh's default keys

HOST itself is that of --host, or else `connection.hostname`; a HostName of the ssh config for it overrides both.
ssh_config.py writes this down for ssh, which does the merging; `resolve` states the outcome for a person to read.
"""

from __future__ import annotations

import os
import pwd
from typing import NamedTuple

from sshrun.connection.target import FORM, Target
from sshrun.errors import UsageError
from sshrun.origin import Origin, Sourced


class ConnectionSetting(NamedTuple):
    """`connection` of the user file, each value checked; `key_filename` is an absolute path."""

    hostname: Sourced[str] | None = None
    port: Sourced[int] | None = None
    username: Sourced[str] | None = None
    key_filename: Sourced[str] | None = None


class Account(NamedTuple):
    """Port, user and key as one rank gives them; None for what the next rank decides."""

    port: Sourced[int] | None = None
    user: Sourced[str] | None = None
    key: Sourced[str] | None = None


class Login(NamedTuple):
    """All that the command line and the user file contain about logging in.

    `config_path` is an ssh config file to use in place of the user's own.
    """

    target: Target | None = None
    port: Sourced[int] | None = None
    identity: Sourced[str] | None = None
    connection: ConnectionSetting = ConnectionSetting()
    config_path: Sourced[str] | None = None

    @property
    def host(self) -> str:
        """The HOST argument of ssh. Raises UsageError where nobody names one."""
        if self.target:
            return self.target.host
        if self.connection.hostname:
            return self.connection.hostname.value
        raise UsageError(
            "no host is named", f"add --host {FORM}, or connection: {{hostname: HOST}} under ssh: in the user file"
        )

    @property
    def overrides(self) -> Account:
        """What ranks above the ssh config."""
        named = self._setting
        if self.target:
            option = Origin("option", key="--host")
            port, user = self.target.port, self.target.user
            named = Account(Sourced(port, option) if port else None, Sourced(user, option) if user else None)
        return Account(self.port or named.port, named.user, self.identity or named.key)

    @property
    def defaults(self) -> Account:
        """What ranks below the ssh config."""
        return self._setting if self.target else Account()

    @property
    def _setting(self) -> Account:
        return Account(self.connection.port, self.connection.username, self.connection.key_filename)


class Resolved(NamedTuple):
    """Where a login goes in the end. `identity` is None where ssh chooses among its default keys and the agent's."""

    hostname: Sourced[str]
    port: Sourced[int]
    user: Sourced[str]
    identity: Sourced[str] | None


def resolve(login: Login, hostname: str | None, configured: Account) -> Resolved:
    """The outcome of the ranking. `hostname` and `configured` are what the ssh config has for the login's host."""
    default = Origin("default")
    named = default
    if login.target:
        named = Origin("option", key="--host")
    elif login.connection.hostname:
        named = login.connection.hostname.origin
    renamed = hostname is not None and hostname.lower() != login.host.lower()
    own = Account(Sourced(22, default), Sourced(local_user(), default))
    ranks = (login.overrides, configured, login.defaults, own)
    return Resolved(
        Sourced(hostname or login.host, Origin("ssh config", key="HostName") if renamed else named),
        next(rank.port for rank in ranks if rank.port),
        next(rank.user for rank in ranks if rank.user),
        next((rank.key for rank in ranks if rank.key), None),
    )


def local_user() -> str:
    """The name that ssh logs in with where nothing gives another."""
    return pwd.getpwuid(os.getuid()).pw_name
