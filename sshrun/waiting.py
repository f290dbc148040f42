"""Shows what is waited for, once nothing has been shown for a while."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from types import FrameType

from sshrun import process_tree
from sshrun.events import LoggingIn, Phase
from sshrun.prompt import is_asking
from sshrun.terminal import visible
from sshrun.units import age_text

ERASE = b"\r\x1b[K"  # back to the first column, and the line is empty: ECMA-48, EL
COLUMNS = 80

# Seconds without output after which it is shown what is waited for: on a terminal; and elsewhere, where nobody is
# watching, what is lengthy by its nature, and all else.
DELAY_ON_TERMINAL = 1.0
DELAY_IF_LENGTHY = 3.0
DELAY = 10.0


class Waiting:
    """What is waited for: in a line that is replaced, or else each phase once, by `report`.

    Nothing is shown between `hold` and `go_on`.
    """

    def __init__(self, report: Callable[[Phase], None], live: LiveLine | None) -> None:
        self._report = report
        self._live = live
        self._on_terminal = os.isatty(2)
        self._ticker = Ticker(self._tick)
        self.phase = Phase("")
        self._logging_in = False
        self._reported = False
        self._began = self._shown = time.monotonic()

    def begin(self, event: Phase | LoggingIn) -> None:
        """From now on this is waited for."""
        self._logging_in = isinstance(event, LoggingIn)
        phase = event.phase if isinstance(event, LoggingIn) else event
        if (phase.name, phase.text) != (self.phase.name, self.phase.text):
            self._began = time.monotonic()
            self._reported = False
        self.phase = phase
        if self._logging_in and self._on_terminal and not process_tree.is_listed():
            self._report_once()  # before ssh can ask: later nobody can know whether ssh is asking
        elif self._live is not None and self._live.drawn:
            self._draw(self._live)

    def end(self) -> None:
        """Nothing is waited for any more."""
        self.hold()
        self.phase = Phase("")
        self.make_room()

    def hold(self) -> None:
        self._ticker.stop()

    def go_on(self) -> None:
        if self.phase.text:
            self._ticker.start(self._shown + self._delay() - time.monotonic())

    def make_room(self) -> None:
        """For lines that stay."""
        if self._live is not None:
            self._live.erase()

    def shown(self) -> None:
        """Something else was shown just now."""
        self._shown = time.monotonic()

    def _delay(self) -> float:
        if self._on_terminal:
            return DELAY_ON_TERMINAL
        return DELAY_IF_LENGTHY if self.phase.lengthy else DELAY

    def _tick(self) -> None:
        if self._live is not None and not self._logging_in:
            self._draw(self._live)
        elif not (self._logging_in and self._on_terminal and is_asking(2)):
            self._report_once()

    def _report_once(self) -> None:
        if not self._reported:
            self._reported = True
            self._report(self.phase)

    def _draw(self, live: LiveLine) -> None:
        # With ssh at the terminal nothing may be on it that is to be removed: the cursor may be anywhere by then.
        if self._logging_in or not self.phase.text:
            live.erase()
            return
        text = f"{self.phase.text}: {self.phase.detail}" if self.phase.detail else self.phase.text
        seconds = time.monotonic() - self._began
        live.draw(f"sshrun: {visible(text)}", f", {age_text(seconds)}" if seconds >= 1 else "")
        self.shown()


class LiveLine:
    """One line on a terminal that is replaced and removed. Nothing else may be written to it before `erase`."""

    def __init__(self, terminal: int, write: Callable[[bytes], None]) -> None:
        self._terminal = terminal
        self._write = write
        self.drawn = False

    def draw(self, text: str, end: str) -> None:
        """Puts `text` and `end` in place of what it shows. Where the terminal is too narrow, the text is cut."""
        if not self._in_foreground():
            return
        # The last column is left free, since terminals begin a new line in it.
        room = columns_of(self._terminal) - 1 - len(end)
        if len(text) > room:
            text = text[: max(0, room - 1)] + "…"
        self.drawn = True
        self._write(ERASE + (text + end).encode("utf-8", "surrogateescape"))

    def erase(self) -> None:
        if self.drawn:
            self.drawn = False
            self._write(ERASE)

    def _in_foreground(self) -> bool:
        """In the background the terminal is somebody else's: a shell's, with a command that is being typed."""
        try:
            return os.tcgetpgrp(self._terminal) == os.getpgrp()
        except OSError:
            return True  # it is not the terminal that controls us, so no shell's either


class Ticker:
    """Calls `tick` after a while, and then every second, until it is stopped.

    By a timer's signal and not by a thread: it comes in the main thread, between two steps of the program, also while
    that waits in a system call, which Python then resumes (PEP 475). So nothing has to be locked, and no program that
    is started inherits a timer (setitimer(2)).
    """

    def __init__(self, tick: Callable[[], None]) -> None:
        self._tick = tick
        self._going = False

    def start(self, seconds: float) -> None:
        """The first tick comes after so many seconds."""
        if not self._going:
            signal.signal(signal.SIGALRM, self._handle)
        self._going = True
        signal.setitimer(signal.ITIMER_REAL, max(seconds, 0.001), 1.0)

    def stop(self) -> None:
        """No tick comes after this, not even one that is due."""
        if self._going:
            self._going = False
            signal.setitimer(signal.ITIMER_REAL, 0)

    def _handle(self, _number: int, _frame: FrameType | None) -> None:
        if self._going:
            self._tick()


def columns_of(terminal: int) -> int:
    try:
        return os.get_terminal_size(terminal).columns or COLUMNS
    except OSError:
        return COLUMNS


def can_erase() -> bool:
    """Whether the terminal can erase a line, as all can but those that TERM calls dumb."""
    return os.environ.get("TERM", "dumb") != "dumb"
