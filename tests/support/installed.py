"""The installed `sshrun`, run as a person runs it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.waiting import eventually

SSHRUN = Path(sys.executable).with_name("sshrun")


@dataclass(frozen=True)
class Finished:
    """What a run of sshrun has left: exit status, results on stdout, talk on stderr."""

    status: int
    stdout: bytes
    stderr: str


class Running:
    """A live sshrun, leader of its own process group as in a terminal's foreground."""

    def __init__(self, process: subprocess.Popen[bytes], stdout: Path, stderr: Path) -> None:
        self.process = process
        self._stdout = stdout
        self._stderr = stderr

    @property
    def stdout(self) -> bytes:
        """So far."""
        return self._stdout.read_bytes()

    @property
    def stderr(self) -> str:
        """So far."""
        return self._stderr.read_text(errors="replace")

    def press(self, key: signal.Signals) -> None:
        """What a key does in a terminal: the signal reaches the whole foreground process group."""
        os.killpg(self.process.pid, key)

    def wait_until(self, true: Callable[[Running], bool], seconds: float = 20) -> None:
        """Polls; fails with all that was said when it does not become true, or sshrun ends before."""

        def came_true() -> bool:
            ended = self.process.poll() is not None  # first: what it wrote last counts
            if true(self):
                return True
            if ended:
                pytest.fail(f"sshrun ended before: {self._state()}")
            return False

        eventually(came_true, seconds, self._state)

    def _state(self) -> str:
        return f"exit status {self.process.poll()}\nstdout: …{self.stdout[-1000:]!r}\nstderr: {self.stderr}"

    def wait(self, seconds: float = 60) -> Finished:
        try:
            status = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            pytest.fail(f"still runs after {seconds} s: {self._state()}")
        return Finished(status, self.stdout, self.stderr)


class Sshrun:
    """The installed console script."""

    def __init__(self, folder: Path, output: Path, *options: str) -> None:
        self.folder = folder
        self.options = options
        self._output = output
        self._started: list[subprocess.Popen[bytes]] = []

    def __call__(self, *arguments: str | Path, cwd: Path | None = None, seconds: float = 60) -> Finished:
        """Runs it to its end."""
        return self.start(*arguments, cwd=cwd).wait(seconds)

    def start(self, *arguments: str | Path, cwd: Path | None = None) -> Running:
        """Starts it, and returns while it runs."""
        number = len(self._started)
        stdout, stderr = self._output / f"stdout.{number}", self._output / f"stderr.{number}"
        with open(stdout, "wb") as out, open(stderr, "wb") as err:
            process = subprocess.Popen(
                [SSHRUN, *self.options, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                cwd=cwd or self.folder,
                process_group=0,
            )
        self._started.append(process)
        return Running(process, stdout, stderr)

    def close(self) -> None:
        for process in self._started:
            if process.poll() is None:
                process.kill()
            process.wait()
