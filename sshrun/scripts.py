"""A session with the host: one ssh process there, a POSIX shell that carries out requests, and what it replies.

The program is sent first, then requests, each a verb with values; replies are lines that begin with a nonce, so that
nothing else that a host prints is taken for one. Requests may be sent ahead of the replies: a refusal ends the session,
and what was sent behind it is never carried out.
"""

from __future__ import annotations

import fcntl
import os
import select
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from sshrun.errors import ConnectionFailed, HostUnfit, RemoteError
from sshrun.login_shell import INPUT_EATEN, OTHER_SHELL, diagnose
from sshrun.process import Child

if TYPE_CHECKING:
    from sshrun.ssh import Connection

# The first line that is sent. Our command drops it; whatever else reads it as a command (a shell that a start file has
# put in the place of the login shell, one that `exec ssh` leads to) ends, and runs nothing of what comes behind.
FIRST_LINE = f"exit {OTHER_SHELL}"

# Any login shell can read this one line: it holds no "!", no backslash and no newline (csh, fish). The program's size
# goes ahead of it, since a shell reads lines byte by byte, and `sh -s` in dash reads ahead and would eat the requests
# behind. dd may get less than it asks for (a pipe), and never takes more.
#
# What start files have exported is in force in /bin/sh too: TMOUT would end each wait of bash and ksh93 for a line, and
# SHELLOPTS, which bash obeys, would show every value on stderr.
BOOTSTRAP = (
    "exec /bin/sh -c 'TMOUT=0; unset TMOUT; set +aCefuvx; IFS= read -r line && "
    f'[ "$line" = "{FIRST_LINE}" ] || exit {INPUT_EATEN}; '
    "program=; IFS= read -r size || exit; while had=${#program}; [ $had -lt $size ]; do "
    "program=$program$(dd bs=$((size - had)) count=1 2>/dev/null; echo .); program=${program%.}; "
    '[ ${#program} -gt $had ] || exit 1; done; eval "$program"\''
)

PARTS = (
    "lib",
    "state",
    "probe",
    "start",
    "supervise",
    "job",
    "explain",
    "environment",
    "follow",
    "stop",
    "look",
    "files",
    "deliver",
    "doctor",
    "main",
)

FIRST_SILENCE = 5.0  # seconds after which it is asked whether a login shell is at our command at all
SILENCE = 30.0  # seconds without an expected answer after which a connection counts as lost
BEAT = 5  # seconds between two signs of life
PATIENCE = 3.0 * BEAT  # seconds without any after which a connection counts as lost
NOISE_LIMIT = 1 << 16
ASIDES = 16  # that wait to be heard; the last ones count
PIPE_SIZE = 1 << 20


class Reply(NamedTuple):
    """One line of the host's: a word, and the values behind it."""

    word: str
    values: str

    def split(self) -> list[str]:
        return self.values.split(" ")


class Refusal(RemoteError):
    """The host's program will not do what was asked; `word` says why."""

    def __init__(self, word: str, values: str) -> None:
        super().__init__(f"the host refused: {word} {values}".rstrip())
        self.word = word
        self.values = values


def program() -> bytes:
    """The program that runs on the host: all of remote/*.sh, without comments and indentation.

    It is ASCII, so that every shell counts its bytes as characters.
    """
    folder = os.path.join(os.path.dirname(__file__), "remote")
    lines = []
    for part in PARTS:
        with open(os.path.join(folder, f"{part}.sh"), "rb") as file:
            for line in file.read().splitlines():
                stripped = line.lstrip()
                if stripped and not stripped.startswith(b"#"):
                    lines.append(stripped)
    return b"\n".join(lines)


def encode(value: str | bytes) -> bytes:
    """One value as one line, as printf's %b reads it. Raises ValueError for a NUL, which no shell can hold."""
    data = os.fsencode(value)
    if b"\0" in data:
        raise ValueError("a NUL byte cannot be passed to a program")
    return data.replace(b"\\", b"\\\\").replace(b"\n", b"\\n")


def decode(value: str | bytes) -> bytes:
    """What `encode` made, on either side of the wire."""
    data = os.fsencode(value)
    if b"\\" not in data:
        return data
    return b"\\".join(part.replace(b"\\n", b"\n") for part in data.split(b"\\\\"))


