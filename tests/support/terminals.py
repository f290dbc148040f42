"""A terminal in which sshrun runs, as a person sees it."""

from __future__ import annotations

import contextlib
import os
import pty
import termios
from pathlib import Path

from support.installed import SSHRUN
from support.waiting import eventually, exit_status


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
        os.set_blocking(self.screen, False)

        def came() -> bool:
            with contextlib.suppress(OSError):  # nothing yet; or EIO: nobody has it open any more
                self.shown += os.read(self.screen, 1 << 16)
            return text in self.shown

        eventually(came, seconds, lambda: f"{text!r}; shown: {self.shown!r}")

    def close_window(self) -> None:
        os.close(self.screen)

    def status(self, seconds: float = 20) -> int:
        return exit_status(self.pid, seconds, lambda: repr(self.shown))
