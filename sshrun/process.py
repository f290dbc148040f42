"""The only place that starts programs.

`spawn` starts one with file descriptors of the caller's choice, through posix_spawn(3): nothing has to be imported, so
that ssh is under way before the rest of sshrun is loaded. `run` is for programs that are waited for, through the `sh`
library.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from sshrun import process_tree
from sshrun.errors import ProgramMissing

PIPE = -1
DEVNULL = -3

UNKNOWN = 255  # the exit status of a program that has ended, where that is all that is known

INTERRUPTING = (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP)


class Completed(NamedTuple):
    """A program that has ended: its exit status (negative: the signal that ended it) and what it printed."""

    status: int
    stdout: bytes
    stderr: bytes


class Child:
    """A program that runs. `stdin`, `stdout`, `stderr` are our ends of its pipes, or None where it has none."""

    def __init__(self, pid: int, stdin: int | None, stdout: int | None, stderr: int | None) -> None:
        self.pid = pid
        self.stdin = stdin
        self.stdout = stdout
        self.stderr = stderr
        self.status: int | None = None

    def poll(self) -> int | None:
        """The exit status (negative: the signal that ended it), or None while it runs."""
        if self.status is None:
            self._take_status(os.WNOHANG)
        return self.status

    def wait(self, timeout: float | None = None) -> int:
        """Waits for its end, at most `timeout` seconds. Raises TimeoutError."""
        if self.status is None and timeout is None:
            self._take_status(0)
        elif timeout is not None:
            deadline = time.monotonic() + timeout
            while self.poll() is None:
                left = deadline - time.monotonic()
                if left <= 0:
                    raise TimeoutError(f"process {self.pid} still runs after {timeout} s")
                _await_end(self.pid, left)
        assert self.status is not None
        return self.status

    def _take_status(self, options: int) -> None:
        try:
            pid, status = os.waitpid(self.pid, options)
        except ChildProcessError:
            # Taken before, by a call that returned into the handler of a signal, which raised: nobody saw it.
            self.status = UNKNOWN
        else:
            if pid:
                self.status = os.waitstatus_to_exitcode(status)

    def close_stdin(self) -> None:
        if self.stdin is not None:
            os.close(self.stdin)
            self.stdin = None

    def close(self) -> None:
        """Closes our ends of the pipes."""
        for end in (self.stdin, self.stdout, self.stderr):
            if end is not None:
                os.close(end)
        self.stdin = self.stdout = self.stderr = None

    def kill(self) -> None:
        """Ends it at once, and takes its status."""
        if self.poll() is None:
            os.kill(self.pid, signal.SIGKILL)
            self.wait()

    def end(self, grace: float) -> None:
        """Sends SIGTERM to it and to all that it has started; what still runs after `grace` seconds is killed.

        Meanwhile no signal interrupts us: to leave earlier would leave the processes behind.
        """
        before = signal.pthread_sigmask(signal.SIG_BLOCK, INTERRUPTING)
        try:
            # Listed while it runs, since orphans can no longer be recognized.
            family = [] if self.poll() is not None else [self.pid, *process_tree.descendants(self.pid, _parents())]
            _signal(family, signal.SIGTERM)
            deadline = time.monotonic() + grace
            while (left := self._still_running(family)) and time.monotonic() < deadline:
                time.sleep(0.002)
            _signal(left, signal.SIGKILL)
            self.wait()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def _still_running(self, family: Sequence[int]) -> list[int]:
        self.poll()  # so that it does not stay a zombie
        return [pid for pid in family if (self.status is None if pid == self.pid else process_tree.runs(pid))]


def spawn(
    argv: Sequence[str | bytes],
    *,
    stdin: int | None = DEVNULL,
    stdout: int | None = None,
    stderr: int | None = None,
    session: bool = False,
    env: Mapping[str, str] | None = None,
) -> Child:
    """Starts a program. A stream is PIPE, DEVNULL, a file descriptor, or None for our own.

    With `session` it leads a session of its own: neither Ctrl+C nor the end of the terminal reaches it, and it cannot
    prompt. Raises ProgramMissing where there is no such program.
    """
    ends: list[int | None] = [None, None, None]
    theirs: list[int] = []
    actions: list[tuple[int, int, int] | tuple[int, int, str, int, int]] = []
    try:
        for stream, wanted in enumerate((stdin, stdout, stderr)):
            if wanted == PIPE:
                read_end, write_end = os.pipe()
                mine, its = (write_end, read_end) if stream == 0 else (read_end, write_end)
                ends[stream] = mine
                theirs.append(its)
                actions.append((os.POSIX_SPAWN_DUP2, its, stream))
            elif wanted == DEVNULL:
                actions.append((os.POSIX_SPAWN_OPEN, stream, os.devnull, os.O_RDWR, 0))
            elif wanted is not None:
                actions.append((os.POSIX_SPAWN_DUP2, wanted, stream))
        pid = os.posix_spawnp(
            argv[0],
            list(argv),
            os.environ if env is None else env,
            file_actions=actions,
            setsid=session,
            # Python ignores SIGPIPE, and an ignored signal is inherited: ssh would go on after its reader has gone.
            setsigdef=(signal.SIGPIPE, signal.SIGXFSZ),
        )
    except BaseException as error:
        for end in ends:
            if end is not None:
                os.close(end)
        if isinstance(error, FileNotFoundError):
            raise ProgramMissing(os.fsdecode(argv[0])) from error
        raise
    finally:
        for end in theirs:
            os.close(end)
    return Child(pid, *ends)


def _await_end(pid: int, seconds: float) -> None:
    """Returns once a child has ended, after so many seconds, or (where nothing announces its end) somewhat earlier."""
    import select

    try:
        descriptor = os.pidfd_open(pid)
    except (AttributeError, OSError):  # not Linux, or one before 5.3
        time.sleep(min(seconds, 0.01))
        return
    try:
        ended = select.poll()
        ended.register(descriptor, select.POLLIN)
        ended.poll(seconds * 1000)
    finally:
        os.close(descriptor)


def _parents() -> dict[int, int]:
    """The parent of each process of this machine."""
    if process_tree.is_listed():
        return process_tree.parents()
    try:
        listed = capture(["ps", "-A", "-o", "pid=", "-o", "ppid="]).output
    except ProgramMissing:
        return {}
    return {int(pid): int(parent) for pid, parent in (line.split() for line in listed.splitlines())}


def _signal(pids: Sequence[int], number: signal.Signals) -> None:
    for pid in pids:
        try:
            os.kill(pid, number)
        except OSError:
            pass  # it has ended, or it is somebody else's (sudo)


class Captured(NamedTuple):
    """A program that has ended: its exit status, and all that it printed, errors among it."""

    status: int
    output: bytes


def capture(
    argv: Sequence[str | bytes], env: Mapping[str, str] | None = None, timeout: float | None = None
) -> Captured:
    """Runs a program that prints little, to its end, before there was time to import anything.

    With `timeout` seconds, no longer. Raises ProgramMissing, TimeoutError.
    """
    read_end, write_end = os.pipe()
    try:
        child = spawn(argv, stdout=write_end, stderr=write_end, env=env)
    except BaseException:
        os.close(read_end)
        raise
    finally:
        os.close(write_end)
    output = b""
    deadline = None if timeout is None else time.monotonic() + timeout
    try:
        while (deadline is None or _readable(read_end, deadline)) and (chunk := os.read(read_end, 1 << 16)):
            output += chunk
        return Captured(child.wait(deadline and deadline - time.monotonic()), output)
    except TimeoutError:
        child.kill()
        raise
    finally:
        os.close(read_end)


def _readable(descriptor: int, deadline: float) -> bool:
    """Waits until there is something to read. Raises TimeoutError."""
    import select

    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    if not poll.poll(max(0, deadline - time.monotonic()) * 1000):
        raise TimeoutError("it still runs")
    return True


def run(
    argv: Sequence[str | bytes],
    *,
    stdin: bytes = b"",
    env: Mapping[str, str] | None = None,
    cwd: str | None = None,
    timeout: float | None = None,
) -> Completed:
    """Runs a program to its end; with `timeout` seconds, no longer. Raises FileNotFoundError, TimeoutError."""
    import io

    import sh

    stdout, stderr = io.BytesIO(), io.BytesIO()
    program, *arguments = argv
    try:
        command = sh.Command(os.fsdecode(program))
    except sh.CommandNotFound as error:
        raise FileNotFoundError(os.fsdecode(program)) from error
    try:
        finished = command(
            *(os.fsencode(argument).decode("latin-1") for argument in arguments),
            _in=stdin,
            _out=stdout,
            _err=stderr,
            _env=dict(os.environ if env is None else env),
            _cwd=cwd,
            _timeout=timeout,
            _tty_out=False,
            _ok_code=list(range(-64, 256)),
            _encoding="latin-1",  # so that every byte of an argument arrives: sh knows strict text only
            _return_cmd=True,
        )
    except sh.TimeoutException as error:
        raise TimeoutError(f"{os.fsdecode(program)} still runs after {timeout} s") from error
    return Completed(finished.exit_code, stdout.getvalue(), stderr.getvalue())