class Session:
    """A conversation with the program on the host, over one ssh process."""

    def __init__(self, child: Child, host: str, again: Callable[[], Child] | None = None) -> None:
        """`child` carries out BOOTSTRAP; `again` starts one more of it, where that costs no login."""
        assert child.stdin is not None and child.stdout is not None and child.stderr is not None
        self.child = child
        self.host = host
        self._again = again
        self.nonce = b"%" + os.urandom(16).hex().encode()
        self.buffer = b""
        self.noise = b""
        self.errors = b""
        self.errors_ended = False
        self._asides: list[Reply] = []
        self.ready = False
        self.beats = False
        self.patience: float | None = None  # seconds without a byte from the host that are borne
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
        """Sends bytes as they are, behind the requests. Why the host stops reading, if it does, `reply` tells."""
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

    def ask_for_beats(self) -> None:
        """Once it is ready, the host sends a sign of life every few seconds, and a wait without one ends.

        ssh itself notices a dead connection only where its master was told to look: ServerAliveInterval may be 0, or
        300, and a master that the user has open is not ours to tell.
        """
        self.request("beat", str(BEAT))
        self.beats = True

    def _wait_to_send(self, descriptor: int) -> None:
        room = select.poll()
        room.register(descriptor, select.POLLOUT)
        while not self.watch(room):
            pass

    def watch(self, poll: select.poll, patience: float = 0.0) -> list[tuple[int, int]]:
        """Waits for what `poll` is for, which may be another program over the same connection, or for a sign of life.

        The latter alone is an empty list. Raises ConnectionFailed where there is neither for too long; `patience` are
        seconds that are borne in any case.
        """
        assert self.child.stderr is not None
        if self.errors_ended:
            return self._wait(poll, patience=patience)
        poll.register(self.child.stderr, select.POLLIN)
        try:
            return self._wait(poll, patience=patience)
        finally:
            poll.unregister(self.child.stderr)

    # Receiving

    def reply(self, timeout: float = SILENCE) -> Reply:
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
                raise Refusal(reason, values)
            if word == "ready":
                self.ready = True
                if self.beats:
                    self.patience = PATIENCE
                self._read_errors()
                self.errors = b""  # what a login shell complained of is not why a connection ends
                continue
            return Reply(word, values)

    def replies(self, *last: str, timeout: float = SILENCE) -> Iterator[Reply]:
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
        for piece in self.raw_and_asides(timeout=timeout):
            if isinstance(piece, bytes):
                yield piece

    def raw_and_asides(self, wake: int | None = None, timeout: float | None = None) -> Iterator[bytes | Reply]:
        """The same, with what the host says aside, as far as that has come; and empty bytes when `wake` can be read."""
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
                while self._asides:
                    yield self._asides.pop(0)
                if self._fill(timeout):
                    yield b""
        finally:
            if wake is not None:
                self.poll.unregister(wake)

    def read(self, count: int, timeout: float = SILENCE) -> Iterator[bytes]:
        """Exactly `count` raw bytes, in pieces."""
        while count:
            if not self.buffer:
                self._fill(timeout)
            chunk, self.buffer = self.buffer[:count], self.buffer[count:]
            count -= len(chunk)
            if chunk:
                yield chunk

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
        """Waits for bytes, which are taken, or for an aside; True if it was something else that could be read."""
        assert self.child.stdout is not None
        if not self.ready and self._again is not None:
            self._await_shell(self._again)
        until = None if timeout is None else time.monotonic() + timeout
        known = self._asides
        while not (events := self._wait(self.poll, until)) and self._asides is known:
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

    def _await_shell(self, again: Callable[[], Child]) -> None:
        """Waits for what comes before the first reply; where nothing does, finds out whether our command is run at all.

        A shell such as fish in the place of the login shell reads all of its input before it carries out a line, and a
        start file may read for ever. A second session, whose input ends, shows either. A slow start file is waited for.
        """
        assert self.child.stdout is not None
        either = select.poll()
        either.register(self.child.stdout, select.POLLIN)
        if either.poll(FIRST_SILENCE * 1000):
            return
        self._again = None
        child = again()
        assert child.stdin is not None and child.stdout is not None
        either.register(child.stdout, select.POLLIN)
        try:
            os.write(child.stdin, FIRST_LINE.encode() + b"\n")
            child.close_stdin()
            while [child.stdout] == [descriptor for descriptor, _ in either.poll(FIRST_SILENCE * 1000)]:
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
        self.errors = (self.errors + data.replace(b"\0", b""))[-NOISE_LIMIT:]  # a NUL is a beat
        self._take_asides()

    def _take_asides(self) -> None:
        """What the host says beside its replies comes as a line among its errors, which begins with the nonce."""
        mark = b"\n" + self.nonce + b" "
        while (begin := self.errors.find(mark)) >= 0:
            end = self.errors.find(b"\n", begin + 1)
            if end < 0:
                return  # the rest of it is still on its way
            word, _, values = os.fsdecode(self.errors[begin + len(mark) : end]).partition(" ")
            self._asides = [*self._asides[1 - ASIDES :], Reply(word, values)]
            self.errors = self.errors[:begin] + self.errors[end + 1 :]

    def _keep_noise(self, data: bytes) -> None:
        self.noise = (self.noise + data + b"\n")[:NOISE_LIMIT]

    def _wait(self, poll: select.poll, until: float | None = None, patience: float = 0.0) -> list[tuple[int, int]]:
        """What `poll` has, but for signs of life and errors, which are taken; nothing may be all that there is."""
        now = time.monotonic()
        silence = None if self.patience is None else now + max(self.patience, patience)
        limit = min((limit for limit in (until, silence) if limit is not None), default=None)
        events = poll.poll(None if limit is None else max(0.0, limit - now) * 1000)
        if not events and limit is not None and limit == silence:
            raise ConnectionFailed(f"{self.host} has been silent for {limit - now:.0f} s{self._waiting()}")
        others = [(descriptor, event) for descriptor, event in events if descriptor != self.child.stderr]
        if len(others) < len(events):
            self._read_errors()
        return others

    def _waiting(self) -> str:
        return "" if self.ready else ": does a start file of the login shell wait for something?"

    def _ended(self) -> RemoteError:
        """Why the stream has ended. ssh says 255 for its own failures, and for many others: its words decide."""
        status = self.child.wait()
        self._read_errors()
        said = _last_line(self.errors)
        if self.ready or status == 255 or status < 0:
            return ConnectionFailed(f"the connection to {self.host} was lost" + (f" ({said})" if said else ""))
        return self._unfit(status)

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

    def leave(self) -> None:
        """Ends the session without waiting for its end: what was sent arrives, and what is answered is not heard."""
        self.child.close()

    def abandon(self) -> None:
        """Ends the session where nothing can be said any more."""
        self.child.close()
        self.child.kill()


def begin(connection: Connection) -> Session:
    """A session over a connection that is there, with signs of life."""
    again = None if connection.alone else lambda: connection.session(BOOTSTRAP)
    session = Session(connection.session(BOOTSTRAP), connection.host, again)
    session.ask_for_beats()
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
