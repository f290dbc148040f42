"""Ctrl+C and the like, as they concern a job that runs elsewhere."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(BaseException):
    """End at once. Not an Exception, so that nothing that mends errors mends this."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number

    @property
    def exit_status(self) -> int:
        return 128 + self.number


class Interrupts:
    """Raises Interrupted where a signal comes; but from `hold` on, the first Ctrl+C makes `descriptor` readable.

    Of no `signals`, none is handled: for who asks to stop otherwise.
    """

    def __init__(self, signals: Iterable[signal.Signals] = SIGNALS) -> None:
        self.descriptor, self._write_end = os.pipe()
        os.set_blocking(self._write_end, False)
        self.asked = False
        self.passed_on = False
        self._holding = False
        for number in signals:
            # What is ignored already (nohup, or "&" in a script) is to stay so.
            if signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, self._handle)

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        if number != signal.SIGINT or not self._holding or self.asked:
            raise Interrupted(number)
        self.asked = True
        os.write(self._write_end, b"!")

    def hold(self) -> None:
        self._holding = True

    def let_go(self) -> None:
        self._holding = False

    def taken(self) -> None:
        """Empties `descriptor`, once what it announces is being done."""
        os.read(self.descriptor, 64)
        self.passed_on = True
