"""Where ssh asks a person for a password, a passphrase or a code, and the state that it is left in."""

from __future__ import annotations

import os
from typing import Any

TERMINAL = "/dev/tty"  # what readpassphrase(3) opens, whatever stdin and stderr are


class TerminalModes:
    """The modes of the terminal as they were found, where there is one."""

    def __init__(self) -> None:
        self._terminal = _open_terminal()
        self._found = None if self._terminal is None else _modes(self._terminal)

    def restore(self) -> None:
        """Sets them again, where somebody has changed them; not while the terminal is another job's of the shell."""
        terminal = self._terminal
        if terminal is None or self._found in (None, _modes(terminal)) or not _in_foreground(terminal):
            return
        import termios

        try:
            termios.tcsetattr(terminal, termios.TCSADRAIN, self._found or [])
        except termios.error:
            pass  # a terminal that was closed

    def close(self) -> None:
        if self._terminal is not None:
            os.close(self._terminal)
            self._terminal = None


def _open_terminal() -> int | None:
    try:
        return os.open(TERMINAL, os.O_RDWR | os.O_NOCTTY)
    except OSError:
        return None


def _modes(terminal: int) -> list[Any] | None:
    import termios

    try:
        return termios.tcgetattr(terminal)
    except termios.error:
        return None


def _in_foreground(terminal: int) -> bool:
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return False
