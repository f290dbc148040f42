"""The ssh agent: its socket, the keys that it holds, and whether it is to be asked for one."""

from __future__ import annotations

import os

from sshrun.connection.keys import agent_may_serve, needs_agent, read_key
from sshrun.connection.login import Login
from sshrun.connection.paths import ssh_expanded
from sshrun.process import capture


def agent_socket(identity_agent: str | None) -> str | None:
    """The socket of the agent that ssh would ask, None where it asks none: ssh_config(5), IdentityAgent."""
    named = identity_agent or "SSH_AUTH_SOCK"
    if named == "SSH_AUTH_SOCK":
        return os.environ.get(named)
    if named.startswith("$"):
        return os.environ.get(named[1:].strip("{}"))
    return None if named == "none" else ssh_expanded(named)


def list_keys(identity_agent: str | None) -> bytes | None:
    """What `ssh-add -L` prints: the public keys that the agent holds. None where there is no agent."""
    socket = agent_socket(identity_agent)
    if not socket:
        return None
    try:
        status, output = capture(["ssh-add", "-L"], {**os.environ, "SSH_AUTH_SOCK": socket})
    except FileNotFoundError:
        return None
    return output if status in (0, 1) else None  # ssh-add(1): 1 for no key, 2 for no agent


def agent_serves(login: Login, identity_agent: str | None, identity_files: tuple[str, ...]) -> bool:
    """Whether the agent is to offer the key that overrides all others: where only it can use it without a question."""
    key = login.overrides.key
    if key is None or not needs_agent(key.value):
        return False
    listed = list_keys(identity_agent)
    return listed is not None and agent_may_serve(read_key(key.value), list(identity_files), listed)
