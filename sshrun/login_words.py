"""What is to be heard while ssh logs in: of ssh itself, of the proxy that it goes through, of an agent that hangs."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

from sshrun.job import Event, Heard, Said, TryAgain

TRY_AGAIN = "Permission denied, please try again."  # ssh, before it asks for a password once more

PARTIAL = 0.5  # seconds after which a line without an end is a question
AGENT_SILENCE = 2.0  # seconds of a login after which the agent is asked whether it answers
AGENT_PATIENCE = 0.5  # seconds that it may take

# SSH_AGENTC_REQUEST_IDENTITIES: draft-miller-ssh-agent, the first question that ssh has too
_LIST_KEYS = b"\0\0\0\1\x0b"


class LoginWords:
    """Of one login. `log` is what ssh writes with -E, `proxy_log` the standard error of its proxies."""

    def __init__(self, log: str, proxy_log: str, agent: str | None) -> None:
        self._log = _Tail(log)
        self._proxy = _Tail(proxy_log)
        self._agent = agent
        self._began = time.monotonic()
        self.proxy_spoke = False

    def news(self, *, ended: bool = False) -> Iterator[Event]:
        """What has come since the last time. At the login's end lines without an end count at once."""
        for line in self._proxy.lines(ended=ended):
            self.proxy_spoke = True
            yield TryAgain(line) if line == TRY_AGAIN else Heard(line)
        for line in self._log.lines(ended=ended):
            if line == TRY_AGAIN:
                yield TryAgain(line)
        if self._agent is not None and time.monotonic() - self._began >= AGENT_SILENCE:
            agent, self._agent = self._agent, None
            if not _answers(agent):
                yield Said("login", f"waiting for the ssh agent at {agent}, which does not answer")


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
        if self._partial and (ended or time.monotonic() - self._since >= PARTIAL):
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
    """Whether an agent answers; one that is not there does so too: ssh does not wait for it."""
    import socket

    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(AGENT_PATIENCE)
        try:
            connection.connect(agent)
            connection.sendall(_LIST_KEYS)
            connection.recv(1)
        except TimeoutError:
            return False
        except OSError:
            pass
    return True
