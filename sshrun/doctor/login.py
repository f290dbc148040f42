"""The way to the host: name, port, server, host key, account."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping

from sshrun.doctor.finding import Finding, failure, ok, warning
from sshrun.doctor.here import short, way
from sshrun.errors import Refused, RemoteError
from sshrun.ssh import Connection

PATIENCE = 10  # seconds for a server to answer


def login(connection: Connection, effective: Mapping[str, list[str]]) -> Iterator[Finding]:
    """Logs in as a reconnection would: without asking anybody anything. What ssh says on the way is what is told."""
    if connection.shared:
        yield ok("login", "you are logged in already")
        return
    failed: RemoteError | None = None
    try:
        connection.reopen(PATIENCE, "-v")
    except RemoteError as error:
        failed = error
    said = connection.said
    yield from _reached(effective, said, failed)
    if failed is None:
        how = _found(r'Authenticated to .* using "(.*)"', said) or "some method"
        key = _found(r"Server accepts key: (.*) [A-Z0-9-]+ SHA256", said)
        yield ok("login", f"by {how}" + (f", with {short(key)}" if key else "") + ", without a question")
        if connection.alone:
            fix = "it works, only slower; XDG_RUNTIME_DIR may name a folder that can hold sockets"
            yield warning("sharing", f"one login cannot be shared: {connection.alone}", fix)
    elif "Permission denied" in failed.message and os.isatty(0) and _asks(failed.message):
        connection.drop()
        connection.open()
        connection.ready()
        text = "only with an answer of yours: a lost connection waits for you"
        yield warning("login", text, f"ssh-copy-id {connection.host}")


def _asks(message: str) -> bool:
    return any(method in message for method in ("password", "keyboard-interactive"))


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
