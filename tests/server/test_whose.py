"""Whose job it is: jobs of the same name from two projects, and what their clients hear of each other."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from sshrun.sandbox import Sandbox
from support.installed import Sshrun
from support.specs import HostSide, write_spec
from support.waiting import eventually

CLIENT = os.uname().nodename


@pytest.fixture
def host(sandbox: Sandbox) -> HostSide:
    return HostSide(sandbox)


def project(folder: Path, script: str = "echo A >metrics.json") -> Path:
    """A plain script of a common name, with a result of a common name, in a folder of its own."""
    folder.mkdir(exist_ok=True)
    write_spec(folder, script, name="train", download_files=["metrics.json"])
    return folder


def finish(sshrun: Sshrun, host: HostSide, folder: Path, *words: str) -> None:
    """Starts a job from a folder, and leaves it to end."""
    assert sshrun("--no-wait", *words, cwd=folder).status == 0
    eventually(lambda: list(host.latest().glob("rc.[0-9]*")))


def elsewhere(monkeypatch: pytest.MonkeyPatch, home: Path, tmp_path: Path) -> None:
    """From now on another client."""
    other = tmp_path / "other home"
    (other / ".sshrun").mkdir(parents=True)
    (other / ".sshrun" / "user_settings.yaml").write_text((home / ".sshrun" / "user_settings.yaml").read_text())
    monkeypatch.setenv("HOME", str(other))


@pytest.mark.parametrize("words", [("run", "train.py"), ("fit", "train"), ("--", "sh", "-c", "true")])
def test_a_job_of_the_same_name_from_another_project_is_refused(
    sshrun: Sshrun, host: HostSide, tmp_path: Path, words: tuple[str, ...]
) -> None:
    first, second = project(tmp_path / "A"), project(tmp_path / "B")
    (second / "metrics.json").write_text("B\n")
    finish(sshrun, host, first, *words)
    finished = sshrun("--resume", *words, cwd=second)
    assert finished.status == 75
    path = first if words[0] == "--" else first / "train.py"
    assert f"@{CLIENT}:{path}" in finished.stderr and "sshrun --resume retrieves it" in finished.stderr
    assert (second / "metrics.json").read_text() == "B\n"
    finished = sshrun("--resume", *words, cwd=first)
    assert finished.status == 0 and "already" not in finished.stderr


def test_a_link_to_the_spec_names_the_same_job(sshrun: Sshrun, host: HostSide, tmp_path: Path) -> None:
    project(tmp_path / "A")
    (tmp_path / "link").symlink_to("A")
    finish(sshrun, host, tmp_path / "A", "fit", "train")
    assert sshrun("--resume", "fit", "train", cwd=tmp_path / "link").status == 0


@pytest.mark.parametrize("verb", ["--resume", "retrieve"])
def test_a_job_that_is_taken_from_another_project_replaces_nothing(
    sshrun: Sshrun, host: HostSide, tmp_path: Path, verb: str
) -> None:
    script = "echo A >metrics.json; echo A >train.zip; echo same >same; echo new >new"
    first, second = tmp_path / "A", tmp_path / "B"
    for folder in (first, second):
        folder.mkdir()
        write_spec(folder, script, name="train", download_files=["metrics.json", "same", "new"])
    for name in ("metrics.json", "train.zip", "metrics.json.from-sandbox"):
        (second / name).write_text("B\n")
    (second / "same").write_text("same\n")
    finish(sshrun, host, first, "fit", "train")
    finished = sshrun(verb, cwd=second)
    assert finished.status == 0, finished.stderr
    for name in ("metrics.json", "train.zip", "metrics.json.from-sandbox"):
        assert (second / name).read_text() == "B\n"
    assert (second / "metrics.json.from-sandbox-2").read_text() == "A\n"
    assert (second / "train.zip.from-sandbox").read_text() == "A\n"
    assert (second / "new").read_text() == "new\n"
    assert not (second / "same.from-sandbox").exists(), "there is nothing to choose between"
    for name in ("metrics.json.from-sandbox-2", "train.zip.from-sandbox"):
        assert f"stays as it is: the job's is {name}" in finished.stderr
    finished = sshrun("--resume", "fit", "train", cwd=first)
    assert finished.status == 0 and "already" not in finished.stderr, finished.stderr
    assert (first / "metrics.json").read_text() == (first / "train.zip").read_text() == "A\n"
    assert "already" in sshrun("--resume", "fit", "train", cwd=first).stderr
    assert "already" in sshrun("--resume", cwd=second).stderr


def test_what_came_from_a_job_may_be_replaced_by_more_of_it(
    sshrun: Sshrun, sandbox: Sandbox, host: HostSide, tmp_path: Path
) -> None:
    first = project(
        tmp_path / "A", "echo 1 >metrics.json; echo up; until [ -e go ]; do sleep 0.05; done; echo 22 >metrics.json"
    )
    (tmp_path / "B").mkdir()
    assert sshrun("--no-wait", "fit", "train", cwd=first).status == 0
    eventually(lambda: (host.latest() / "log").stat().st_size)
    assert sshrun("retrieve", cwd=tmp_path / "B").status == 0
    assert (tmp_path / "B" / "metrics.json").read_text() == "1\n"
    (sandbox.home / "go").touch()
    assert sshrun("--resume", cwd=tmp_path / "B").status == 0
    assert (tmp_path / "B" / "metrics.json").read_text() == "22\n"
    assert [path.name for path in (tmp_path / "B").iterdir()] == ["metrics.json"]


def test_the_results_of_earlier_jobs_of_a_project_are_replaced_by_its_own(
    sshrun: Sshrun, host: HostSide, tmp_path: Path
) -> None:
    first = project(tmp_path / "A")
    (first / "metrics.json").write_text("old\n")
    finish(sshrun, host, first, "fit", "train")
    assert sshrun("--resume", cwd=first).status == 0
    assert (first / "metrics.json").read_text() == "A\n"


@pytest.mark.parametrize("verb", ["--resume", "status", "jobs"])
def test_who_loses_a_finished_job_to_a_force_hears_of_it_once(
    sshrun: Sshrun, host: HostSide, tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    first = project(tmp_path / "A")
    finish(sshrun, host, first, "fit", "train", "--epochs", "3")
    lost = host.ids()[-1]
    with monkeypatch.context() as patch:
        elsewhere(patch, home, tmp_path)
        finished = sshrun("--force", "--no-wait", "--", "sleep", "600")
        assert f"discarded job {lost} (fit train --epochs 3, from " in finished.stderr
        assert "was discarded" not in sshrun("status").stderr, "nobody's loss here"
    finished = sshrun(verb, *(("--no-wait",) if verb == "--resume" else ()), cwd=first)
    told = finished.stderr + finished.stdout.decode()
    assert re.search(rf"{lost}.*discarded by --force from \w+@{CLIENT}, \d{{4}}-\d\d-\d\d \d\d:\d\d", told), told
    assert "discarded by" not in sshrun("status").stderr
    assert "discarded by --force from" in sshrun("jobs").stdout.decode()
    (event,) = (
        event
        for line in sshrun("-p", "1", "--json", "jobs").stdout.splitlines()
        if (event := json.loads(line))["event"] == "job" and event["id"] == lost
    )
    assert "discarded by --force from" in event["discarded"] and event["arguments"] == ["--epochs", "3"]
    assert sshrun("stop").status == 0


def test_who_follows_a_job_hears_who_discards_it(
    sshrun: Sshrun, host: HostSide, tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = sshrun.start("fit", "train", cwd=project(tmp_path / "A", "echo up; sleep 600"))
    running.wait_until(lambda run: b"up\n" in run.stdout)
    elsewhere(monkeypatch, home, tmp_path)
    assert sshrun("--force", "--", "true").status == 0
    finished = running.wait()
    assert re.search(rf"was discarded by --force from \w+@{CLIENT}, ", finished.stderr), finished.stderr


def test_jobs_and_status_show_arguments_and_where_a_job_is_from(sshrun: Sshrun, host: HostSide, tmp_path: Path) -> None:
    first = project(tmp_path / "A", "echo up; sleep 600")
    assert sshrun("--no-wait", "run", "train.py", "--lr", "0.1", cwd=first).status == 0
    assert b"run train.py --lr 0.1" in sshrun("jobs").stdout
    shown = sshrun("status").stdout.decode()
    assert "command  run train.py --lr 0.1\n" in shown and f"@{CLIENT}:{first}/train.py\n" in shown
    assert sshrun("stop").status == 0


def test_a_job_that_is_retrieved_is_not_called_anything_else(sshrun: Sshrun, host: HostSide, tmp_path: Path) -> None:
    first = project(tmp_path / "A")
    write_spec(first, "true", name="other")
    assert sshrun("fit", "train", cwd=first).status == 0
    finished = sshrun("--resume", "fit", "other", cwd=first)
    assert finished.status == 75
    assert "finished, retrieved" in finished.stderr and "not retrieved" not in finished.stderr


def test_a_job_of_an_older_version_is_resumed(sshrun: Sshrun, host: HostSide, tmp_path: Path) -> None:
    first = project(tmp_path / "A")
    finish(sshrun, host, first, "fit", "train")
    manifest = host.latest() / "manifest"
    known = json.loads(manifest.read_text())
    for name in ("user", "path", "args"):
        known.pop(name, None)
    manifest.write_text(json.dumps(known) + "\n")
    assert sshrun("--resume", "fit", "train", cwd=project(tmp_path / "B")).status == 75
    assert sshrun("--resume", "fit", "train", cwd=first).status == 0
    assert (first / "metrics.json").read_text() == "A\n"
