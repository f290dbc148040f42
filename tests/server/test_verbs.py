"""Looking at jobs from outside: status, logs, stop, retrieve, jobs; for people and as JSON."""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest

from sshrun.sandbox import Sandbox
from support.installed import Finished, Sshrun
from support.specs import HostSide, write_spec
from support.waiting import eventually

LOOP = "echo one; echo two; echo three; until [ -e go ]; do sleep 0.05; done; echo four"


@pytest.fixture
def host(sandbox: Sandbox) -> HostSide:
    return HostSide(sandbox)


def events(finished: Finished) -> list[dict[str, Any]]:
    return [json.loads(line) for line in finished.stdout.splitlines()]


def start(sshrun: Sshrun, host: HostSide, *words: str) -> str:
    """Starts a job, waits until its command runs, and returns its id."""
    assert sshrun("--no-wait", *words).status == 0
    job = host.ids()[-1]
    eventually(lambda: (host.jobs / job / "log").stat().st_size)
    return job


def test_status_tells_what_runs(sshrun: Sshrun, host: HostSide) -> None:
    job = start(sshrun, host, "--", "sh", "-c", LOOP)
    text = sshrun("status").stdout.decode()
    for line in (f"job      {job}", "state    running", "phase    running", "  | three"):
        assert line in text.splitlines()
    assert "cpu" in text and "memory" in text
    (event,) = (event for event in events(sshrun("--json", "status")) if event["event"] == "status")
    assert (event["job"]["id"], event["job"]["state"], event["log"]) == (job, "running", ["one", "two", "three"])
    assert set(event["usage"]) >= {"processes", "cpu", "memory"}


def test_what_commands_print_as_json_is_documented(sshrun: Sshrun, host: HostSide) -> None:
    page = (Path(__file__).parents[2] / "docs" / "json.md").read_text()
    examples = [json.loads(line) for line in page.splitlines() if line.startswith('{"version"')]
    documented = {(example["event"], *example) for example in examples}
    of_a_job = next(example for example in examples if example["event"] == "status")["job"]
    start(sshrun, host, "--", "sh", "-c", LOOP)
    for words in (["status"], ["jobs"], ["stop"], ["retrieve"]):
        for event in events(sshrun("--json", *words)):
            if event["event"] == "status":
                assert list(event["job"]) == list(of_a_job)
            assert (event["event"], *event) in documented


def test_status_without_a_job(sshrun: Sshrun) -> None:
    finished = sshrun("status")
    assert (finished.status, finished.stdout) == (0, b"sandbox: no job\n")
    assert [event["job"] for event in events(sshrun("--json", "status"))] == [None]


def test_logs_shows_the_end_the_whole_and_what_comes(sshrun: Sshrun, sandbox: Sandbox, host: HostSide) -> None:
    job = start(sshrun, host, "--", "sh", "-c", LOOP)
    assert sshrun("logs").stdout == b"one\ntwo\nthree\n"
    assert sshrun("logs", "-n", "2", job).stdout == b"two\nthree\n"
    following = sshrun.start("logs", "-f", "-n", "1")
    following.wait_until(lambda run: run.stdout == b"three\n")
    (sandbox.home / "go").touch()
    finished = following.wait()
    assert (finished.status, finished.stdout) == (0, b"three\nfour\n")
    assert "retrieved" not in [path.name for path in (host.jobs / job).iterdir()], "looking changes nothing"
    assert sshrun("logs", job[-8:]).stdout == b"one\ntwo\nthree\nfour\n"
    assert sshrun("logs", "nobody").status == 2


def test_logs_shows_the_copy_when_the_host_is_gone(sshrun: Sshrun, host: HostSide) -> None:
    assert sshrun("--", "sh", "-c", "echo one; echo two").status == 0
    job = host.ids()[-1]
    finished = sshrun("-p", "1", "logs", job)
    assert (finished.status, finished.stdout) == (0, b"one\ntwo\n")
    assert "this is the local copy" in finished.stderr
    assert sshrun("-p", "1", "logs", "-n", "1").stdout == b"two\n"


