"""The one way in which tests wait."""

from __future__ import annotations

import os
import signal
import time
import traceback
from collections.abc import Callable
from typing import TypeVar

import pytest

Answer = TypeVar("Answer")


def eventually(
    condition: Callable[[], Answer],
    seconds: float = 20,
    what: str | Callable[[], str] = "",
    pause: float = 0.01,
) -> Answer:
    """Polls, within a bound, until the condition says something true; returns that.

    `what` was waited for: a text, or what makes one when it is needed. Without it, the line that waits is named.
    """
    deadline = time.monotonic() + seconds
    while not (answer := condition()):
        if time.monotonic() > deadline:
            named = what() if callable(what) else what or traceback.extract_stack(limit=2)[0].line
            pytest.fail(f"not within {seconds} s: {named}")
        time.sleep(pause)
    return answer


def exit_status(pid: int, seconds: float, shown: Callable[[], str]) -> int:
    """Waits for the end of a child; kills it where that does not come."""

    def ended() -> tuple[int, int] | None:
        found = os.waitpid(pid, os.WNOHANG)
        return found if found[0] else None

    try:
        found = eventually(ended, seconds, lambda: f"the end of sshrun; shown: {shown()}")
    except pytest.fail.Exception:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        raise
    assert found is not None
    return os.waitstatus_to_exitcode(found[1])
