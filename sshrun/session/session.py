"""A session: the program that runs on the host over one ssh process, the requests to it, and its replies.

The program is sent first, then requests, each a verb with values; replies are lines that begin with a nonce, so that
nothing else that a host prints is mistaken for one. Requests may be sent before earlier ones are answered: a refusal
ends the session, and what was sent behind it is never carried out.
"""

from __future__ import annotations

import fcntl
import os
import select
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from sshrun.errors import ConnectionFailed, HostUnfit, RemoteError
from sshrun.process import Child
from sshrun.session.login_shell import INPUT_EATEN, OTHER_SHELL, diagnose
from sshrun.session.program import BOOTSTRAP, FIRST_LINE, program
from sshrun.session.protocol import Refusal, Reply, encode
from sshrun.terminal import visible

if TYPE_CHECKING:
    from sshrun.connection.master import Connection

SHELL_TIMEOUT = 5.0  # seconds without a byte after which a second session finds out whether our command is run at all
REPLY_TIMEOUT = 30.0  # seconds without an expected reply after which a connection counts as lost
HEARTBEAT_INTERVAL = 5  # seconds
HEARTBEAT_TIMEOUT = 3.0 * HEARTBEAT_INTERVAL  # seconds without one after which a connection counts as lost
NOISE_LIMIT = 1 << 16
NOTICE_LIMIT = 16  # notices that wait to be read; the oldest are dropped
PIPE_SIZE = 1 << 20


