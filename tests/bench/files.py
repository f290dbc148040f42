"""Files over one open connection, beside the commands that a skilled person would type over the same one."""

from __future__ import annotations

import os
import resource
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from measure import Row, by_turns

from sshrun import sandbox
from support.moving import Mover

GIBIBYTE = 1 << 30
MANY = 10_000
TURNS = 5

Timed = Callable[[], float]


def rows() -> Iterator[Row]:
    with sandbox.start() as server, tempfile.TemporaryDirectory() as folder:
        files = Files(Mover(server), Path(folder))
        try:
            yield from files.rows()
        finally:
            files.mover.close()
    # Linux counts kibibytes, macOS bytes.
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20 if sys.platform == "darwin" else 1 << 10)
    yield Row("memory of the Python process in all of them", memory, None, 80, unit="MiB")


class Files:
    """A tree here, the same there, a connection, and two ways to move the one to the other."""

    def __init__(self, mover: Mover, folder: Path) -> None:
        self.mover = mover
        self.here = folder / "here"
        self.home = folder / "home"
        self.home.mkdir()
        mover.session()  # what both sides go through is open before anybody is timed
        connection = mover.link.connection
        self.shell = shlex.join(connection.remote_shell())
        self.target = connection.target
        for number in range(MANY):
            path = self.here / "many" / str(number // 500) / str(number)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(os.urandom(4096))
        with open(self.here / "large", "wb") as file:
            for _ in range(GIBIBYTE >> 20):
                file.write(os.urandom(1 << 20))

    def rows(self) -> Iterator[Row]:
        there, tree = self.mover.there, f"{MANY} × 4 KiB"
        up, down = f"rsync -a -e {shlex.quote(self.shell)} {self.here}/", f"rsync -a -e {shlex.quote(self.shell)}"
        goal = 1 / 0.95
        rival = self.by_hand(f"{up}large {self.target}:work/", there)
        yield Row("1 GiB up / rsync -a", *by_turns(self.upload("large", there), rival, TURNS), goal)
        rival = self.by_hand(f"{down} {self.target}:work/large {self.home}/", self.home)
        yield Row("1 GiB down / rsync -a", *by_turns(self.download("large", self.home), rival, TURNS), goal)
        shutil.rmtree(there)
        rival = self.by_hand(
            f"tar -C {self.here} -c many | {self.shell} {self.target} 'mkdir -p work && tar -C work -x'", there
        )
        yield Row(f"{tree} up / tar c | ssh tar x", *by_turns(self.upload("many", there), rival, TURNS), goal)
        rival = self.by_hand(f"{up}many {self.target}:work/")
        yield Row("the same, nothing changed / rsync -a", *by_turns(self.upload("many"), rival, TURNS), 1.1)
        rival = self.by_hand(f"{self.shell} {self.target} tar -C work -c many | tar -C {self.home} -x", self.home)
        yield Row(f"{tree} down / ssh tar c | tar x", *by_turns(self.download("many", self.home), rival, TURNS), goal)
        rival = self.by_hand(f"{down} {self.target}:work/many {self.home}/")
        yield Row("the same, nothing changed / rsync -a", *by_turns(self.download("many"), rival, TURNS), 1.1)

    def upload(self, name: str, fresh: Path | None = None) -> Timed:
        """`fresh` is emptied before each turn, untimed."""
        return _timed(lambda: self.mover.upload(self.here, name), fresh)

    def download(self, name: str, fresh: Path | None = None) -> Timed:
        return _timed(lambda: self.mover.download(self.home, name), fresh)

    def by_hand(self, script: str, fresh: Path | None = None) -> Timed:
        return _timed(lambda: subprocess.run(script, shell=True, check=True), fresh)


def _timed(work: Callable[[], object], fresh: Path | None) -> Timed:
    def run() -> float:
        if fresh is not None:
            shutil.rmtree(fresh, ignore_errors=True)
            fresh.mkdir()
        began = time.perf_counter()
        work()
        return time.perf_counter() - began

    return run
