"""The only place that starts programs.

`spawn` starts one with file descriptors of one's own, through posix_spawn(3): nothing has to be imported, so that ssh
is under way before the rest of sshrun is loaded. `run` is for programs that are waited for, through the `sh` library.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from sshrun.errors import ProgramMissing

PIPE = -1
DEVNULL = -3


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
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.status = os.waitstatus_to_exitcode(status)
        return self.status

    def wait(self, timeout: float | None = None) -> int:
        """Waits for its end, at most `timeout` seconds. Raises TimeoutError."""
        if self.status is None and timeout is None:
            _, status = os.waitpid(self.pid, 0)
            self.status = os.waitstatus_to_exitcode(status)
        elif timeout is not None:
            deadline = time.monotonic() + timeout
            pause = 0.0005
            while self.poll() is None:
                if time.monotonic() >= deadline:
                    raise TimeoutError(f"process {self.pid} still runs after {timeout} s")
                time.sleep(pause)
                pause = min(pause * 2, 0.02)
        assert self.status is not None
        return self.status

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


class Captured(NamedTuple):
    """A program that has ended: its exit status, and all that it printed, errors among it."""

    status: int
    output: bytes


def capture(argv: Sequence[str | bytes], env: Mapping[str, str] | None = None) -> Captured:
    """Runs a program that prints little, to its end, before there was time to import anything.

    Raises ProgramMissing.
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
    while chunk := os.read(read_end, 1 << 16):
        output += chunk
    os.close(read_end)
    return Captured(child.wait(), output)


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