class Session:
    """Requests to the program on the host and its replies, over one ssh process."""

    def __init__(self, child: Child, host: str, start_second: Callable[[], Child] | None = None) -> None:
        """`child` carries out BOOTSTRAP; `start_second` starts another such process, where that costs no login."""
        assert child.stdin is not None and child.stdout is not None and child.stderr is not None
        self.child = child
        self.host = host
        self._start_second = start_second
        self.nonce = b"%" + os.urandom(16).hex().encode()
        self.buffer = b""
        self.noise = b""
        self.errors = b""
        self.errors_ended = False
        self._notices: list[Reply] = []
        self.ready = False
        self.heartbeat = False
        self.heartbeat_timeout: float | None = None  # seconds without a byte from the host, None for no limit
        self.poll = select.poll()
        self.poll.register(child.stdout, select.POLLIN)
        self.poll.register(child.stderr, select.POLLIN)
        for pipe in (child.stdin, child.stderr):
            os.set_blocking(pipe, False)
        for pipe in (child.stdin, child.stdout):
            _widen(pipe)
        script = program()
        self._outgoing = b"%s\n%d\n%s%s\n" % (FIRST_LINE.encode(), len(script), script, self.nonce)

    # Sending

    def request(self, verb: str, *values: str | bytes) -> None:
        """Adds a request; `flush`, or waiting for a reply, sends it."""
        self._outgoing += b"%s %d\n" % (verb.encode(), len(values))
        for value in values:
            self._outgoing += encode(value) + b"\n"

    def flush(self) -> None:
        outgoing, self._outgoing = self._outgoing, b""
        self.send(outgoing)

    def send(self, data: bytes | memoryview) -> None:
        """Sends bytes as they are, behind the requests. If the host stops reading, `reply` raises the reason."""
        if self._outgoing:
            self.flush()
        assert self.child.stdin is not None
        data = memoryview(data)
        while data:
            try:
                data = data[os.write(self.child.stdin, data) :]
            except BlockingIOError:
                self._wait_to_send(self.child.stdin)
            except BrokenPipeError:
                return  # the reason comes with the next reply, or with its absence

    def ask_for_heartbeat(self) -> None:
        """Once it is ready, the host sends a heartbeat every few seconds, and a wait without one ends.

        ssh itself notices a dead connection only by its master's ServerAliveInterval. That may be 0, or 300, and a
        master that the user has open is not ours to configure.
        """
        self.request("heartbeat", str(HEARTBEAT_INTERVAL))
        self.heartbeat = True

    def _wait_to_send(self, descriptor: int) -> None:
        writable = select.poll()
        writable.register(descriptor, select.POLLOUT)
        while not self.watch(writable):
            pass

    def watch(self, poll: select.poll, at_least: float = 0.0) -> list[tuple[int, int]]:
        """Waits for an event of `poll`, which may watch another program over the same connection, or for a heartbeat.

        A heartbeat alone is an empty list. Raises ConnectionFailed where neither comes in time; `at_least` are seconds
        below which no timeout ends the wait.
        """
        assert self.child.stderr is not None
        if self.errors_ended:
            return self._wait(poll, at_least=at_least)
        poll.register(self.child.stderr, select.POLLIN)
        try:
            return self._wait(poll, at_least=at_least)
        finally:
            poll.unregister(self.child.stderr)

    # Receiving

    def reply(self, timeout: float = REPLY_TIMEOUT) -> Reply:
        """The next reply. Raises Refusal, or ConnectionFailed when none comes within `timeout` seconds of silence."""
        self.flush()
        while True:
            line = self._line(timeout)
            if not line.startswith(self.nonce):
                self._keep_noise(line)
                continue
            word, _, values = os.fsdecode(line[len(self.nonce) + 1 :]).partition(" ")
            if word == "refused":
                reason, _, values = values.partition(" ")
                if reason == "version":
                    raise self._too_new(values)
                raise Refusal(reason, values)
            if word == "ready":
                self.ready = True
                if self.heartbeat:
                    self.heartbeat_timeout = HEARTBEAT_TIMEOUT
                self._read_errors()
                self.errors = b""  # complaints of a login shell are not why a connection ends
                continue
            return Reply(word, values)

    def replies(self, *last: str, timeout: float = REPLY_TIMEOUT) -> Iterator[Reply]:
        """Replies up to and with the first whose word is one of `last`."""
        while True:
            reply = self.reply(timeout)
            yield reply
            if reply.word in last:
                return

    def raw(self, timeout: float | None = None) -> Iterator[bytes]:
        """Raw bytes up to the next reply, which `reply` returns then.

        Raises ConnectionFailed when the stream ends before that, or is silent for `timeout` seconds.
        """
        for piece in self.raw_and_notices(timeout=timeout):
            if isinstance(piece, bytes):
                yield piece

    def raw_and_notices(self, wake: int | None = None, timeout: float | None = None) -> Iterator[bytes | Reply]:
        """The same, with the notices that have come by then; and empty bytes when `wake` can be read."""
        marker = self.nonce + b" "
        if wake is not None:
            self.poll.register(wake, select.POLLIN)
        try:
            while True:
                at = self.buffer.find(marker)
                if at >= 0:
                    if at:
                        chunk, self.buffer = self.buffer[:at], self.buffer[at:]
                        yield chunk
                    return
                keep = _overlap(self.buffer, marker)
                chunk, self.buffer = self.buffer[: len(self.buffer) - keep], self.buffer[len(self.buffer) - keep :]
                if chunk:
                    yield chunk
                while self._notices:
                    yield self._notices.pop(0)
                if self._fill(timeout):
                    yield b""
        finally:
            if wake is not None:
                self.poll.unregister(wake)

    def _line(self, timeout: float) -> bytes:
        while (end := self.buffer.find(b"\n")) < 0:
            if len(self.buffer) > NOISE_LIMIT and not self.ready:
                self._keep_noise(self.buffer)
                self.buffer = b""
            self._fill(timeout)
        line, self.buffer = self.buffer[:end], self.buffer[end + 1 :]
        at = line.find(self.nonce)
        if at <= 0:
            return line
        self._keep_noise(line[:at])  # of a host that prints without a newline before our first line
        return line[at:]

    def _fill(self, timeout: float | None) -> bool:
        """Waits for bytes, which are buffered, or for a notice; True if it was something else that could be read."""
        assert self.child.stdout is not None
        if not self.ready and self._start_second is not None:
            self._await_shell(self._start_second)
        until = None if timeout is None else time.monotonic() + timeout
        known = self._notices
        while not (events := self._wait(self.poll, until)) and self._notices is known:
            if until is not None and time.monotonic() >= until:
                raise ConnectionFailed(f"{self.host} has given no answer for {timeout:.0f} s{self._waiting()}")
        woken = False
        for descriptor, _ in events:
            if descriptor != self.child.stdout:
                woken = True
                continue
            data = os.read(descriptor, PIPE_SIZE)
            if not data:
                raise self._ended()
            self.buffer = self.buffer + data if self.buffer else data
        return woken

    def _await_shell(self, start_second: Callable[[], Child]) -> None:
        """Waits for what comes before the first reply; where nothing does, finds out whether our command is run at all.

        A shell such as fish in the place of the login shell reads all of its input before it carries out a line, and a
        start file may read for ever. A second session, whose input ends, shows either. A slow start file is waited for.
        """
        assert self.child.stdout is not None
        either = select.poll()
        either.register(self.child.stdout, select.POLLIN)
        if either.poll(SHELL_TIMEOUT * 1000):
            return
        self._start_second = None
        child = start_second()
        assert child.stdin is not None and child.stdout is not None
        either.register(child.stdout, select.POLLIN)
        try:
            os.write(child.stdin, FIRST_LINE.encode() + b"\n")
            child.close_stdin()
            while [child.stdout] == [descriptor for descriptor, _ in either.poll(SHELL_TIMEOUT * 1000)]:
                if not os.read(child.stdout, PIPE_SIZE):
                    status = child.wait()
                    if status in (OTHER_SHELL, INPUT_EATEN):
                        raise self._unfit(status)
                    return
        except BrokenPipeError:
            pass  # no second session: MaxSessions of sshd_config(5)
        finally:
            child.kill()
            child.close()

    def _read_errors(self) -> None:
        assert self.child.stderr is not None
        try:
            data = os.read(self.child.stderr, PIPE_SIZE)
        except BlockingIOError:
            return
        if not data and not self.errors_ended:
            self.errors_ended = True
            self.poll.unregister(self.child.stderr)
        self.errors = (self.errors + data.replace(b"\0", b""))[-NOISE_LIMIT:]  # a NUL is a heartbeat
        self._take_notices()

    def _take_notices(self) -> None:
        """A notice is a line of its own on standard error, which begins with the nonce: it may come at any time."""
        mark = b"\n" + self.nonce + b" "
        while (begin := self.errors.find(mark)) >= 0:
            end = self.errors.find(b"\n", begin + 1)
            if end < 0:
                return  # the rest of it is still on its way
            word, _, values = os.fsdecode(self.errors[begin + len(mark) : end]).partition(" ")
            self._notices = [*self._notices[1 - NOTICE_LIMIT :], Reply(word, values)]
            self.errors = self.errors[:begin] + self.errors[end + 1 :]

    def _keep_noise(self, data: bytes) -> None:
        self.noise = (self.noise + data + b"\n")[:NOISE_LIMIT]

    def _wait(self, poll: select.poll, until: float | None = None, at_least: float = 0.0) -> list[tuple[int, int]]:
        """The events of `poll`, without heartbeats and errors, which it reads itself: the list may be empty."""
        now = time.monotonic()
        heartbeat_due = None if self.heartbeat_timeout is None else now + max(self.heartbeat_timeout, at_least)
        limit = min((limit for limit in (until, heartbeat_due) if limit is not None), default=None)
        events = poll.poll(None if limit is None else max(0.0, limit - now) * 1000)
        if not events and limit is not None and limit == heartbeat_due:
            raise ConnectionFailed(f"{self.host} has been silent for {limit - now:.0f} s{self._waiting()}")
        others = [(descriptor, event) for descriptor, event in events if descriptor != self.child.stderr]
        if len(others) < len(events):
            self._read_errors()
        return others

    def _waiting(self) -> str:
        return "" if self.ready else ": does a start file of the login shell wait for something?"

    def _ended(self) -> RemoteError:
        """Why the stream has ended. ssh exits 255 for its own failures, and for many others: its message decides."""
        status = self.child.wait()
        self._read_errors()
        message = _last_line(self.errors)
        if self.ready or status == 255 or status < 0:
            return ConnectionFailed(f"the connection to {self.host} was lost" + (f" ({message})" if message else ""))
        return self._unfit(status)

    def _too_new(self, versions: str) -> HostUnfit:
        theirs, _, ours = visible(versions).rpartition(" ")
        text = f"a newer version of sshrun keeps its jobs on it (state {theirs}, this one reads {ours})"
        return HostUnfit(f"{self.host}: {text}", "pip install --upgrade sshrun")

    def _unfit(self, status: int) -> HostUnfit:
        answer = b"\n".join((self.errors, self.noise, self.buffer)).decode("utf-8", "replace").strip()
        text, fix = diagnose(status, answer)
        return HostUnfit(f"{self.host} lets us log in, but {text}", fix)

    def close(self) -> None:
        """Ends the session; the host's side ends by itself at the end of its input."""
        self.child.close()
        try:
            self.child.wait(timeout=2)
        except TimeoutError:
            self.child.kill()

    def detach(self) -> None:
        """Closes our end without waiting: what was sent arrives, and its reply is not read."""
        self.child.close()

    def kill(self) -> None:
        """Ends the session at once: nothing more can be sent."""
        self.child.close()
        self.child.kill()


def begin(connection: Connection) -> Session:
    """A session over an open connection, with a heartbeat."""
    start_second = None if connection.alone else lambda: connection.session(BOOTSTRAP)
    session = Session(connection.session(BOOTSTRAP), connection.host, start_second)
    session.ask_for_heartbeat()
    return session


def _overlap(data: bytes, marker: bytes) -> int:
    """How many bytes at the end of `data` may be the beginning of `marker`."""
    at = data.find(marker[:1], max(0, len(data) - len(marker) + 1))
    while at >= 0:
        if marker.startswith(data[at:]):
            return len(data) - at
        at = data.find(marker[:1], at + 1)
    return 0


def _last_line(data: bytes) -> str:
    lines = [line.strip() for line in data.decode("utf-8", "replace").splitlines() if line.strip()]
    return lines[-1] if lines else ""


def _widen(pipe: int) -> None:
    """A larger pipe means fewer wake-ups. Linux only, fcntl(2); what is more than this user may have is refused."""
    try:
        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, PIPE_SIZE)
    except (AttributeError, OSError):
        pass
