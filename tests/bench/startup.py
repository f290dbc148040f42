"""How long it takes to say anything at all."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from measure import SSHRUN, Row, by_turns, call


def rows() -> Iterator[Row]:
    for option in ("--version", "--help"):
        ours, rival = by_turns(lambda: call([SSHRUN, option]), lambda: call([sys.executable, "-c", "pass"]), 30)  # noqa: B023
        yield Row(f"sshrun {option} / python -c pass", ours, rival, 1.5)
