"""The files of the ssh config: where they are, and whether ssh has to be asked what they mean.

Asking ssh costs time, and runs the programs of `Match exec`. Where no file contains a keyword that matters before a
login, ssh is not asked.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

from sshrun.connection.keys import needs_agent
from sshrun.connection.login import Login
from sshrun.connection.paths import SYSTEM_CONFIG, USER_CONFIG, ssh_expanded

# What a session over an open connection takes from the files, beside the options we give it: mux.c of OpenSSH.
VARIABLES = ("sendenv", "setenv")


def must_query(login: Login) -> bool:
    """Whether a `Configured` is needed: the files may set ControlPath, IgnoreUnknown, a proxy, or a key beside the one
    named, or have ssh make a final pass.

    False in the common case: then the login starts at once.
    """
    key = login.overrides.key
    if key:
        if needs_agent(key.value):
            return True
        keywords = {"ignoreunknown", "certificatefile"}
    elif login.defaults.key:
        keywords = {"ignoreunknown", "controlpath", "identityfile"}
    else:
        keywords = {"ignoreunknown", "controlpath"}
    if login.defaults.port or login.defaults.user:
        keywords |= {"canonicalizehostname", "match"}
    keywords |= {"proxycommand", "proxyjump"}
    return any(
        _may_set(keywords, *file) or (_may_set(VARIABLES, *file) and _may_set({"match"}, *file))
        for file in _files(login)
    )


def may_set_timeout(login: Login) -> bool:
    """Whether the files may set how long a server may take to answer."""
    return any(_may_set({"connecttimeout"}, *file) for file in _files(login))


def _files(login: Login) -> tuple[tuple[str, str, str], tuple[str, str, str]]:
    """The user's file and the system's, each with what relative Includes in it are relative to, and with the host."""
    own = login.config_path.value if login.config_path else ssh_expanded(USER_CONFIG)
    return (own, "~/.ssh", login.host), (SYSTEM_CONFIG, os.path.dirname(SYSTEM_CONFIG), login.host)


def may_set_variables(login: Login) -> tuple[bool, bool]:
    """Whether the user's file, and the system's, may set variables of sessions."""
    own, system = (_may_set(VARIABLES, *file) for file in _files(login))
    return own, system


def _may_set(keywords: Iterable[str], path: str, directory: str, host: str, depth: int = 16) -> bool:
    """Whether a config file may set one of `keywords` for the host; True also where only ssh itself knows.

    `directory` is what relative Includes in it are relative to: ssh_config(5), Include.
    """
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            lines = file.read().splitlines()
    except OSError:
        return False
    applies = True
    for line in lines:
        keyword, _, rest = line.strip().replace("=", " ", 1).replace("\t", " ").partition(" ")
        keyword = keyword.lower()
        if keyword.startswith('"'):
            return True
        if keyword in ("host", "match"):
            applies = keyword == "match" or not _excludes(rest, host)
        if not applies:
            continue
        if keyword in keywords:
            return True
        if keyword != "include":
            continue
        if depth == 0 or any(character in rest for character in "\"'\\%$[]{}\0"):
            return True
        for pattern in rest.split():
            # glob(3) takes ~ from $HOME, other than the rest of ssh: what ssh does is what counts.
            included = os.path.expanduser(pattern if pattern[0] in "/~" else f"{directory}/{pattern}")
            parent, name = os.path.split(included)
            if "*" in parent or "?" in parent or included.startswith("~"):
                return True
            for file_name in _names_in(parent) if "*" in name or "?" in name else [name]:
                if _may_set(keywords, f"{parent}/{file_name}", directory, host, depth - 1):
                    return True
    return False


def _excludes(patterns: str, host: str) -> bool:
    """Whether a Host block is surely not for the host, whatever ssh makes of its name.

    Only blocks for what is no host name (RFC 1123, 2.1) are, such as those of 20-systemd-ssh-proxy.conf, which systemd
    brings from version 256 on: `Host unix/* vsock/*` and `Host .host machine/.host`.
    """
    is_name = not host.startswith(".")
    return all("/" in pattern or (is_name and pattern.startswith(".")) for pattern in patterns.split())


def _names_in(directory: str) -> list[str]:
    """Empty where the directory is missing or cannot be read: ssh finds nothing in it either."""
    try:
        return os.listdir(directory)
    except OSError:
        return []
