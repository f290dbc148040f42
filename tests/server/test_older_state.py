"""What an older version of sshrun has left on a host is read; what a newer one has left there is not touched.

state_before_versions.json is what the last sshrun wrote whose state carried no version: a retrieved job, then one that
finished and was not retrieved ("finished"), or one that was lost ("lost").
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from sshrun.sandbox import Sandbox
from support.installed import Sshrun

STATE = json.loads(Path(__file__).with_name("state_before_versions.json").read_text())
FIRST = {"finished": "20251125-173723-49485c99", "lost": "20251125-173735-a750ae52"}
SECOND = {"finished": "20251125-173725-ca65a71f", "lost": "20251125-173738-d2d71210"}


@pytest.fixture
def state(sandbox: Sandbox, request: pytest.FixtureRequest) -> Path:
    """The older state, on the host, and what the last job made."""
    name = os.uname().nodename
    state = sandbox.home / ".sshrun" / "hosts" / name
    for file, text in STATE[request.param].items():
        path = state / file
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if text is None:
            os.mkfifo(path, 0o600)
        elif text == "PROGRAM":
            path.write_text("\n".join(STATE["program"]))
        else:
            path.write_text(text.replace("HOST\n", f"{name}\n").replace("HOME/", f"{sandbox.home}/"))
    work = sandbox.home / "work"
    work.mkdir()
    for result in ("metrics.txt", "my_model.zip"):
        (work / result).write_text("new\n")
    return state


@pytest.mark.parametrize("state", ["finished"], indirect=True)
def test_a_job_of_an_older_version_is_listed_shown_and_retrieved(sshrun: Sshrun, state: Path, tmp_path: Path) -> None:
    jobs = sshrun("jobs").stdout.decode().splitlines()
    assert [line.split()[0] for line in jobs] == [SECOND["finished"], FIRST["finished"]]
    status = sshrun("status").stdout.decode()
    for shown in ("train my_model second\n", "joe@laptop:/home/joe/project/my_model.py\n", "exit 3, not retrieved\n"):
        assert shown in status
    assert sshrun("logs").stdout == b"ready\nhello second\n"
    assert sshrun("logs", FIRST["finished"]).stdout == b"ready\nhello first\n"
    assert sshrun("--", "true").status == 75
    assert sshrun("retrieve").status == 3
    assert {path.name: path.read_text() for path in tmp_path.glob("m*.*")} == {
        "metrics.txt": "new\n",
        "my_model.zip": "new\n",
    }
    assert (state.parents[2] / "work" / "goodbye.txt").read_text() == "3\n"
    assert not (state / "version").exists()
    assert sshrun("--", "true").status == 0
    assert (state / "version").read_text() == "1\n"
    assert len(sshrun("jobs").stdout.splitlines()) == 3


@pytest.mark.parametrize("state", ["finished", "lost"], indirect=True)
def test_a_job_of_an_older_version_is_resumed(sshrun: Sshrun, state: Path, tmp_path: Path) -> None:
    lost = "lost" in sshrun("status").stdout.decode()
    resumed = sshrun("--resume")
    assert resumed.status == (76 if lost else 3), resumed.stderr
    assert resumed.stdout == (b"ready\nhello stay\n" if lost else b"ready\nhello second\n")
    assert (tmp_path / "metrics.txt").read_text() == "new\n"
    assert (state.parents[2] / "work" / "goodbye.txt").read_text() == ("lost\n" if lost else "3\n")


@pytest.mark.parametrize("state", ["finished"], indirect=True)
@pytest.mark.parametrize("version", ["2", "of a later kind"])
def test_a_state_of_a_newer_version_is_left_alone(sshrun: Sshrun, state: Path, version: str) -> None:
    (state / "version").write_text(f"{version}\n")
    before = {path: path.stat().st_mtime_ns for path in state.rglob("*")}
    for verb in (["status"], ["jobs"], ["--resume"], ["retrieve"], ["--force", "--", "true"], ["--", "true"]):
        refused = sshrun(*verb)
        text = f"sandbox: a newer version of sshrun keeps its jobs on it (state {version}, this one reads 1)"
        assert text in refused.stderr, verb
        # "jobs" also lists what is known of jobs on this side, and only warns.
        assert verb == ["jobs"] or (refused.status == 255 and "pip install --upgrade sshrun" in refused.stderr), verb
    assert {path: path.stat().st_mtime_ns for path in state.rglob("*")} == before