def test_the_last_lines_of_the_copy_are_those_of_the_host(sshrun: Sshrun) -> None:
    script = r"seq 1 70000; printf 'bar 1\rbar 2\r\nlong '; head -c 600000 /dev/zero | tr '\0' x; printf '\nend'"
    assert sshrun("--", "sh", "-c", script).status == 0
    for lines in ("0", "1", "2", "3", "4", "60000", "80000"):
        shown = sshrun("logs", "-n", lines).stdout
        assert len(shown.split(b"\n")) == max(1, min(int(lines), 70003))
        assert sshrun("-p", "1", "logs", "-n", lines).stdout == shown


def test_stop_ends_every_process_and_leaves_results_and_shutdown_to_retrieve(
    sshrun: Sshrun, sandbox: Sandbox, host: HostSide, tmp_path: Path
) -> None:
    write_spec(
        tmp_path,
        "echo half >my_model.zip; (setsid sh -c 'while :; do sleep 0.2; done' &) ; echo up; sleep 600",
        shutdown_cmds=["touch goodbye"],
    )
    job = start(sshrun, host, "train", "my_model")
    finished = sshrun("--json", "stop")
    assert finished.status == 0
    assert events(finished)[-1] == {"version": 1, "event": "stopped", "id": job, "state": "finished", "code": 143}
    assert not host.processes(job)
    assert not (sandbox.home / "goodbye").exists() and not (tmp_path / "my_model.zip").exists()
    assert sshrun("stop").status == 0, "a second one has nothing to do"
    assert sshrun("retrieve").status == 143
    assert (sandbox.home / "goodbye").exists() and (tmp_path / "my_model.zip").read_text() == "half\n"
    assert sshrun("stop").status == 2


def test_stop_ends_what_outlives_the_command_at_once(sshrun: Sshrun, host: HostSide) -> None:
    job = start(sshrun, host, "--", "sh", "-c", "setsid sleep 600 & echo up")
    eventually((host.jobs / job / "outlived").exists)
    assert host.processes(job)
    finished = sshrun("stop")
    assert finished.status == 0 and "is over (exit 0)" in finished.stderr
    assert not host.processes(job)
    assert sshrun("retrieve").status == 0


def test_stop_ends_what_a_lost_job_has_left(sshrun: Sshrun, host: HostSide) -> None:
    job = start(sshrun, host, "--", "sh", "-c", "echo up; exec sleep 600")
    os.kill(host.supervisor(job), signal.SIGKILL)
    eventually(lambda: b"state    lost" in sshrun("status").stdout)
    finished = sshrun("stop")
    assert finished.status == 0 and f"job {job} is over (lost)" in finished.stderr
    assert not host.processes(job)
    assert sshrun("retrieve").status == 76


def test_retrieve_brings_what_is_there_of_a_running_job_and_changes_nothing_else(
    sshrun: Sshrun, sandbox: Sandbox, host: HostSide, tmp_path: Path
) -> None:
    write_spec(tmp_path, f"echo half >my_model.zip; {LOOP}; echo whole >my_model.zip", shutdown_cmds=["touch goodbye"])
    job = start(sshrun, host, "train", "my_model")
    finished = sshrun("retrieve")
    assert (finished.status, finished.stdout) == (0, b"")
    assert "is still running" in finished.stderr
    assert (tmp_path / "my_model.zip").read_text() == "half\n"
    assert host.processes(job) and not (sandbox.home / "goodbye").exists()
    (sandbox.home / "go").touch()
    eventually(lambda: list((host.jobs / job).glob("rc.[0-9]*")))
    finished = sshrun("retrieve")
    assert (finished.status, finished.stdout) == (0, b"")
    assert (tmp_path / "my_model.zip").read_text() == "whole\n"
    assert (sandbox.home / "goodbye").exists()


def test_jobs_lists_what_is_here_and_there(sshrun: Sshrun, host: HostSide, home: Path) -> None:
    assert sshrun("--", "sh", "-c", "exit 4").status == 4
    running = start(sshrun, host, "--", "sh", "-c", LOOP)
    first, second = events(sshrun("--json", "jobs"))
    assert (first["id"], first["state"], first["where"]) == (running, "running", "both")
    assert first["host"] == "sandbox"
    assert (second["code"], second["command"], bool(second["started"])) == (4, "sh -c exit 4", True)
    shutil.rmtree(home / ".sshrun" / "jobs")
    lines = sshrun("jobs").stdout.decode().splitlines()
    assert len(lines) == 2 and lines[0].startswith(running) and "exit 4" in lines[1]
    finished = sshrun("-p", "1", "jobs")
    assert (finished.status, finished.stdout) == (0, b"")


