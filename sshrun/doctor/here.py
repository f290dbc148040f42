"""What this machine has for a login: programs, configuration, keys, agent."""

from __future__ import annotations

import os
import pwd
import re
from collections.abc import Iterator, Mapping

from sshrun.doctor.finding import Finding, failure, ok, warning
from sshrun.host import Resolved, SshView, agent_socket, ssh_expanded
from sshrun.identity import read_key
from sshrun.process import capture
from sshrun.ssh import Connection

OLDEST = (7, 6)  # ControlPersist, ProxyJump and Include have been there for long enough by then

# ssh(1); what stands in none of these has been asked for by name.
DEFAULT_KEYS = ("id_rsa", "id_ecdsa", "id_ecdsa_sk", "id_ed25519", "id_ed25519_sk", "id_xmss", "id_dsa")


def programs() -> Iterator[Finding]:
    try:
        said = capture(["ssh", "-V"]).output.decode("utf-8", "replace").strip()
    except FileNotFoundError:
        yield failure("ssh", "there is no ssh here", "apt-get install openssh-client")
        return
    found = re.search(r"OpenSSH_(\d+)\.(\d+)", said)
    if found and (int(found[1]), int(found[2])) >= OLDEST:
        yield ok("ssh", said.partition(",")[0])
    else:
        yield warning("ssh", f"{said}: not tried with sshrun", "install OpenSSH 7.6 or later")
    try:
        capture(["rsync", "--version"])
    except FileNotFoundError:
        yield warning("rsync", "there is no rsync here: files that changed go whole", "apt-get install rsync")


def config(connection: Connection, effective: Mapping[str, list[str]], origins: Resolved) -> Finding:
    user, host, port = (effective[keyword][0] for keyword in ("user", "hostname", "port"))
    text = f"{user}@{host} port {port}"
    named = [f"{what} from {place.origin}" for what, place in (("host", origins.hostname), ("user", origins.user))]
    if connection.shared:
        text += f", over your open connection {connection.socket}"
    return ok("config", f"{text} ({', '.join(named)})")


def way(effective: Mapping[str, list[str]]) -> str:
    """The ProxyJump, or the ProxyCommand, or ""."""
    for keyword in ("proxyjump", "proxycommand"):
        value = effective.get(keyword, ["none"])[0]
        if value != "none":
            return value
    return ""


def keys(effective: Mapping[str, list[str]]) -> Iterator[Finding]:
    """The private keys that ssh would try, and the agent. A key that cannot be used is told, needed or not."""
    usable: list[str] = []
    locked: list[str] = []
    for name in effective.get("identityfile", []):
        path = ssh_expanded(name)
        shown = short(path)
        try:
            status = os.stat(path)
            key = read_key(path)
        except OSError as error:
            if os.path.basename(path) not in DEFAULT_KEYS:
                yield warning("keys", f"{shown}: {error.strerror}", "see IdentityFile in your ssh config, or -i")
            continue
        if status.st_uid == os.getuid() and status.st_mode & 0o077:
            text = f"{shown} has mode {status.st_mode & 0o777:04o}: ssh does not use a key that others can read"
            yield failure("keys", text, f"chmod 600 {shown}")
        elif key.locked:
            locked.append(shown)
        else:
            usable.append(shown)
    held = _agent_keys(effective)
    agent = {None: "no agent", 0: "an agent that holds no key"}.get(held, f"an agent with {held} keys")
    if usable or held:
        yield ok("keys", ", ".join([*usable, agent]))
    elif locked:
        text = f"{', '.join(locked)} asks for its passphrase, and there is {agent}: a lost connection waits for you"
        yield warning("keys", text, f"ssh-add {locked[0]}")
    else:
        yield warning("keys", f"there is no key file, and {agent}", "ssh-add FILE, or: sshrun ssh-keygen NAME")


def _agent_keys(effective: Mapping[str, list[str]]) -> int | None:
    """How many keys the agent holds; None where there is no agent."""
    socket = agent_socket(SshView(identity_agent=effective.get("identityagent", ["SSH_AUTH_SOCK"])[0]))
    if not socket:
        return None
    status, output = capture(["ssh-add", "-l"], {**os.environ, "SSH_AUTH_SOCK": socket})
    return {0: output.count(b"\n"), 1: 0}.get(status)  # ssh-add(1): 1 for none, 2 for no agent


def short(path: str) -> str:
    """A path as a person would write it."""
    home = pwd.getpwuid(os.getuid()).pw_dir
    return "~" + path.removeprefix(home) if path.startswith(home + "/") else path
