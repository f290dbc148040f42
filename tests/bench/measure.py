"""What the benchmarks have in common: measuring by turns, so that a noisy machine is noisy for both."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

SSHRUN = str(Path(sys.executable).with_name("sshrun"))


class Row(NamedTuple):
    """One line of the table. `ours` and `rival` are in `unit`; `ratio` is ours to the rival's, where there is one.

    `goal` is what the ratio, or without a rival our own figure, may be at most (at least, where `at_least`).
    """

    name: str
    ours: float
    rival: float | None = None
    goal: float | None = None
    unit: str = "s"
    at_least: bool = False
    note: str = ""

    @property
    def ratio(self) -> float | None:
        return self.ours / self.rival if self.rival else None

    @property
    def met(self) -> bool | None:
        if self.goal is None:
            return None
        figure = self.ours if self.ratio is None else self.ratio
        return figure >= self.goal if self.at_least else figure <= self.goal

    def text(self) -> str:
        rival = "" if self.rival is None else f"{self.rival:.3g} {self.unit}"
        ratio = "" if self.ratio is None else f"{self.ratio:.2f}"
        goal = "" if self.goal is None else f"{'≥' if self.at_least else '≤'} {self.goal:g}"
        met = {True: "met", False: "MISSED", None: ""}[self.met]
        ours = f"{self.ours:.3g} {self.unit}"
        return f"{self.name:<58} {ours:>11} {rival:>11} {ratio:>6} {goal:>8} {met:<7} {self.note}".rstrip()

    def data(self) -> dict[str, Any]:
        return {**self._asdict(), "ratio": self.ratio, "met": self.met}


def by_turns(ours: Callable[[], float | None], rival: Callable[[], float | None], times: int) -> tuple[float, float]:
    """Medians in seconds; a callable may return its own measure instead of being timed. The first turn warms up."""
    figures: tuple[list[float], list[float]] = ([], [])
    for turn in range(times + 1):
        for side, run in enumerate((ours, rival)):
            began = time.perf_counter()
            told = run()
            if turn:
                figures[side].append(time.perf_counter() - began if told is None else told)
    return statistics.median(figures[0]), statistics.median(figures[1])


def call(argv: Sequence[str], cwd: Path | None = None, expected: int = 0) -> None:
    """Runs a command, its output thrown away. Raises RuntimeError where it does not end as expected."""
    done = subprocess.run(
        argv, cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False
    )
    if done.returncode != expected:
        raise RuntimeError(f"{argv} ended with {done.returncode}: {done.stderr.decode(errors='replace')}")


def settings(config: Path, **more: str) -> None:
    """A user file in the home folder of this run."""
    import json

    folder = Path(os.environ["HOME"], ".sshrun")
    folder.mkdir(mode=0o700, exist_ok=True)
    lines = ["ssh:", f"  config_path: {json.dumps(str(config))}", *(f"  {key}: {value}" for key, value in more.items())]
    Path(folder, "user_settings.yaml").write_text("\n".join(lines) + "\n")
