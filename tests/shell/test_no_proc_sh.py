"""A host without /proc: BSD and macOS, which have a ps for it, and a chroot, in which nothing tells of processes."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.shell_host import RefusalOf, ShellHost
from support.waiting import eventually


@pytest.fixture
def without_proc(host: ShellHost, mounts: None, tmp_path: Path) -> Path:
    """A login shell from which /proc is hidden, also from its jobs; the real one stands in the folder `proc`."""
    proc = tmp_path / "proc"
    proc.mkdir()
    path = tmp_path / "login_shell"
    hide = f'mount --bind /proc {proc} && mount -t tmpfs none /proc && exec "$@"'
    path.write_text(f"#!/bin/sh\nexec /usr/bin/unshare --mount /bin/sh -c '{hide}' sh {host.tools}/sh \"$@\"\n")
    path.chmod(0o755)
    return path


def test_ps_stands_in_for_proc(host: ShellHost, without_proc: Path, tmp_path: Path) -> None:
    ps = host.vacant("ps")
    show = f'mount --bind {tmp_path}/proc /proc && exec /usr/bin/ps "$@"'
    ps.write_text(f"#!/bin/sh\nexec /usr/bin/unshare --mount /bin/sh -c '{show}' ps \"$@\"\n")
    ps.chmod(0o755)
    session, job = host.begin(["sh", "-c", "echo ran; exit 3"], session=host.session(login_shell=str(without_proc)))
    ended = host.follow(session, job)
    assert (ended.log, ended.state, ended.code) == (b"ran\n", "finished", "3")
    host.release(session, job)
    session, job = host.begin(["sleep", host.mark], session=host.session(login_shell=str(without_proc)))
    eventually(lambda: host.look(session, job)[1] == "running")
    session.request("stop", job)
    assert [reply.word for reply in session.replies("stopped")][-1] == "stopped"
    assert host.look(session, job)[1] == "finished"


def test_where_nothing_tells_of_processes_that_is_what_is_said(
    host: ShellHost, without_proc: Path, refusal: RefusalOf
) -> None:
    session = host.session(login_shell=str(without_proc))
    session.request("claim", host.new_id(), "9")
    assert refusal(session).word == "blind"
    assert not list(host.state.glob("jobs/*"))
