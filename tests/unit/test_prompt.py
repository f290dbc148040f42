"""Whether a question stands on a terminal."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import termios

import pytest

from sshrun import process_tree, prompt

# Leads a session of its own, whose terminal is the one given: it asks there as ssh does, and ends with an answer.
ASK = """
import fcntl, os, sys, termios
os.setsid()
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
terminal = os.open("/dev/tty", os.O_RDWR)
os.write(terminal, b"yes or no? ")
os.read(terminal, 10)
os.close(terminal)
os.write(1, b"thanks")
os.read(0, 10)
"""


@pytest.mark.skipif(not process_tree.is_listed(), reason="needs the list of processes in /proc")
def test_a_child_that_has_opened_the_terminal_asks_until_it_has_its_answer() -> None:
    screen, terminal = pty.openpty()
    assert not prompt.is_asking(terminal)
    with subprocess.Popen([sys.executable, "-c", ASK], stdin=terminal, stdout=terminal) as child:
        assert os.read(screen, 100) == b"yes or no? "
        assert prompt.is_asking(terminal)
        os.write(screen, b"yes\n")
        shown = b""
        while b"thanks" not in shown:
            shown += os.read(screen, 100)
        assert not prompt.is_asking(terminal)
        os.write(screen, b"end\n")
        assert child.wait(20) == 0
    os.close(screen)
    os.close(terminal)


def test_a_terminal_without_echo_is_asked_at() -> None:
    screen, terminal = pty.openpty()
    settings = termios.tcgetattr(terminal)
    settings[3] &= ~termios.ECHO
    termios.tcsetattr(terminal, termios.TCSANOW, settings)
    assert prompt.is_asking(terminal)
    os.close(screen)
    os.close(terminal)


def test_what_is_no_terminal_asks_nobody() -> None:
    with open(os.devnull) as file:
        assert not prompt.is_asking(file.fileno())
