"""Which files are a job's results: what it made or changed, and nothing of an earlier job's."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sshrun.sandbox import Sandbox
from support.installed import Sshrun
from support.specs import HostSide, write_spec

GOOD = '[ "$1" = fail ] || { echo "$1" >metrics.json; mkdir -p out; echo "$1" >out/"$1".txt; }'


@pytest.mark.parametrize("how", ["before it writes", "in a startup command"])
def test_what_an_earlier_run_left_is_not_the_result_of_one_that_fails(
    sshrun: Sshrun, sandbox: Sandbox, tmp_path: Path, how: str
) -> None:
    settings = {"download_files": ["metrics.json", "out/*", f"{sandbox.home}/metrics.json|copy", "~/out|far"]}
    write_spec(tmp_path, f"{GOOD}; exit 3", **settings)
    assert sshrun("train", "my_model", "one").status == 3
    assert (tmp_path / "metrics.json").read_text() == "one\n"
    for name in ("metrics.json", "copy", "out/one.txt", "far/one.txt"):
        (tmp_path / name).unlink()
    fails = {"startup_cmds": ["exit 7"]} if how == "in a startup command" else {}
    write_spec(tmp_path, "exit 7", **settings, **fails)
    finished = sshrun("train", "my_model", "two")
    assert finished.status == 7
    assert not [path for path in tmp_path.rglob("*") if path.name in ("metrics.json", "copy", "one.txt")]
    line = "left on sandbox, as before the job: metrics.json, out/one.txt, "
    assert line in finished.stderr and "sshrun retrieve --all downloads it" in finished.stderr
    assert "matches nothing" not in finished.stderr
    write_spec(tmp_path, GOOD, **settings)
    assert sshrun("train", "my_model", "three").status == 0
    assert (tmp_path / "metrics.json").read_text() == (tmp_path / "copy").read_text() == "three\n"
    assert not (tmp_path / "out" / "one.txt").exists() and not (tmp_path / "far" / "one.txt").exists()
    assert (tmp_path / "far" / "three.txt").exists()


def test_an_old_result_counts_as_missing_and_comes_only_when_all_is_asked_for(
    sshrun: Sshrun, sandbox: Sandbox, tmp_path: Path
) -> None:
    write_spec(tmp_path, GOOD, download_files=["metrics.json", "out"], shutdown_cmds=["touch goodbye"])
    assert sshrun("train", "my_model", "one").status == 0
    (tmp_path / "metrics.json").unlink()
    (sandbox.home / "goodbye").unlink()
    finished = sshrun("train", "my_model", "fail")
    assert finished.status == 255
    said = "metrics.json, out is from before the job, though the job ended with exit 0; shutdown commands wait"
    assert said in finished.stderr
    assert not (tmp_path / "metrics.json").exists() and not (sandbox.home / "goodbye").exists()
    assert sshrun("--resume").status == 0
    assert (sandbox.home / "goodbye").exists() and not (tmp_path / "metrics.json").exists()
    assert sshrun("retrieve").status == 0
    assert not (tmp_path / "metrics.json").exists()
    assert sshrun("retrieve", "--all").status == 0
    assert (tmp_path / "metrics.json").read_text() == "one\n"


def test_all_brings_the_archive_too_and_shutdown_commands_go_on(
    sshrun: Sshrun, sandbox: Sandbox, tmp_path: Path
) -> None:
    write_spec(tmp_path, f'{GOOD}; [ "$1" = fail ] || echo "$1" >my_model.zip', download_files=["metrics.json"])
    assert sshrun("train", "my_model", "one").status == 0
    for name in ("metrics.json", "my_model.zip"):
        (tmp_path / name).unlink()
    assert sshrun("train", "my_model", "fail").status == 255
    finished = sshrun("retrieve", "--all")
    assert finished.status == 0
    assert (tmp_path / "metrics.json").read_text() == (tmp_path / "my_model.zip").read_text() == "one\n"
    assert "is retrieved" in finished.stderr
    assert sshrun("--force", "--", "true").status == 0


def test_what_was_just_uploaded_is_no_result_unless_the_job_changes_it(
    sshrun: Sshrun, sandbox: Sandbox, tmp_path: Path
) -> None:
    (tmp_path / "a.csv").write_text("a")
    (tmp_path / "b.csv").write_text("b")
    write_spec(tmp_path, "echo more >>b.csv", upload_files=["*.csv"], download_files=["*.csv"])
    finished = sshrun("--json", "train", "my_model")
    assert finished.status == 0
    events = [json.loads(line) for line in finished.stdout.splitlines()]
    (retrieved,) = (event for event in events if event["event"] == "result")
    assert "b.csv" in str(retrieved) and "a.csv" not in str(retrieved)
    assert (tmp_path / "b.csv").read_text() == "bmore\n"


def test_who_resumes_with_a_pattern_of_ones_own_gets_no_old_file(
    sshrun: Sshrun, sandbox: Sandbox, tmp_path: Path
) -> None:
    (sandbox.home / "old.txt").write_text("old")
    write_spec(tmp_path, "sleep 1.2; echo new >new.txt")
    assert sshrun("--no-wait", "train", "my_model").status == 0
    write_spec(tmp_path, "sleep 1.2; echo new >new.txt", download_files=["*.txt"])
    assert sshrun("logs", "-f").status == 0
    # As if it had begun a minute after the old file was last changed, and the clocks of host and disk agreed.
    changed = int((sandbox.home / "new.txt").stat().st_ctime)
    (HostSide(sandbox).latest() / "started").write_text(f"{changed + 60}\n")
    finished = sshrun("--resume", "train", "my_model")
    assert finished.status == 0
    assert (tmp_path / "new.txt").exists() and not (tmp_path / "old.txt").exists()
    assert "as before the job: old.txt" in finished.stderr


def test_results_of_a_projects_patterns_come_to_the_project(sshrun: Sshrun, sandbox: Sandbox, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(
        '[tool.sshrun]\nupload_files = ["data", "!data/cache"]\ndownload_files = ["out/*", "out/a|../above"]\n'
    )
    project = tmp_path / "project"
    project.mkdir()
    (tmp_path / "pyproject.toml").rename(project / "pyproject.toml")
    for name in ("data/a", "data/cache/b"):
        path = project / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    write_spec(project / "src", "mkdir -p out; cp data/a out/a; ls data >out/list")
    finished = sshrun("train", "my_model", cwd=project / "src")
    assert finished.status == 0, finished.stderr
    assert (project / "out" / "list").read_text() == "a\n"
    assert (project / "out" / "a").read_text() == (tmp_path / "above").read_text() == "data/a"
    assert not (project / "src" / "out").exists()
