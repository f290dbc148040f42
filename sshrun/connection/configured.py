"""What the ssh config sets for a host, as `ssh -G` prints it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import NamedTuple

from sshrun.connection.config_files import VARIABLES
from sshrun.connection.login import Account
from sshrun.connection.paths import ssh_expanded
from sshrun.connection.quoting import quoted
from sshrun.connection.target import parse_port
from sshrun.origin import Origin, Sourced

# Values that a query puts behind all files: where `ssh -G` prints one of them, no file sets the keyword.
UNSET_PORT = "1"
UNSET_USER = "unset-user"
UNSET_KEY = "/unset-key"
UNSET_CONTROL_PATH = "/unset-control-path"

# What `ssh -G` prints among SendEnv where ssh makes a final pass over the files: for `Match final`, and for
# CanonicalizeHostname.
FINAL_PASS = "SSHRUN_FINAL_PASS"


class Configured(NamedTuple):
    """What the user's and the system's file set for a host: None or empty for what neither sets.

    `control_path` is expanded, which is right where user and port are set; "none" where the user turned sharing off.
    `algorithms` are those that a key or a certificate may be offered with, set or not. `ignored_keywords` are the
    patterns of IgnoreUnknown. `final_pass`: ssh reads the files a second time, and what they set only then counts too.
    `proxied`: the login goes through a ProxyCommand or a ProxyJump. `variables` are lines of a config file; None where
    ssh was not asked.
    """

    hostname: str | None = None
    port: int | None = None
    user: str | None = None
    identity_files: tuple[str, ...] = ()
    control_path: str | None = None
    identity_agent: str | None = None
    certificates: tuple[str, ...] = ()
    algorithms: str = ""
    ignored_keywords: tuple[str, ...] = ()
    final_pass: bool = False
    proxied: bool = False
    variables: tuple[str, ...] | None = None

    @property
    def account(self) -> Account:
        """What ranks between a login's overrides and its defaults."""
        return Account(
            Sourced(self.port, Origin("ssh config", key="Port")) if self.port else None,
            Sourced(self.user, Origin("ssh config", key="User")) if self.user else None,
            Sourced(self.identity_files[0], Origin("ssh config", key="IdentityFile")) if self.identity_files else None,
        )


def parse_values(output: bytes) -> dict[str, list[str]]:
    """The values that `ssh -G` printed, by keyword in lower case."""
    values: dict[str, list[str]] = {}
    for line in os.fsdecode(output).splitlines():
        keyword, _, value = line.partition(" ")
        values.setdefault(keyword.lower(), []).append(value)
    return values


def parse_answer(output: bytes) -> Configured:
    """Reads what `ssh -G` printed for `ssh_config.query_plan`."""
    values = parse_values(output)

    def first(keyword: str, unset: str = "") -> str | None:
        value = values.get(keyword, [unset])[0]
        return value if value != unset else None

    port = first("port", UNSET_PORT)
    keys = tuple(ssh_expanded(key) for key in values.get("identityfile", []) if key != UNSET_KEY)
    return Configured(
        hostname=first("hostname"),
        port=parse_port(port) if port else None,
        user=first("user", UNSET_USER),
        identity_files=keys,
        # `ControlPath none` is printed as nothing at all.
        control_path=first("controlpath", UNSET_CONTROL_PATH) if "controlpath" in values else "none",
        identity_agent=first("identityagent"),
        certificates=tuple(map(ssh_expanded, values.get("certificatefile", []))),
        algorithms=first("pubkeyacceptedalgorithms") or "",
        ignored_keywords=tuple(values.get("ignoreunknown", [""])[0].replace(",", " ").split()),
        final_pass=FINAL_PASS in values.get("sendenv", []),
        variables=_variables(values),
        proxied=any(values.get(keyword, ["none"]) != ["none"] for keyword in ("proxycommand", "proxyjump")),
    )


def _variables(values: Mapping[str, list[str]]) -> tuple[str, ...]:
    """One line for each keyword, since the first SetEnv that is met is the one that counts."""
    words = {keyword: [word for word in values.get(keyword, []) if word != FINAL_PASS] for keyword in VARIABLES}
    return tuple(" ".join((keyword, *map(quoted, found))) for keyword, found in words.items() if found)
