"""This machine: programs, ssh config, keys, agent."""

from __future__ import annotations

import os
import pwd
import re
from collections.abc import Iterator, Mapping

from sshrun.connection.agent import list_keys
from sshrun.connection.keys import public_halves, read_key
from sshrun.connection.login import Resolved
from sshrun.connection.master import Connection
from sshrun.connection.paths import ssh_expanded
from sshrun.doctor.finding import Finding, failure, ok, warning
from sshrun.process import capture

OLDEST = (7, 6)  # the first with all that is used: ControlPersist, ProxyJump, Include

# ssh(1). Any other key file has been named by the person.
DEFAULT_KEYS = ("id_rsa", "id_ecdsa", "id_ecdsa_sk", "id_ed25519", "id_ed25519_sk", "id_xmss", "id_dsa")


def programs() -> Iterator[Finding]:
    try:
        version = capture(["ssh", "-V"]).output.decode("utf-8", "replace").strip()
    except FileNotFoundError:
        yield failure("ssh", "ssh is not installed on this machine", "apt-get install openssh-client")
        return
    found = re.search(r"OpenSSH_(\d+)\.(\d+)", version)
    if found and (int(found[1]), int(found[2])) >= OLDEST:
        yield ok("ssh", version.partition(",")[0])
    else:
        yield warning("ssh", f"{version}: not tried with sshrun", "install OpenSSH 7.6 or later")
    try:
        capture(["rsync", "--version"])
    except FileNotFoundError:
        text = "rsync is not installed on this machine: files that changed are sent whole"
        yield warning("rsync", text, "apt-get install rsync")


def config(connection: Connection, effective: Mapping[str, list[str]], origins: Resolved) -> Finding:
    user, host, port = (effective[keyword][0] for keyword in ("user", "hostname", "port"))
    text = f"{user}@{host} port {port}"
    named = [f"{what} from {place.origin}" for what, place in (("host", origins.hostname), ("user", origins.user))]
    if connection.shared:
        text += f", over your open connection {connection.socket}"
    return ok("config", f"{text} ({', '.join(named)})")


def proxy(effective: Mapping[str, list[str]]) -> str:
    """The ProxyJump, or the ProxyCommand, or ""."""
    for keyword in ("proxyjump", "proxycommand"):
        value = effective.get(keyword, ["none"])[0]
        if value != "none":
            return value
    return ""


def home_directory() -> Iterator[Finding]:
    """ssh goes by the passwd file, all else by $HOME: they differ in containers, with sudo -E and in services."""
    used, other = ssh_expanded("~/.ssh"), os.path.expanduser("~/.ssh")
    if os.path.isdir(other) and os.path.realpath(other) != os.path.realpath(used):
        text = f"ssh reads {used}, whatever $HOME is; from {other} it takes what an Include names, and no more"
        yield warning("config", text, f"copy it to {used}, or name it: config_path, key_filename, -i")


def keys(effective: Mapping[str, list[str]], host: str) -> Iterator[Finding]:
    """The keys that ssh would try, and the agent. A key that cannot be used is a warning: the login decides."""
    held = agent_keys(effective)
    usable: list[str] = []
    locked: list[str] = []
    for name in effective.get("identityfile", []):
        path = _without_tokens(ssh_expanded(name), effective, host)
        try:
            key = read_key(path)
            mode, ours = _access(path)
        except OSError as error:
            if os.path.basename(path) not in DEFAULT_KEYS and "%" not in path and "$" not in path:
                fix = "see IdentityFile in your ssh config, or -i"
                yield warning("keys", f"{short(path)}: {error.strerror}", fix)
            continue
        shown = short(path)
        if held is not None and key.public in held:
            usable.append(f"{shown} (in the agent)")
        elif key.half:
            text = f"{shown}: its private half is neither in a file beside it nor in the agent"
            yield warning("keys", text, f"unlock the agent that holds it, or name the private half: {_half_fix(path)}")
        elif ours and mode & 0o077:
            text = f"{shown} has mode {mode:04o}: ssh does not use a key that others can read"
            yield warning("keys", text, f"chmod 600 {shown}")
        elif key.locked:
            locked.append(shown)
        else:
            usable.append(shown)
    agent = "no agent" if held is None else f"an agent with {len(held)} keys" if held else "an agent that holds no key"
    if usable or held:
        yield ok("keys", ", ".join([*usable, agent]))
    elif locked:
        text = f"{', '.join(locked)} asks for its passphrase, and there is {agent}: a lost connection waits for you"
        yield warning("keys", text, f"ssh-add {locked[0]}")
    else:
        yield warning("keys", f"no key file, and {agent}", "ssh-add FILE, or: sshrun ssh-keygen NAME")


def _access(path: str) -> tuple[int, bool]:
    """The mode of a key file, and whether it is ours: only then does ssh check the mode (sshkey_perm_ok())."""
    try:
        status = os.stat(path)
    except FileNotFoundError:
        status = os.stat(path + ".pub")
    return status.st_mode & 0o777, status.st_uid == os.getuid()


def _half_fix(path: str) -> str:
    return f"IdentityFile {short(path.removesuffix('.pub'))}"


def _without_tokens(path: str, effective: Mapping[str, list[str]], host: str) -> str:
    """A path with the common tokens of ssh_config(5) replaced; only ssh can expand the others."""
    if "%" not in path:
        return path
    directory = ssh_expanded("~/").rstrip("/")
    tokens = {"d": directory, "h": effective["hostname"][0], "n": host, "p": effective["port"][0], "%": "%"}
    tokens["r"] = effective["user"][0]
    tokens["u"] = pwd.getpwuid(os.getuid()).pw_name
    return re.sub("%(.)", lambda found: tokens.get(found[1], found[0]), path)


def agent_keys(effective: Mapping[str, list[str]]) -> set[str] | None:
    """The public halves of the keys that the agent holds; None where there is no agent."""
    listed = list_keys(effective.get("identityagent", ["SSH_AUTH_SOCK"])[0])
    return None if listed is None else public_halves(listed)


def short(path: str) -> str:
    """A path as a person would write it, for ssh and for a shell alike."""
    directory = ssh_expanded("~/").rstrip("/")
    if directory != os.path.expanduser("~"):
        return path
    return "~" + path.removeprefix(directory) if path.startswith(directory + "/") else path
