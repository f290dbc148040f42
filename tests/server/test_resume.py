"""Coming back to a job: from another folder, another client, after a client or the job itself was killed."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from sshrun.sandbox import Sandbox
from support.installed import Running, Sshrun
from support.specs import HostSide, commands, write_spec
from support.waiting import eventually

STEPS = 'for i in 1 2 3; do echo "line $i"; until [ -e "go$i" ]; do sleep 0.05; done; done; echo result >my_model.zip'


def printed(text: bytes, running: Running) -> None:
    running.wait_until(lambda run: text in run.stdout)


@pytest.fixture
def host(sandbox: Sandbox) -> HostSide:
    return HostSide(sandbox)


def go(sandbox: Sandbox, *numbers: int) -> None:
    for number in numbers:
        (sandbox.home / f"go{number}").touch()


def test_a_killed_client_is_resumed_from_another_folder(sshrun: Sshrun, sandbox: Sandbox, tmp_path: Path) -> None:
    spec = write_spec(tmp_path, STEPS + "; exit 3", shutdown_cmds=["echo >>goodbye"])
    running = sshrun.start("train", "my_model")
    printed(b"line 1\n", running)
    running.process.kill()
    go(sandbox, 1, 2, 3)
    (tmp_path / "elsewhere").mkdir()
    finished = sshrun("--resume", "train", spec, cwd=tmp_path / "elsewhere")
    assert (finished.status, finished.stdout) == (3, b"line 2\nline 3\n")
    assert (tmp_path / "my_model.zip").read_text() == "result\n"
    assert not list((tmp_path / "elsewhere").iterdir())
    assert (sandbox.home / "goodbye").read_text() == "\n"


def test_another_client_gets_the_whole_log(
    sshrun: Sshrun, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    write_spec(tmp_path, STEPS)
    assert sshrun("--no-wait", "train", "my_model").status == 0
    go(sandbox, 1, 2, 3)
    other = tmp_path / "other home"
    (other / ".sshrun").mkdir(parents=True)
    (other / ".sshrun" / "user_settings.yaml").write_text((home / ".sshrun" / "user_settings.yaml").read_text())
    monkeypatch.setenv("HOME", str(other))
    folder = tmp_path / "other folder"
    folder.mkdir()
    finished = sshrun("--resume", cwd=folder)
    assert (finished.status, finished.stdout) == (0, b"line 1\nline 2\nline 3\n")
    assert (folder / "my_model.zip").exists() and not (tmp_path / "my_model.zip").exists()


@pytest.fixture
def elsewhere(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """From now on another client, in a folder of its own; the folder beside it is its home."""
    other = tmp_path / "other home"
    (other / ".sshrun").mkdir(parents=True)
    (other / ".sshrun" / "user_settings.yaml").write_text((home / ".sshrun" / "user_settings.yaml").read_text())
    (tmp_path / "other folder").mkdir()
    return tmp_path / "other folder"


@pytest.mark.parametrize("verb", ["--resume", "retrieve"])
def test_what_only_the_host_tells_names_no_place_outside_of_the_folder(
    sshrun: Sshrun, sandbox: Sandbox, tmp_path: Path, elsewhere: Path, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    downloads = ["made|~/precious", "made|../precious", "made|kept/as/it/is", "*.py"]
    write_spec(tmp_path, f"echo made >made; echo bad >my_model.py; {STEPS}", download_files=downloads)
    assert sshrun("--no-wait", "train", "my_model").status == 0
    go(sandbox, 1, 2, 3)
    monkeypatch.setenv("HOME", str(tmp_path / "other home"))
    precious = [tmp_path / "other home" / "precious", tmp_path / "precious", elsewhere / "my_model.py"]
    for path in precious:
        path.write_text("precious\n")
    eventually(lambda: b"exit 0" in sshrun("status").stdout)
    finished = sshrun(verb, cwd=elsewhere)
    assert finished.status == 0, finished.stderr
    assert [path.read_text() for path in precious] == ["precious\n"] * 3
    assert (elsewhere / "made").read_text() == (elsewhere / "kept/as/it/is").read_text() == "made\n"
    assert finished.stderr.count("another client named that path") == 2


def test_who_started_a_job_gets_what_she_named(sshrun: Sshrun, sandbox: Sandbox, tmp_path: Path, home: Path) -> None:
    write_spec(tmp_path, f"echo made >made; {STEPS}", download_files=["made|~/made"])
    assert sshrun("--no-wait", "train", "my_model").status == 0
    go(sandbox, 1, 2, 3)
    assert sshrun("--resume", cwd=tmp_path).status == 0
    assert (home / "made").read_text() == "made\n"


def test_what_was_uploaded_need_not_be_here_any_more(sshrun: Sshrun, sandbox: Sandbox, tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text("1\n")
    write_spec(tmp_path, STEPS, upload_files=["data.csv"])
    assert sshrun("--no-wait", "train", "my_model").status == 0
    go(sandbox, 1, 2, 3)
    (tmp_path / "data.csv").unlink()
    assert sshrun("--resume", "train", "my_model").status == 0


def test_two_clients_may_follow_one_job_and_the_copy_stays_exact(
    sshrun: Sshrun, sandbox: Sandbox, host: HostSide, home: Path
) -> None:
    first = sshrun.start("--", "sh", "-c", STEPS)
    printed(b"line 1\n", first)
    second = sshrun.start("--resume")
    tail = f"/{host.ids()[-1]}/log"
    eventually(lambda: sum(words.startswith("tail ") and tail in words for words in commands().values()) == 2)
    go(sandbox, 1)
    printed(b"line 2\n", first)
    printed(b"line 2\n", second)
    go(sandbox, 2, 3)
    assert first.wait().status == second.wait().status == 0
    assert (home / ".sshrun" / "jobs" / host.ids()[-1] / "log").read_bytes() == b"line 1\nline 2\nline 3\n"


def test_no_wait_tells_of_a_running_job_and_retrieves_a_finished_one(
    sshrun: Sshrun, sandbox: Sandbox, host: HostSide, tmp_path: Path
) -> None:
    write_spec(tmp_path, STEPS)
    sshrun("--no-wait", "train", "my_model")
    finished = sshrun("--resume", "--no-wait")
    assert (finished.status, finished.stdout) == (75, b"")
    assert len(finished.stderr.splitlines()) == 1 and host.ids()[-1] in finished.stderr
    go(sandbox, 1, 2, 3)
    eventually(lambda: list(host.latest().glob("rc.[0-9]*")))
    finished = sshrun("--resume", "--no-wait", "train", "my_model")
    assert (finished.status, finished.stdout) == (0, b"line 1\nline 2\nline 3\n")
    assert (tmp_path / "my_model.zip").exists()


def test_age_is_told_by_the_clock_of_a_host_that_may_be_ahead(sshrun: Sshrun, host: HostSide) -> None:
    assert sshrun("--no-wait", "--", "sleep", "600").status == 0
    for ahead, age in ((600, "0 s"), (-2 * 86400 - 60, "2 d 0 h")):
        (host.latest() / "started").write_text(f"{time.time() + ahead:.0f}\n")
        assert f" for {age} (" in sshrun("--resume", "--no-wait").stderr


def test_another_command_is_refused_and_the_job_named(sshrun: Sshrun, sandbox: Sandbox, tmp_path: Path) -> None:
    write_spec(tmp_path, STEPS)
    sshrun("--no-wait", "train", "my_model", "--epochs", "3")
    finished = sshrun("--resume", "evaluate", "my_model")
    assert finished.status == 75
    assert "train my_model" in finished.stderr
    go(sandbox, 1, 2, 3)
    assert sshrun("--resume", "train", "my_model", "--epochs", "4").status == 0, "ARGS are not compared"


def test_what_is_retrieved_already_is_said_with_the_jobs_code(sshrun: Sshrun) -> None:
    assert sshrun("--", "sh", "-c", "exit 9").status == 9
    for words in (("--resume",), ("--resume", "--no-wait"), ("retrieve",), ("--resume", "--", "sh")):
        finished = sshrun(*words)
        assert finished.status == 9
        assert "is retrieved already; it ended with exit 9" in finished.stderr


@pytest.mark.parametrize("words", [("--resume",), ("retrieve",), ("stop",), ("--resume", "--", "true")])
def test_where_nothing_is_there_is_nothing_to_do(sshrun: Sshrun, words: tuple[str, ...]) -> None:
    finished = sshrun(*words)
    assert (finished.status, finished.stdout) == (2, b"")
    assert "no job is there" in finished.stderr and len(finished.stderr.splitlines()) == 1


def test_resume_cleans_and_uploads_nothing(sshrun: Sshrun, sandbox: Sandbox, tmp_path: Path) -> None:
    write_spec(tmp_path, STEPS)
    (tmp_path / "my_model.zip").write_text("mine")
    sshrun("--no-wait", "train", "my_model")
    (tmp_path / "my_model.sh").write_text("changed")
    go(sandbox, 1, 2)
    running = sshrun.start("--resume", "--clean", "train", "my_model")
    printed(b"line 3\n", running)
    assert (tmp_path / "my_model.zip").read_text() == "mine"
    assert (sandbox.home / "my_model.sh").read_text() == STEPS
    go(sandbox, 3)
    assert running.wait().status == 0


def test_a_lost_job_is_76_its_results_come_and_what_is_left_of_it_ends(
    sshrun: Sshrun, sandbox: Sandbox, host: HostSide, tmp_path: Path
) -> None:
    write_spec(
        tmp_path, "echo half >my_model.zip; echo up; sleep 600", shutdown_cmds=["echo $SSHRUN_EXIT_CODE >goodbye"]
    )
    running = sshrun.start("train", "my_model")
    printed(b"up\n", running)
    (job,) = host.ids()
    os.kill(host.supervisor(job), signal.SIGKILL)
    finished = running.wait()
    assert finished.status == 76
    assert job in finished.stderr and "was lost" in finished.stderr
    assert not host.processes(job)
    assert (tmp_path / "my_model.zip").read_text() == "half\n"
    assert eventually((sandbox.home / "goodbye").exists)
    for words in (("--resume",), ("retrieve",)):
        assert sshrun(*words).status == 76


def test_a_job_whose_every_process_was_killed_is_lost_and_not_running(
    sshrun: Sshrun, sandbox: Sandbox, host: HostSide, tmp_path: Path
) -> None:
    write_spec(tmp_path, "sleep 600", shutdown_cmds=["touch goodbye"])
    sshrun("--no-wait", "train", "my_model")
    (job,) = host.ids()
    eventually(lambda: host.processes(job))
    host.kill_everything(job)
    assert "state    lost, not retrieved" in sshrun("status").stdout.decode()
    assert "lost" in sshrun("--", "true").stderr
    assert sshrun("--resume").status == 76
    assert eventually((sandbox.home / "goodbye").exists)
    assert sshrun("--", "true").status == 0


def test_a_job_that_is_only_being_uploaded_is_nothing_to_resume(
    sshrun: Sshrun, host: HostSide, tmp_path: Path, sandbox: Sandbox
) -> None:
    write_spec(tmp_path, "true", upload_files=["large"])
    (tmp_path / "large").write_bytes(os.urandom(2 << 20))
    running = sshrun.start("train", "my_model")
    eventually(host.ids)
    running.process.send_signal(signal.SIGSTOP)
    try:
        if not host.began():
            assert sshrun("--resume").status == 2
            assert sshrun("--", "true").status == 75
    finally:
        running.process.send_signal(signal.SIGCONT)
    assert running.wait().status == 0


def test_a_log_that_is_shorter_there_than_here_is_refused(sshrun: Sshrun, host: HostSide, home: Path) -> None:
    running = sshrun.start("--", "sh", "-c", "echo a line; sleep 600")
    printed(b"a line\n", running)
    running.process.kill()
    os.truncate(host.latest() / "log", 2)
    finished = sshrun("--resume")
    assert finished.status == 255
    assert "fewer than the copy on this machine" in finished.stderr
    assert (home / ".sshrun" / "jobs" / host.ids()[-1] / "log").read_bytes() == b"a line\n"
    assert sshrun("stop").status == 0


def test_a_machine_that_shares_its_home_with_the_jobs_host_names_that_one(
    sshrun: Sshrun, sandbox: Sandbox, host: HostSide
) -> None:
    sshrun("--no-wait", "--", "sleep", "600")
    here = host.jobs.parent
    here.rename(here.with_name("elsewhere"))
    finished = sshrun("--resume")
    assert finished.status == 2
    assert "elsewhere" in finished.stderr
    assert sshrun("--", "true").status == 0, "each machine has a job of its own"


def test_a_job_whose_results_are_here_holds_nobody_up_though_the_host_has_not_heard_of_it(
    sshrun: Sshrun, host: HostSide, tmp_path: Path, home: Path, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client does not wait for the answer to its last word, which may be lost."""
    write_spec(tmp_path, "echo said; echo result >my_model.zip; exit 4")

    def lose_the_last_word() -> Path:
        told = host.latest() / "retrieved"
        eventually(told.exists)
        told.unlink()
        return told

    assert sshrun("train", "my_model").status == 4
    told = lose_the_last_word()
    assert b"not retrieved" not in sshrun("status").stdout
    finished = sshrun("--resume", "train", "my_model")
    assert (finished.status, finished.stdout) == (4, b"")
    assert "retrieved already" in finished.stderr and told.exists()
    lose_the_last_word()
    with monkeypatch.context() as other_client:
        other_client.setenv("HOME", str(elsewhere.with_name("other home")))
        assert sshrun("train", "my_model").status == 75
    finished = sshrun("train", "my_model")
    assert (finished.status, finished.stdout) == (4, b"said\n"), finished.stderr
    assert told.exists() and len(host.began()) == 2
