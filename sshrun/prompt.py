"""The terminal on which ssh asks for a password, a passphrase or a code: whether it does now, and its modes."""

from __future__ import annotations

import os
from typing import Any

from sshrun import process_tree

TERMINAL = "/dev/tty"  # what readpassphrase(3) opens, whatever stdin and stderr are

# Where ssh looks for a program that asks in a window if SSH_ASKPASS names none; each system has its own of these.
ASKPASS = (
    "/usr/bin/ssh-askpass",
    "/usr/libexec/openssh/ssh-askpass",
    "/usr/lib/ssh/ssh-askpass",
    "/usr/X11R6/bin/ssh-askpass",
)


def somebody_to_ask() -> bool:
    """Whether ssh could ask a person anything, on a terminal or by a program that asks in a window.

    Where it cannot, it sends empty passwords, which a server may answer with a ban.
    """
    terminal = _open_terminal()
    if terminal is not None:
        os.close(terminal)
    return terminal is not None or _askpass_serves()


def _askpass_serves() -> bool:
    """read_passphrase() of readpass.c."""
    required = os.environ.get("SSH_ASKPASS_REQUIRE", "").lower()
    display = "DISPLAY" in os.environ or "WAYLAND_DISPLAY" in os.environ
    if required == "never" or not (display or required == "force"):
        return False
    return bool(os.environ.get("SSH_ASKPASS")) or any(os.access(program, os.X_OK) for program in ASKPASS)


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


def is_asking(terminal: int) -> bool:
    """Whether somebody waits for an answer on a terminal, given as a file descriptor.

    ssh opens the terminal by its name for each question, be it for a password or for a yes to a host key, and closes it
    with the answer (OpenSSH, readpassphrase.c). Others, such as pinentry, turn the echo off.
    """
    import termios

    modes = _modes(terminal)
    if modes is None:
        return False
    if not modes[3] & termios.ECHO:
        return True
    children = process_tree.descendants(os.getpid(), process_tree.parents())
    return any(_holds_terminal(pid) for pid in children)


def _holds_terminal(pid: int) -> bool:
    directory = f"/proc/{pid}/fd"
    try:
        return any(os.readlink(os.path.join(directory, name)) == TERMINAL for name in os.listdir(directory))
    except OSError:
        return False
