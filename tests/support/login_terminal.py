"""sshrun in a terminal, as a shell with job control runs it: keys are typed, signals come, and the terminal stays."""

from __future__ import annotations

import contextlib
import os
import pty
import signal
import termios
from collections.abc import Callable
from pathlib import Path
from typing import Self

from support.installed import SSHRUN
from support.waiting import eventually


class LoginTerminal:
    """The shell is a process that does what matters here of one: it leads the session, gives sshrun the terminal as
    its foreground job, and takes it back when that ends. So nothing that sshrun leaves behind ends with the terminal.
    """

    def __init__(self, directory: Path, *words: str | Path) -> None:
        read_end, write_end = os.pipe()
        self._shell, self.screen = pty.fork()
        if self._shell == 0:
            os.chdir(directory)
            _run_in_foreground(write_end, [str(SSHRUN), *map(str, words)])
        os.close(write_end)
        os.set_blocking(self.screen, False)
        self._report = read_end
        self.pid = int(os.read(read_end, 64))
        os.set_blocking(read_end, False)
        self.shown = b""
        self._modes = termios.tcgetattr(self.screen)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Closes the terminal: a hangup for whoever still uses it."""
        os.close(self.screen)
        os.close(self._report)
        os.kill(self._shell, signal.SIGKILL)
        os.waitpid(self._shell, 0)

    def type(self, keys: bytes) -> None:
        os.write(self.screen, keys)

    def wait_for(self, text: bytes, seconds: float = 30) -> None:
        """Reads what is shown, up to `text` for the next time."""
        self.wait_until(lambda: text in self.shown, repr(text), seconds)
        self.shown = self.shown[self.shown.index(text) + len(text) :]

    def wait_until(self, true: Callable[[], object], what: str, seconds: float = 30) -> None:
        def came_true() -> bool:
            self.read()
            return bool(true())

        eventually(came_true, seconds, lambda: f"{what}; shown: {self.shown!r}", pause=0.002)

    def wait_for_prompt(self, text: bytes, seconds: float = 30) -> None:
        """Waits until somebody asks, with the terminal's echo turned off."""
        self.wait_for(text, seconds)
        self.wait_until(lambda: not self.echoes, "the echo is turned off")

    def answer(self, prompt: bytes, line: str, seconds: float = 30) -> None:
        """Waits for a question with the echo turned off, and types a line."""
        self.wait_for_prompt(prompt, seconds)
        self.type(line.encode() + b"\n")

    def assert_restored(self) -> None:
        """Whether the terminal has the modes again that it had at first."""
        assert termios.tcgetattr(self.screen) == self._modes

    @property
    def echoes(self) -> bool:
        lflag: int = termios.tcgetattr(self.screen)[3]
        return bool(lflag & termios.ECHO)

    def read(self) -> None:
        with contextlib.suppress(OSError):
            self.shown += os.read(self.screen, 1 << 16)

    def status(self, seconds: float = 30) -> int:
        """Waits for sshrun's end, and returns what a shell would show as its status."""
        report = b""

        def ended() -> bool:
            nonlocal report
            with contextlib.suppress(BlockingIOError):
                report = os.read(self._report, 64)
            return bool(report)

        self.wait_until(ended, "the end of sshrun", seconds)
        self.read()
        return int(report)


def _run_in_foreground(report: int, argv: list[str]) -> None:
    """In the child: runs a program as the foreground job, reports its process id and its status, and stays."""
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    pid = os.fork()
    if pid == 0:
        os.setpgid(0, 0)
        os.tcsetpgrp(0, os.getpgrp())
        for number in (signal.SIGTTOU, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        os.execv(argv[0], argv)
    os.write(report, b"%d\n" % pid)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    os.tcsetpgrp(0, os.getpgrp())
    os.write(report, b"%d\n" % (status if status >= 0 else 128 - status))
    while True:
        signal.pause()
