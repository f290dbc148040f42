"""Which processes a program has started, and which of them still run."""

from __future__ import annotations

import os
import subprocess

import pytest

from sshrun import process_tree

pytestmark = pytest.mark.skipif(not process_tree.is_listed(), reason="needs the list of processes in /proc")


def test_children_of_children_are_found_and_nobody_else() -> None:
    script = "sh -c 'sleep 60 & echo $!; wait' & echo $!; wait"
    with subprocess.Popen(["sh", "-c", script], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        started = {int(child.stdout.readline()), int(child.stdout.readline())}
        found = process_tree.descendants(child.pid, process_tree.parents())
        assert set(found) == started
        assert child.pid in process_tree.descendants(os.getpid(), process_tree.parents())
        for pid in (child.pid, *started):
            os.kill(pid, 9)


def test_a_zombie_does_not_run() -> None:
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as child:
        assert process_tree.runs(child.pid)
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert not process_tree.runs(child.pid)
    assert not process_tree.runs(child.pid)
