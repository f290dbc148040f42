"""The layered ssh config: what ssh is called with, so that each value has the rank that login.py gives it.

ssh itself does the merging. Its first value wins, so the file given with `-F` contains, in this order: the user's own
file, our defaults for `Host *`, the system's file, and last the login's `defaults`, in a block for the one host: a
bastion reached by ProxyJump reads the same file. The login's `overrides` are options of ssh, and no bastion gets those.
"""

from __future__ import annotations

import os
from typing import NamedTuple

from sshrun.connection.config_files import may_set_variables
from sshrun.connection.configured import (
    FINAL_PASS,
    UNSET_CONTROL_PATH,
    UNSET_KEY,
    UNSET_PORT,
    UNSET_USER,
    Configured,
)
from sshrun.connection.keys import certifies, read_key
from sshrun.connection.login import Login, local_user
from sshrun.connection.paths import SYSTEM_CONFIG, USER_CONFIG, ssh_expanded
from sshrun.connection.quoting import globbed, literal, quoted

CONNECT_TIMEOUT = 30  # seconds for a server to answer, unless the ssh config sets another timeout

# A dead connection is noticed within 5 s x 3, and a job without output keeps its connection.
_DEFAULTS = f"Host *\n  ServerAliveInterval 5\n  ServerAliveCountMax 3\n  ConnectTimeout {CONNECT_TIMEOUT}\n"

# Seconds for an answer that comes through a proxy, unless the person's file sets others: it may have asked for a login
# in a browser (cloudflared, gcloud), or a bastion for a password.
_PROXY_TIMEOUT = 600

_KEYS_FIRST = "publickey,gssapi-with-mic,hostbased,keyboard-interactive,password"


class SshPlan(NamedTuple):
    """How to call ssh: `ssh -F FILE_WITH(config) *options -- host`. Nothing in it is secret.

    `session` is a config for one session over an open connection. It contains what such a session still takes from the
    files, the variables of the local environment, and has no `Match exec` run its program again.
    """

    config: bytes
    options: tuple[str, ...]
    host: str
    session: bytes = b""


def query_plan(login: Login, *, as_used: bool = False, final_pass: bool = False) -> SshPlan:
    """How to ask what the config files set: put `-G` before `options`; configured.parse_answer reads the answer.

    Port and user that no file sets are shown as unset, or with `as_used` as a login has them, so that tokens expand as
    they will. Where the answer has `final_pass`, ask again with that: our "unset" values would rank above what the
    files set only in the final pass.
    """
    port, user = UNSET_PORT, UNSET_USER
    if as_used:
        account = login.defaults
        port = str(account.port.value) if account.port else "22"
        user = account.user.value if account.user else local_user()
    block = (
        f"{_host_block(login, final_pass=final_pass)}  Port {port}\n  User {quoted(user)}\n  IdentityFile {UNSET_KEY}\n"
        f"  ControlPath {UNSET_CONTROL_PATH}\nMatch canonical\n  SendEnv {FINAL_PASS}\n"
    )
    # Port and user are given as options where they are overridden, for `Match user` and %p in the user's own lines.
    return SshPlan(_layers(login, block), _account_options(login), login.host)


def plan_login(
    login: Login, control_path: str, configured: Configured = Configured(), *, agent_serves: bool = False
) -> SshPlan:
    """How to call ssh for a login.

    `control_path` is ours. It is used where the user's files set none or "none", and always with a key that
    overrides them: an open master of the user's may have logged in with another one. `configured` is needed where
    config_files.must_query is true; `agent_serves` is the result of agent.agent_serves.
    """
    key = login.overrides.key
    options = _account_options(login)
    block: list[str] = []
    if key:
        options += ("-o", f"IdentityFile={literal(key.value)}", "-o", "IdentitiesOnly=yes")
        # Keys of a token come before all files, keys of the agent before those of files, and Kerberos before all keys.
        options += ("-o", "PKCS11Provider=none", "-o", f"PreferredAuthentications={_KEYS_FIRST}")
        if not agent_serves:
            options += ("-o", "IdentityAgent=none")
        options += _certificate(key.value, configured)
    elif login.defaults.key and not configured.identity_files:
        block += [f"IdentityFile {literal(login.defaults.key.value)}", "IdentitiesOnly yes"]
    if key or configured.control_path == "none":
        options += ("-o", f"ControlPath={quoted(control_path)}")
    else:
        block.append(f"ControlPath {quoted(control_path)}")
    if login.defaults.port:
        block.append(f"Port {login.defaults.port.value}")
    if login.defaults.user:
        block.append(f"User {quoted(login.defaults.user.value)}")
    settings = "".join(f"  {line}\n" for line in block)
    defaults = _host_block(login, final_pass=configured.final_pass) + settings
    timeout = f"Host {quoted(login.host)}\n  ConnectTimeout {_PROXY_TIMEOUT}\n" if configured.proxied else ""
    return SshPlan(
        _layers(login, defaults, before_ours=timeout), options, login.host, _session_config(login, configured)
    )


def _session_config(login: Login, configured: Configured) -> bytes:
    """Whole files only where ssh was not asked: then no `Match` is in any that sets variables (`must_query`)."""
    if configured.variables is not None:
        return os.fsencode("".join(f"{line}\n" for line in configured.variables))
    own, system = may_set_variables(login)
    return (_own_file(login) + b"Host *\n" if own else b"") + (f"Include {SYSTEM_CONFIG}\n".encode() if system else b"")


def _certificate(key: str, configured: Configured) -> tuple[str, ...]:
    """What keeps certificates of other keys out: ssh offers them before any key, and no option takes one back."""
    if not configured.certificates:
        return ()
    try:
        own = [path for path in (f"{key}-cert.pub", *configured.certificates) if certifies(path, read_key(key))]
    except OSError:
        own = []
    if own:
        return ("-o", f"CertificateFile={literal(own[0])}")
    allowed = [name for name in configured.algorithms.split(",") if "-cert-" not in name]
    return ("-o", f"PubkeyAcceptedAlgorithms={','.join(allowed)}")


def _account_options(login: Login) -> tuple[str, ...]:
    account = login.overrides
    options: tuple[str, ...] = ()
    if account.port:
        options += ("-p", str(account.port.value))
    if account.user:
        options += ("-l", account.user.value)
    return options


def _host_block(login: Login, *, final_pass: bool) -> str:
    """The first line of the block that ranks below the files. ssh's first value wins, whichever pass it is from."""
    # In the final pass, Host would match the canonical name.
    return f"Match canonical originalhost {quoted(login.host)}\n" if final_pass else f"Host {quoted(login.host)}\n"


def _own_file(login: Login) -> bytes:
    """The user's file, as lines of another one. It may end in any block."""
    if login.config_path is None:
        return os.fsencode(f"Include {quoted(globbed(ssh_expanded(USER_CONFIG)))}\n")
    # Copied in, not included: Include refuses a file of another owner or mode, which ssh -F does not.
    with open(login.config_path.value, "rb") as file:
        return file.read() + b"\n"


def _layers(login: Login, defaults: str, *, before_ours: str = "") -> bytes:
    # `Host *` ends whatever block the user's file ended in.
    return _own_file(login) + os.fsencode(f"{before_ours}{_DEFAULTS}Include {SYSTEM_CONFIG}\n{defaults}")
