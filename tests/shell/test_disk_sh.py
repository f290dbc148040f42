"""A disk that is full, or that cannot be written: no job without a record, and no record that is wrong."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.shell_host import RefusalOf, ShellHost
from support.waiting import eventually

pytestmark = pytest.mark.usefixtures("mounts")


@pytest.fixture
def small_disk(host: ShellHost) -> Iterator[Path]:
    """The host's home folder is a disk of 1 MiB."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m,mode=700", "none", str(host.home)], check=True)
    yield host.home
    host.close()
    subprocess.run(["umount", "--lazy", str(host.home)], check=True)


def _fill(disk: Path) -> None:
    with (disk / "filler").open("ab", buffering=0) as file:
        for size in (65536, 4096, 512, 1):
            try:
                while True:
                    file.write(b"\0" * size)
            except OSError:
                pass


def _read_only(disk: Path, *, on: bool) -> None:
    subprocess.run(["mount", "-o", f"remount,{'ro' if on else 'rw'}", str(disk)], check=True)


def test_exit_code_is_recorded_on_a_disk_that_the_job_has_filled(host: ShellHost, small_disk: Path) -> None:
    script = "echo before; cat /dev/zero >filler 2>/dev/null; echo after; exit 42"
    ended = host.sh(script, folder=str(small_disk))
    assert (ended.state, ended.code) == ("finished", "42")
    assert ended.log.startswith(b"before\n")


def test_start_on_a_full_disk_is_refused_and_holds_nothing(
    host: ShellHost, small_disk: Path, refusal: RefusalOf
) -> None:
    host.sh("true")
    _fill(small_disk)
    session = host.session()
    session.request("claim", host.new_id(), "9")
    refused = refusal(session)
    assert refused.word == "state"
    assert "cannot be written" in refused.values
    (small_disk / "filler").unlink()
    assert host.sh("exit 7").code == "7"


@pytest.mark.parametrize("step", ["place", "keep", "start"])
def test_disk_that_fills_up_between_claim_and_start_lets_nothing_start(
    host: ShellHost, small_disk: Path, refusal: RefusalOf, step: str
) -> None:
    session = host.session()
    host.claim(session, host.new_id())
    if step == "place":
        _fill(small_disk)
    session.request("place", str(small_disk / "work"))
    if step != "place":
        session.reply()
    if step == "keep":
        _fill(small_disk)
    for name in ("startup", "environment", "manifest"):
        session.request("keep", name)
    session.request("keep", "command", "touch", str(small_disk / "ran"), "x" * 5000)
    session.flush()
    if step == "start":
        session.request("probe", ".")  # answered: everything before it has been done
        for _ in session.replies("done"):
            pass
        _fill(small_disk)
    session.request("start", "")
    assert refusal(session).word in ("state", "directory", "start")
    assert not (small_disk / "ran").exists()
    session.child.wait(20)
    (small_disk / "filler").unlink()
    assert host.sh("exit 7").code == "7"


def test_finished_job_is_told_and_stopped_on_a_full_disk(host: ShellHost, small_disk: Path) -> None:
    session, job = host.begin(["sleep", "60"])
    _fill(small_disk)
    session.request("stop", job)
    assert [reply.word for reply in session.replies("stopped", timeout=20)][-1] == "stopped"
    assert host.follow(session, job).state == "finished"
    host.release(session, job)


def test_disk_that_cannot_be_written_any_more_refuses_and_still_tells(
    host: ShellHost, small_disk: Path, refusal: RefusalOf
) -> None:
    session, job = host.begin(["sh", "-c", "echo told; exit 5"])
    assert host.follow(session, job).code == "5"
    _read_only(small_disk, on=True)
    try:
        assert host.follow(host.session(), job).log == b"told\n"
        session = host.session()
        session.request("release", job)
        assert refusal(session).word == "state"
        session = host.session()
        session.request("force", host.new_id(), "9", "joe@laptop")
        assert refusal(session).word == "state"
    finally:
        _read_only(small_disk, on=False)


def test_shutdown_commands_are_not_lost_on_a_full_disk(host: ShellHost, small_disk: Path, refusal: RefusalOf) -> None:
    session, job = host.begin(["sh", "-c", "exit 5"], folder="/")
    assert host.follow(session, job).code == "5"
    _fill(small_disk)
    session.request("release", job, "echo $SSHRUN_EXIT_CODE >~/goodbye")
    assert refusal(session).word == "state"
    assert "retrieved" not in host.look(host.session(), job)[6]
    (small_disk / "filler").unlink()
    host.release(host.session(), job, "echo $SSHRUN_EXIT_CODE >~/goodbye")
    eventually(lambda: (small_disk / "goodbye").exists() and (small_disk / "goodbye").read_text() == "5\n")
