"""The way to the host: name, port, server, host key, account."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator, Mapping

from sshrun.doctor.finding import Finding, failure, ok, warning
from sshrun.doctor.here import agent_keys, short, way
from sshrun.errors import Refused, RemoteError
from sshrun.host import ssh_expanded
from sshrun.identity import read_key
from sshrun.job import Heard, LoggingIn, Phase, Said, TryAgain
from sshrun.ssh import Connection

ANSWERED = ("password", "keyboard-interactive")


def login(connection: Connection, effective: Mapping[str, list[str]]) -> Iterator[Finding | LoggingIn | Phase]:
    """Logs in as a run does, with the person at hand for an answer. What ssh says on the way is what is told."""
    if connection.shared:
        yield ok("login", "you are logged in already")
        return
    failed: RemoteError | None = None
    yield LoggingIn(connection.host)
    try:
        for event in connection.logging_in():
            if isinstance(event, Heard | Said | TryAgain):
                yield ok("login", event.text)  # it may ask for something to be done
    except RemoteError as error:
        failed = error
    yield Phase("examining", f"examining {connection.host}")
    said = connection.said
    yield from _reached(effective, said, failed)
    if failed is not None:
        return
    yield _entered(connection, effective, said)
    if connection.alone:
        fix = "it works, only slower; XDG_RUNTIME_DIR may name a folder that can hold sockets"
        yield warning("sharing", f"one login cannot be shared: {connection.alone}", fix)


def _entered(connection: Connection, effective: Mapping[str, list[str]], said: str) -> Finding:
    """By which method, and whether a lost connection can come back by itself."""
    how = _found(r'Authenticated to .* using "(.*)"', said) or "some method"
    partly = re.findall(r'Authenticated using "(.*)" with partial success', said)
    accepted = re.search(r"Server accepts key: (.*) [A-Z0-9-]+ SHA256:\S+(.*)", said)
    text = f"by {how}"
    if accepted:
        text += f", with {short(accepted[1])}"
    waits = ", with an answer of yours: a lost connection waits for you"
    if any(method in ANSWERED for method in (how, *partly)):
        return warning("login", text + waits, _copy_id(connection, effective))
    if accepted and "agent" not in accepted[2] and _locked(accepted[1]):
        return warning("login", text + waits, f"ssh-add {shlex.quote(accepted[1])}")
    return ok("login", text + ", without a question")


def _locked(path: str) -> bool:
    try:
        return read_key(path).locked
    except OSError:
        return False


def _copy_id(connection: Connection, effective: Mapping[str, list[str]]) -> str:
    """The command that makes a key known there, going the way that this login goes."""
    login = connection.login
    words = ["ssh-copy-id"]
    public = _public_half(effective)
    if public:
        words += ["-i", public]
    if login.config_path is not None:
        words += ["-F", login.config_path.value]
    if login.forced_port or login.weak.port:
        words += ["-p", effective["port"][0]]
    named = login.forced_user or login.weak.username
    words.append(f"{effective['user'][0]}@{connection.target}" if named else connection.target)
    if public or agent_keys(effective):  # without a file it takes what the agent holds
        return shlex.join(words)
    return f"sshrun ssh-keygen NAME, then: ssh-copy-id -i ~/.ssh/id_NAME.pub {shlex.join(words[1:])}"


def _public_half(effective: Mapping[str, list[str]]) -> str:
    """That of the first key which ssh would offer, or "" where there is none."""
    for name in effective.get("identityfile", []):
        path = ssh_expanded(name)
        public = path if path.endswith(".pub") else f"{path}.pub"
        if os.path.isfile(public):
            return public
    return ""


def _reached(effective: Mapping[str, list[str]], said: str, failed: RemoteError | None) -> Iterator[Finding]:
    server = _found(r"remote software version (.*)", said)
    address = _found(r"Connecting to \S+ \[(.*)\] port", said) or effective["hostname"][0]
    port = effective["port"][0]
    if not server:
        text, fix = _unreached(said, address, port, failed)
        yield failure("connection", text, fix)
        return
    between = way(effective)
    yield ok("connection", f"{server} at {address} port {port}" + (f", through {between}" if between else ""))
    key = _found(r"Server host key: (.*)", said)
    if isinstance(failed, Refused) and "host key" in failed.message:
        yield failure("host key", f"{failed.message}, {key}", failed.hint)
        return
    yield ok("host key", f"{key}, known here" if "is known and matches" in said else key)
    if failed is not None:
        yield failure("login", failed.message, failed.hint)


def _unreached(said: str, address: str, port: str, failed: RemoteError | None) -> tuple[str, str]:
    """Why nobody has introduced himself as an SSH server."""
    words = failed.message if failed else "ssh ended without a word"
    where = f"port {port} of {address}"
    if "Could not resolve" in words:
        return words, "see the spelling, and HostName in your ssh config"
    if "Connection refused" in words:
        return f"nothing listens on {where}", "is sshd running there, on another port? -p PORT"
    if "Connection established" in said:
        what = "stays silent" if "timed out" in words else f"is no SSH server ({words})"
        return f"{where} accepts connections and {what}", "is it the right port? -p PORT; or is the machine overloaded?"
    if "timed out" in words:
        return f"{where} does not answer", "is the machine on, and is there a VPN or a firewall on the way?"
    return words, failed.hint if failed else ""


def _found(pattern: str, text: str) -> str:
    found = re.search(pattern, text)
    return found[1].strip() if found else ""
