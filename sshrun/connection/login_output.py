"""What a person should know while ssh logs in: messages of ssh and of its proxy, an agent that hangs."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

from sshrun.events import Event, LoginMessage, Notice, PasswordRefused

TRY_AGAIN = "Permission denied, please try again."  # ssh, before it asks for a password once more

PARTIAL_LINE_TIMEOUT = 0.5  # seconds after which a line without an end is a question
AGENT_CHECK_AFTER = 2.0  # seconds of a login after which the agent is sent a request
AGENT_TIMEOUT = 0.5  # seconds for its answer

# SSH_AGENTC_REQUEST_IDENTITIES: draft-miller-ssh-agent, the first request that ssh sends too
_LIST_KEYS = b"\0\0\0\1\x0b"


class LoginOutput:
    """Of one login. `log` is the file that ssh writes with -E, `proxy_log` the standard error of its proxies."""

    def __init__(self, log: str, proxy_log: str, agent: str | None) -> None:
        self._log = _Tail(log)
        self._proxy = _Tail(proxy_log)
        self._agent = agent
        self._started = time.monotonic()
        self.proxy_spoke = False

    def news(self, *, ended: bool = False) -> Iterator[Event]:
        """What has come since the last call. At the login's end a line without an end counts at once."""
        for line in self._proxy.lines(ended=ended):
            self.proxy_spoke = True
            yield PasswordRefused(line) if line == TRY_AGAIN else LoginMessage(line)
        for line in self._log.lines(ended=ended):
            if line == TRY_AGAIN:
                yield PasswordRefused(line)
        if self._agent is not None and time.monotonic() - self._started >= AGENT_CHECK_AFTER:
            agent, self._agent = self._agent, None
            if not _answers(agent):
                yield Notice("login", f"waiting for the ssh agent at {agent}, which does not answer")


class _Tail:
    """A file that grows, line by line."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._offset = 0
        self._partial = b""
        self._since = 0.0

    def lines(self, *, ended: bool) -> list[str]:
        """The lines that are new, without empty ones; one that has no end yet once nothing follows for a while."""
        new = self._new()
        if new:
            self._since = time.monotonic()
        *whole, self._partial = (self._partial + new).replace(b"\r", b"\n").split(b"\n")
        if self._partial and (ended or time.monotonic() - self._since >= PARTIAL_LINE_TIMEOUT):
            whole.append(self._partial)
            self._partial = b""
        return [text for line in whole if (text := line.decode("utf-8", "replace").strip())]

    def _new(self) -> bytes:
        try:
            if os.stat(self._path).st_size <= self._offset:
                return b""
            with open(self._path, "rb") as file:
                file.seek(self._offset)
                new = file.read()
        except OSError:
            return b""
        self._offset += len(new)
        return new


def _answers(agent: str) -> bool:
    """Whether an agent answers; True also for one that is missing: ssh does not wait for it."""
    import socket

    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(AGENT_TIMEOUT)
        try:
            connection.connect(agent)
            connection.sendall(_LIST_KEYS)
            connection.recv(1)
        except TimeoutError:
            return False
        except OSError:
            pass
    return True
