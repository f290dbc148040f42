"""Connections that end within a transfer: each file is the old one or the new one, and the next run does the rest."""

from __future__ import annotations

import os
import random
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sshrun.errors import ConnectionFailed
from sshrun.sandbox import Sandbox
from sshrun.session.program import BOOTSTRAP
from sshrun.transfer.download import Downloaded
from sshrun.transfer.upload import Uploaded
from support.moving import Mover, grow, leftovers
from support.relay import Direction, Relay
from support.trees import contents
from support.waiting import eventually

# Bytes that a login, a probe and a comparison of very many names may take.
OVERHEAD = 3_000_000


class Field:
    """A tree of one large file and many small ones, here or there, and a line to it that breaks."""

    def __init__(self, sandbox: Sandbox, relay: Relay, folder: Path) -> None:
        self.sandbox = sandbox
        self.relay = relay
        self.here = folder / "here"
        self.there = sandbox.home / "work"
        self.movers: list[Mover] = []

    def plant(self, where: Path, large: int, small: int) -> None:
        grow(where, *(f"many/{number % 50}/{number}" for number in range(small)), size=1000)
        grow(where, "large", size=large)

    def work(self, direction: str, engine: str | None) -> Uploaded | Downloaded:
        mover = Mover(self.sandbox)
        try:
            if direction == "upload":
                return mover.upload(self.here, "many", "large", engine=engine)
            return mover.download(self.here, "many/**", "large", engine=engine)
        finally:
            mover.close()

    @contextmanager
    def cut_after(self, direction: str, count: int) -> Iterator[None]:
        """Cuts the line as soon as so many bytes have passed in this direction."""
        self.relay.forget()
        way = Direction.TO_TARGET if direction == "upload" else Direction.TO_CLIENT
        over = threading.Event()

        def watch() -> None:
            while not over.is_set() and self.relay.carried(way) < count:
                time.sleep(0.002)
            self.relay.refuse()
            self.relay.cut()

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            yield
        finally:
            over.set()
            watcher.join()
            self.relay.restore()


@pytest.fixture
def field(sandbox: Sandbox, relay: Relay, tmp_path: Path) -> Field:
    return Field(sandbox, relay, tmp_path)


def whole_or_old(source: Path, target: Path, old: dict[str, bytes]) -> int:
    """How many files have arrived; every other one is as it was."""
    arrived = 0
    for name, content in contents(target).items():
        if ".sshrun-part" not in name:
            new = content == (source / name).read_bytes()
            assert new or content == old[name], name
            arrived += new
    return arrived


def parts(*folders: Path) -> int:
    """Bytes of files that were cut off and will be gone on with."""
    files = (path for folder in folders for path in folder.rglob("*") if path.parent.name == ".sshrun-part")
    return sum(path.stat().st_size for path in files)


def check(field: Field, direction: str, engine: str | None, large: int, small: int, times: int) -> None:
    source, target = (field.here, field.there) if direction == "upload" else (field.there, field.here)
    field.plant(source, large, small)
    total = large + 1000 * small
    chance = random.Random(f"{direction} {engine}")
    for _ in range(times):
        shutil.rmtree(target, ignore_errors=True)
        old = {"large": b"old", "many/0/0": b"old"}
        for name, content in old.items():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            (target / name).write_bytes(content)
        with field.cut_after(direction, chance.randrange(20_000, total)), pytest.raises(ConnectionFailed):
            field.work(direction, engine)
        wait_for_the_host(field)
        arrived = whole_or_old(source, target, old)
        kept = parts(target)
        field.relay.forget()
        done = field.work(direction, engine)
        assert done.files == small + 1 - arrived
        way = Direction.TO_TARGET if direction == "upload" else Direction.TO_CLIENT
        if engine == "rsync":
            missing = sum((source / name).stat().st_size for name in contents(source)) - kept
            assert field.relay.carried(way) < missing + OVERHEAD
        assert contents(target) == contents(source)
        assert not leftovers(target)


def wait_for_the_host(field: Field) -> None:
    """Until what served the connection there has noticed, and put away what it had."""
    mark = b"HOME=" + os.fsencode(field.sandbox.home)

    def idle() -> bool:
        return not any(
            entry.name.isdigit() and mark in _read(entry / "environ") and _moves_files(_read(entry / "cmdline"))
            for entry in Path("/proc").iterdir()
        )

    eventually(idle, 20, "nothing on the host goes on without anybody to talk to")


def _moves_files(command: bytes) -> bool:
    """rsync, or the shell of a session, which puts away what tar had unpacked."""
    _, script, _ = BOOTSTRAP.split("'")
    return b"rsync" in command or os.fsencode(script) in command


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


@pytest.mark.parametrize("engine", ["rsync", "tar", None])
@pytest.mark.parametrize("direction", ["upload", "download"])
def test_a_cut_leaves_files_whole_and_the_next_run_sends_the_rest(field: Field, direction: str, engine: str) -> None:
    check(field, direction, engine, 20_000_000, 300, 2)


@pytest.mark.long
@pytest.mark.parametrize("engine", ["rsync", "tar"])
@pytest.mark.parametrize("direction", ["upload", "download"])
def test_many_cuts(field: Field, direction: str, engine: str) -> None:
    check(field, direction, engine, 20_000_000, 1_000, 25)


@pytest.mark.long
@pytest.mark.parametrize("engine", ["rsync", "tar", None])
@pytest.mark.parametrize("direction", ["upload", "download"])
def test_cuts_of_much(field: Field, direction: str, engine: str | None) -> None:
    check(field, direction, engine, 200_000_000, 10_000, 3)


@pytest.mark.long
@pytest.mark.parametrize("direction", ["upload", "download"])
def test_cuts_of_scp(field: Field, direction: str) -> None:
    check(field, direction, "scp", 20_000_000, 500, 10)
