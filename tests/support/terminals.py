"""A terminal in which sshrun runs, as a person sees it."""

from __future__ import annotations

import os
import pty
import signal
import termios
import time
from pathlib import Path

import pytest

from support.installed import SSHRUN


class Terminal:
    """sshrun in a terminal of its own, as a shell starts it: keys are typed, and the window can be closed."""

    def __init__(
        self, folder: Path, *words: str | Path, program: str | Path = SSHRUN, columns: int = 80, lines: int = 24
    ) -> None:
        self.pid, self.screen = pty.fork()
        if self.pid == 0:
            os.chdir(folder)
            termios.tcsetwinsize(0, (lines, columns))
            os.execv(program, [str(program), *map(str, words)])
        self.shown = b""

    def type(self, keys: bytes) -> None:
        os.write(self.screen, keys)

    def wait_for(self, text: bytes, seconds: float = 20) -> None:
        deadline = time.monotonic() + seconds
        os.set_blocking(self.screen, False)
        while text not in self.shown:
            try:
                self.shown += os.read(self.screen, 1 << 16)
            except BlockingIOError:
                time.sleep(0.01)
            except OSError:
                pytest.fail(f"{text!r} never came: {self.shown!r}")
            if time.monotonic() > deadline:
                pytest.fail(f"{text!r} does not come: {self.shown!r}")

    def close_window(self) -> None:
        os.close(self.screen)

    def status(self, seconds: float = 20) -> int:
        deadline = time.monotonic() + seconds
        while True:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                return os.waitstatus_to_exitcode(status)
            if time.monotonic() > deadline:
                os.kill(self.pid, signal.SIGKILL)
                pytest.fail(f"still runs: {self.shown!r}")
            time.sleep(0.01)
