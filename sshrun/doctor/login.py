"""The login: name, port, server, host key, account."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator, Mapping

from sshrun.connection.keys import read_key
from sshrun.connection.master import Connection
from sshrun.connection.paths import ssh_expanded
from sshrun.doctor.finding import Finding, failure, ok, warning
from sshrun.doctor.local import agent_keys, proxy, short
from sshrun.errors import Refused, RemoteError
from sshrun.events import LoggingIn, LoginMessage, Notice, PasswordRefused, Phase

ANSWERED = ("password", "keyboard-interactive")


def login(connection: Connection, effective: Mapping[str, list[str]]) -> Iterator[Finding | LoggingIn | Phase]:
    """Logs in as a run does, with the person at hand for an answer. The findings come from ssh's log."""
    if connection.shared:
        yield ok("login", "you are logged in already")
        return
    failed: RemoteError | None = None
    yield LoggingIn(connection.host)
    try:
        for event in connection.logging_in():
            if isinstance(event, LoginMessage | Notice | PasswordRefused):
                yield ok("login", event.text)  # it may ask for something to be done
    except RemoteError as error:
        failed = error
    yield Phase("examining", f"examining {connection.host}")
    log = connection.log
    yield from _reached(effective, log, failed)
    if failed is not None:
        return
    yield _authenticated(connection, effective, log)
    if connection.alone:
        fix = "it works, only slower; XDG_RUNTIME_DIR may name a directory that can hold sockets"
        yield warning("sharing", f"one login cannot be shared: {connection.alone}", fix)


def _authenticated(connection: Connection, effective: Mapping[str, list[str]], log: str) -> Finding:
    """By which method, and whether a lost connection can be restored without a person."""
    how = _found(r'Authenticated to .* using "(.*)"', log) or "some method"
    partly = re.findall(r'Authenticated using "(.*)" with partial success', log)
    accepted = re.search(r"Server accepts key: (.*) [A-Z0-9-]+ SHA256:\S+(.*)", log)
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
    """The command that makes a key known to the host, with the options of this login."""
    login = connection.login
    words = ["ssh-copy-id"]
    public = _public_half(effective)
    if public:
        words += ["-i", public]
    if login.config_path is not None:
        words += ["-F", login.config_path.value]
    if login.overrides.port or login.defaults.port:
        words += ["-p", effective["port"][0]]
    named = login.overrides.user or login.defaults.user
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


def _reached(effective: Mapping[str, list[str]], log: str, failed: RemoteError | None) -> Iterator[Finding]:
    server = _found(r"remote software version (.*)", log)
    address = _found(r"Connecting to \S+ \[(.*)\] port", log) or effective["hostname"][0]
    port = effective["port"][0]
    if not server:
        text, fix = _unreached(log, address, port, failed)
        yield failure("connection", text, fix)
        return
    between = proxy(effective)
    yield ok("connection", f"{server} at {address} port {port}" + (f", through {between}" if between else ""))
    key = _found(r"Server host key: (.*)", log)
    if isinstance(failed, Refused) and "host key" in failed.message:
        yield failure("host key", f"{failed.message}, {key}", failed.hint)
        return
    yield ok("host key", f"{key}, known" if "is known and matches" in log else key)
    if failed is not None:
        yield failure("login", failed.message, failed.hint)


def _unreached(log: str, address: str, port: str, failed: RemoteError | None) -> tuple[str, str]:
    """Why no SSH server has answered."""
    words = failed.message if failed else "ssh ended without a message"
    where = f"port {port} of {address}"
    if "Could not resolve" in words:
        return words, "see the spelling, and HostName in your ssh config"
    if "Connection refused" in words:
        return f"nothing listens on {where}", "is sshd running on the host, on another port? -p PORT"
    if "Connection established" in log:
        what = "stays silent" if "timed out" in words else f"is no SSH server ({words})"
        return f"{where} accepts connections and {what}", "is it the right port? -p PORT; or is the machine overloaded?"
    if "timed out" in words:
        return f"{where} does not answer", "is the machine on, and is there a VPN or a firewall on the way?"
    return words, failed.hint if failed else ""


def _found(pattern: str, text: str) -> str:
    found = re.search(pattern, text)
    return found[1].strip() if found else ""