def test_a_job_that_may_still_run_is_not_listed_as_finished(sshrun: Sshrun, host: HostSide) -> None:
    job = start(sshrun, host, "--", "sh", "-c", LOOP)
    listed = events(sshrun("-p", "1", "--json", "jobs"))[-1]
    assert (listed["id"], listed["state"], listed["code"], listed["where"]) == (job, "unknown", None, "local")
    assert b"not retrieved" in sshrun("-p", "1", "jobs").stdout


def test_a_job_that_was_discarded_is_not_there(sshrun: Sshrun, host: HostSide) -> None:
    """Whose client was gone before it could take the turn."""
    start(sshrun, host, "--", "sh", "-c", LOOP)
    assert sshrun("stop").status == 0
    (host.latest() / "discarded").touch()
    assert sshrun("status").stdout == b"sandbox: no job\n"
    assert sshrun("--resume").status == 2


def test_old_jobs_are_pruned_but_never_one_that_is_not_retrieved(sshrun: Sshrun, host: HostSide, home: Path) -> None:
    assert sshrun("--", "true").status == 0
    template = host.latest()
    here = home / ".sshrun" / "jobs"
    for number in range(30):
        pipes = shutil.ignore_patterns("alive", "working")
        shutil.copytree(template, host.jobs / f"20200101-0000{number:02}-aaaaaaaa", ignore=pipes)
        shutil.copytree(here / template.name, here / f"20200101-0000{number:02}-aaaaaaaa")
    (here / "20200101-000000-aaaaaaaa" / "retrieved").unlink()
    start(sshrun, host, "--", "sh", "-c", LOOP)
    assert len(host.ids()) <= 21
    assert "20200101-000000-aaaaaaaa" not in host.ids() and template.name in host.ids()
    kept = sorted(os.listdir(here))
    assert len(kept) <= 22 and kept[0] == "20200101-000000-aaaaaaaa"


def test_what_a_job_prints_does_not_drive_the_terminal_through_status(sshrun: Sshrun, host: HostSide) -> None:
    start(sshrun, host, "--", "sh", "-c", "printf 'a\\033]0;title\\007b\\n'; exec sleep 60")
    shown = sshrun("status").stdout
    assert b"\x1b" not in shown and b"\a" not in shown
    assert b"title" in shown
    assert sshrun("stop").status == 0


def test_copies_are_shown_where_no_host_is_named(sshrun: Sshrun, plain_sshrun: Sshrun, home: Path) -> None:
    assert sshrun("--", "echo", "hello").status == 0
    (home / ".sshrun" / "user_settings.yaml").unlink()
    listed = plain_sshrun("jobs")
    assert (listed.status, listed.stdout.count(b"exit 0  local")) == (0, 1)
    assert "no host is named" in listed.stderr
    job = listed.stdout.split()[0].decode()
    assert plain_sshrun("logs", job).stdout == b"hello\n"
    assert plain_sshrun("logs").status == 2


def test_the_copy_that_is_shown_is_of_a_job_on_that_host(sshrun: Sshrun, plain_sshrun: Sshrun) -> None:
    assert sshrun("--", "echo", "hello").status == 0
    finished = plain_sshrun("-h", "127.0.0.1:1", "logs")
    assert (finished.status, finished.stdout) == (255, b"")


@pytest.mark.parametrize("words", [("-n", "-f"), ("-n", "²"), ("-n", "9" * 5000)])
def test_a_number_of_lines_is_a_number(plain_sshrun: Sshrun, words: tuple[str, ...]) -> None:
    finished = plain_sshrun("logs", *words)
    assert (finished.status, finished.stderr.count("\n")) == (2, 1)
    assert "a number of lines is needed" in finished.stderr


def test_a_log_that_is_one_long_line_does_not_drown_its_status(sshrun: Sshrun, host: HostSide) -> None:
    """A progress bar draws with carriage returns only."""
    start(sshrun, host, "--", "sh", "-c", "head -c 3000000 /dev/zero | tr '\\0' '\\r'; exec sleep 60")
    eventually(lambda: (host.latest() / "log").stat().st_size == 3_000_000)
    assert 0 < len(sshrun("status").stdout) < 200_000
    assert sshrun("stop").status == 0
