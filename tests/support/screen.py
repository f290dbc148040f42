"""sshrun in a terminal of its own: what it shows, and when."""

from __future__ import annotations

import os
import pty
import re
import select
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from support.installed import SSHRUN
from support.waiting import eventually, exit_status

ERASE = "\r\x1b[K"


class Shown(NamedTuple):
    """Something that was written to the terminal, seconds after the start."""

    time: float
    text: str


class Screen:
    """A terminal in which sshrun runs, and in which keys can be typed."""

    def __init__(self, folder: Path, *words: str | Path, term: str = "xterm") -> None:
        self._began = time.monotonic()
        self.pid, self._terminal = pty.fork()
        if self.pid == 0:
            os.chdir(folder)
            os.environ["TERM"] = term
            os.execv(SSHRUN, [str(SSHRUN), *map(str, words)])
        self.shown: list[Shown] = []

    @property
    def text(self) -> str:
        """All that was written."""
        return "".join(shown.text for shown in self.shown)

    @property
    def lines(self) -> list[str]:
        """What stays of it: without what was erased."""
        kept = re.sub(r"\r\x1b\[K[^\r\n]*(?=\r\x1b\[K)", "", self.text)
        return kept.replace(ERASE, "").replace("\r\n", "\n").splitlines()

    def type(self, keys: str) -> None:
        os.write(self._terminal, keys.encode())

    def wait_for(self, text: str, seconds: float = 30) -> None:
        self._wait_until(lambda: text in self.text, seconds, repr(text))

    def counted(self, what: str) -> int:
        """The most seconds that a line has counted behind these words; 0 where there was none."""
        return max(map(int, re.findall(re.escape(what) + r", (\d+) s", self.text)), default=0)

    def wait_for_count(self, what: str, least: int) -> None:
        """Waits for a line that counts seconds; on a busy machine it may pass over some."""
        self._wait_until(lambda: self.counted(what) >= least, 30, f"{what!r} that counts to {least}")

    def _wait_until(self, true: Callable[[], bool], seconds: float, what: str) -> None:
        def came_true() -> bool:
            while self._read(time.monotonic()):
                pass
            return true()

        eventually(came_true, seconds, lambda: f"{what}; shown: {self.text!r}")

    def watch(self, seconds: float) -> None:
        """Looks at it for so long."""
        deadline = time.monotonic() + seconds
        while self._read(deadline):
            pass

    def status(self, seconds: float = 60) -> int:
        """Waits for the end; returns the exit status."""
        self.watch(seconds)
        status = exit_status(self.pid, seconds, lambda: self.text)
        os.close(self._terminal)
        return status

    def silences(self, longest: float) -> list[str]:
        """The last line on the screen, wherever nothing came for longer than so many seconds."""
        found = []
        for number, (before, after) in enumerate(zip(self.shown, self.shown[1:], strict=False)):
            if after.time - before.time > longest:
                until_then = "".join(shown.text for shown in self.shown[: number + 1])
                found.append(re.split(r"[\r\n]|\x1b\[K", until_then.rstrip())[-1])
        return found

    def _read(self, deadline: float) -> bool:
        """Takes what is written next; False where nothing is until then, or the terminal is closed."""
        ready, _, _ = select.select([self._terminal], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            return False
        try:
            data = os.read(self._terminal, 1 << 16)
        except OSError:  # EIO: nobody has it open any more
            return False
        self.shown.append(Shown(time.monotonic() - self._began, data.decode(errors="replace")))
        return bool(data)
