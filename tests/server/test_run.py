"""A whole run: everything goes there, the log comes here, results come home, and only then it is goodbye."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from sshrun.sandbox import Sandbox
from support.installed import SSHRUN, Sshrun
from support.specs import HostSide, commands, write_spec
from support.waiting import eventually


def test_a_run_brings_files_there_and_results_home_with_one_login(
    sshrun: Sshrun, sandbox: Sandbox, tmp_path: Path
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "in put.txt").write_text("given")
    write_spec(
        tmp_path,
        'cat "data/in put.txt"; echo " $WORD $1"; mkdir out; echo 1 >out/a; echo 2 >out/b; echo whole >my_model.zip',
        environment=["WORD=said"],
        startup_cmds=["WORD=$WORD-twice; export WORD"],
        upload_files=["data/*.txt"],
        download_files=["out/*"],
    )
    finished = sshrun("train", "my_model", "argument")
    assert (finished.status, finished.stdout) == (0, b"given said-twice argument\n")
    assert (tmp_path / "my_model.zip").read_text() == "whole\n"
    assert (tmp_path / "out" / "a").read_text() + (tmp_path / "out" / "b").read_text() == "1\n2\n"
    assert sandbox.logins() == 1


@pytest.mark.parametrize("size", [10, 100_000], ids=["small", "larger"])
def test_a_folder_in_the_way_of_an_upload_is_one_clear_line(
    sshrun: Sshrun, sandbox: Sandbox, tmp_path: Path, size: int
) -> None:
    (tmp_path / "data").write_bytes(bytes(size))
    write_spec(tmp_path, "true", upload_files=["data"])
    (sandbox.home / "data").mkdir()
    finished = sshrun("train", "my_model")
    assert finished.status == 255
    (line,) = finished.stderr.splitlines()
    assert line.startswith("sshrun: sandbox cannot store the files: mv: ")
    assert line.endswith("(see who owns what is in the way)")


def test_a_large_upload_and_download_need_no_second_login(sshrun: Sshrun, sandbox: Sandbox, tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(os.urandom(3 << 20))
    write_spec(tmp_path, "cp large my_model.zip", upload_files=["large"])
    assert sshrun("train", "my_model").status == 0
    assert (tmp_path / "my_model.zip").read_bytes() == (tmp_path / "large").read_bytes()
    assert sandbox.logins() == 1


def test_the_working_directory_is_made_where_host_names_one(sshrun: Sshrun, sandbox: Sandbox, tmp_path: Path) -> None:
    write_spec(tmp_path, "pwd")
    finished = Sshrun(tmp_path, tmp_path)("--host", f"{sandbox.host}/a b/c", "train", "my_model")
    assert finished.stdout == f"{sandbox.home}/a b/c\n".encode(), finished.stderr


def test_a_working_directory_that_cannot_be_made_leaves_no_job(
    sshrun: Sshrun, sandbox: Sandbox, tmp_path: Path
) -> None:
    finished = Sshrun(tmp_path, tmp_path)("--host", f"{sandbox.host}//dev/null/work", "--", "true")
    assert (finished.status, finished.stderr.count("\n")) == (255, 1)
    assert "/dev/null/work" in finished.stderr and "cannot be made" in finished.stderr
    assert sshrun("status").stdout == b"sandbox: no job\n"
    assert sshrun("jobs").stdout == b""
    assert sshrun("--", "true").status == 0


@pytest.mark.long
@pytest.mark.alone
def test_each_line_is_here_within_200_milliseconds(sshrun: Sshrun) -> None:
    script = "for i in $(seq 60); do date +%s%N; sleep 0.03; done"
    running = sshrun.start("--", "sh", "-c", script)
    seen: list[float] = []
    while running.process.poll() is None:
        now = time.time()
        seen += [now] * (running.stdout.count(b"\n") - len(seen))
        time.sleep(0.002)
    lags = [arrived - int(line) / 1e9 for arrived, line in zip(seen, running.stdout.split(), strict=False)]
    assert len(lags) > 50
    # One straggler is the machine's, not ours.
    assert sorted(lags)[-2] < 0.2, lags


@pytest.mark.parametrize("code", [0, 7, 255])
def test_the_exit_code_is_the_jobs_own(sshrun: Sshrun, code: int) -> None:
    assert sshrun("--", "sh", "-c", f"exit {code}").status == code


def test_255_of_the_job_is_not_255_of_ssh(sshrun: Sshrun) -> None:
    finished = sshrun("--json", "--", "sh", "-c", "exit 255")
    events = [json.loads(line) for line in finished.stdout.splitlines()]
    assert finished.status == 255
    assert any(event["event"] == "job" and event["code"] == 255 for event in events)
    assert not any(event["event"] == "error" for event in events)
    finished = sshrun("--json", "-p", "1", "--", "true")
    assert finished.status == 255
    assert [json.loads(line)["cause"] for line in finished.stdout.splitlines()] == ["Unreachable"]


@pytest.mark.parametrize(("signal", "code"), [("KILL", 137), ("TERM", 143)])
def test_a_signal_is_named_with_its_number(sshrun: Sshrun, signal: str, code: int) -> None:
    finished = sshrun("--", "sh", "-c", f"kill -{signal} $$")
    assert finished.status == code
    assert f"exit {code} (SIG{signal}, or the program's own code)" in finished.stderr


@pytest.mark.long
def test_every_exit_code_and_signal_comes_back(sshrun: Sshrun) -> None:
    for code in range(256):
        assert sshrun("--", "sh", "-c", f"exit {code}").status == code
    for signal in range(2, 16):
        finished = sshrun("--", "sh", "-c", f"kill -{signal} $$")
        assert finished.status == 128 + signal
        assert f"exit {128 + signal} (SIG" in finished.stderr


def test_shutdown_commands_run_when_all_results_are_here_and_each_once(
    sshrun: Sshrun, sandbox: Sandbox, tmp_path: Path
) -> None:
    write_spec(
        tmp_path,
        "echo result >my_model.zip; exit 3",
        # The host is this machine: the command itself can look whether they are.
        shutdown_cmds=[
            f"cat {tmp_path}/my_model.zip >>proof; echo $SSHRUN_EXIT_CODE $WORD >>proof",
            "exit 9",
            "echo >>third",
        ],
        environment=["WORD=kept"],
    )
    finished = sshrun("train", "my_model")
    assert finished.status == 3
    assert "shutdown command 2 ended with exit 9" in finished.stderr
    assert (sandbox.home / "proof").read_text() == "result\n3 kept\n"
    assert (sandbox.home / "third").read_text() == "\n"
    assert sshrun("--resume").status == 3
    assert sshrun("retrieve").status == 3
    assert (sandbox.home / "third").read_text() == "\n"


def test_a_failing_startup_command_is_the_jobs_end_and_shutdown_commands_run(
    sshrun: Sshrun, sandbox: Sandbox, tmp_path: Path
) -> None:
    write_spec(
        tmp_path,
        "touch began",
        startup_cmds=["echo first", "(exit 41)", "touch third"],
        shutdown_cmds=["touch goodbye"],
    )
    finished = sshrun("train", "my_model")
    assert (finished.status, finished.stdout) == (41, b"first\n")
    assert "startup command 2 (`(exit 41)`) failed with exit code 41" in finished.stderr
    assert not (sandbox.home / "began").exists() and not (sandbox.home / "third").exists()
    assert (sandbox.home / "goodbye").exists()


def test_a_profile_that_lets_no_job_begin_is_named(sshrun: Sshrun, sandbox: Sandbox, tmp_path: Path) -> None:
    (sandbox.home / ".bash_profile").write_text("exec /bin/sh\n")
    write_spec(tmp_path, "touch began")
    finished = sshrun("train", "my_model")
    assert finished.status == 1
    assert "(exit 1), in a start file of the login shell: try sshrun doctor" in finished.stderr


def test_a_download_that_is_missing_holds_the_shutdown_commands_back_once(
    sshrun: Sshrun, sandbox: Sandbox, tmp_path: Path
) -> None:
    write_spec(
        tmp_path,
        "echo kept >my_model.zip",
        download_files=["results.txt", "plots/*.png"],
        shutdown_cmds=["touch goodbye"],
    )
    finished = sshrun("train", "my_model")
    assert finished.status == 255
    assert "results.txt is not there, though the job ended with exit 0; shutdown commands wait" in finished.stderr
    assert (tmp_path / "my_model.zip").exists()
    assert not (sandbox.home / "goodbye").exists()
    assert "finished, not retrieved" in sshrun("train", "my_model").stderr
    assert sshrun("--resume").status == 0
    assert (sandbox.home / "goodbye").exists()


def test_a_failed_job_may_leave_its_downloads_out(sshrun: Sshrun, sandbox: Sandbox, tmp_path: Path) -> None:
    write_spec(tmp_path, "exit 5", download_files=["results.txt"], shutdown_cmds=["touch goodbye"])
    assert sshrun("train", "my_model").status == 5
    assert (sandbox.home / "goodbye").exists()


def test_a_retrieval_that_fails_leaves_the_job_to_be_resumed(sshrun: Sshrun, sandbox: Sandbox, tmp_path: Path) -> None:
    write_spec(tmp_path, "echo result >my_model.zip; exit 4", shutdown_cmds=["touch goodbye"])
    (tmp_path / "my_model.zip").mkdir()
    (tmp_path / "my_model.zip" / "in the way").touch()
    finished = sshrun("train", "my_model")
    assert finished.status == 255
    assert "the job ended with exit 4" in finished.stderr and "sshrun --resume" in finished.stderr
    assert not (sandbox.home / "goodbye").exists()
    (tmp_path / "my_model.zip" / "in the way").unlink()
    (tmp_path / "my_model.zip").rmdir()
    assert sshrun("--resume", "train", "my_model").status == 4
    assert (tmp_path / "my_model.zip").read_text() == "result\n"
    assert (sandbox.home / "goodbye").exists()


def test_a_shutdown_command_that_ends_the_connection_is_a_success(
    sshrun: Sshrun, sandbox: Sandbox, tmp_path: Path
) -> None:
    (listener,) = (pid for pid, words in commands().items() if f"{sandbox.directory}/sshd_config" in words)
    write_spec(tmp_path, "exit 6", shutdown_cmds=[f"kill -9 $(pgrep -P {listener}); touch goodbye"])
    finished = sshrun("train", "my_model")
    assert finished.status == 6
    assert "lost" not in finished.stderr
    assert eventually((sandbox.home / "goodbye").exists)
    assert sandbox.logins() == 1


def test_an_archive_of_an_earlier_run_replaces_nothing_here(sshrun: Sshrun, sandbox: Sandbox, tmp_path: Path) -> None:
    write_spec(tmp_path, '[ "$1" = skip ] || echo new >my_model.zip')
    assert sshrun("train", "my_model").status == 0
    (tmp_path / "my_model.zip").write_text("mine")
    finished = sshrun("train", "my_model", "skip")
    assert finished.status == 0
    assert (tmp_path / "my_model.zip").read_text() == "mine"
    assert "my_model.zip on sandbox is from an earlier run, not downloaded" in finished.stderr
    assert sshrun("train", "my_model").status == 0
    assert (tmp_path / "my_model.zip").read_text() == "new\n"


def test_clean_removes_the_old_archive_on_both_sides_once_the_job_is_there(
    sshrun: Sshrun, sandbox: Sandbox, tmp_path: Path
) -> None:
    write_spec(tmp_path, 'ls my_model.zip; [ "$1" = skip ] || echo new >my_model.zip')
    assert sshrun("train", "my_model").status == 0
    assert sshrun("--no-wait", "--", "sleep", "60").status == 0
    assert sshrun("--clean", "train", "my_model", "skip").status == 75
    assert (tmp_path / "my_model.zip").exists()
    finished = sshrun("--clean", "--force", "train", "my_model", "skip")
    assert (finished.status, b"No such file" in finished.stdout) == (0, True)
    assert not (tmp_path / "my_model.zip").exists()
    assert not (sandbox.home / "my_model.zip").exists()


def test_no_wait_returns_while_the_job_runs(sshrun: Sshrun, sandbox: Sandbox, tmp_path: Path) -> None:
    write_spec(tmp_path, "until [ -e go ]; do sleep 0.05; done; echo done", shutdown_cmds=["touch goodbye"])
    finished = sshrun("--no-wait", "train", "my_model")
    assert (finished.status, finished.stdout) == (0, b"")
    host = HostSide(sandbox)
    assert host.ids()[-1] in finished.stderr
    assert eventually(lambda: host.processes(host.ids()[-1]))
    (sandbox.home / "go").touch()
    finished = sshrun("--resume")
    assert (finished.status, finished.stdout) == (0, b"done\n")
    assert (sandbox.home / "goodbye").exists()


def test_a_program_takes_none_of_the_lists(sshrun: Sshrun, sandbox: Sandbox, home: Path, tmp_path: Path) -> None:
    user_file = home / ".sshrun" / "user_settings.yaml"
    lists = "  upload_files: [there.txt]\n  startup_cmds: [touch started]\n  shutdown_cmds: [touch goodbye]\n"
    user_file.write_text(user_file.read_text() + "  environment: [WORD=kept]\n" + lists)
    (tmp_path / "there.txt").touch()
    finished = sshrun("--", "sh", "-c", "echo $WORD; ls", "sh")
    assert (finished.status, finished.stdout) == (0, b"kept\n")
    assert not (sandbox.home / "goodbye").exists()


def test_a_log_arrives_byte_for_byte_and_is_kept_here(sshrun: Sshrun, sandbox: Sandbox, home: Path) -> None:
    script = r"printf 'a\000b\033]52;c;QQ==\007\r\377'; head -c 300000 /dev/urandom; printf 'no newline'"
    finished = sshrun("--", "sh", "-c", script)
    log = HostSide(sandbox).latest() / "log"
    assert finished.stdout == log.read_bytes() and len(finished.stdout) > 300_000
    assert (home / ".sshrun" / "jobs" / log.parent.name / "log").read_bytes() == finished.stdout


def test_a_job_prints_nothing_of_ours_and_its_input_is_empty(sshrun: Sshrun) -> None:
    finished = sshrun("--", "sh", "-c", "cat; echo out; echo err >&2")
    assert finished.stdout == b"out\nerr\n"
    assert all(line.startswith("sshrun: ") for line in finished.stderr.splitlines())


def test_nothing_of_a_client_is_left_when_a_run_is_over(sshrun: Sshrun, sandbox: Sandbox, home: Path) -> None:
    assert sshrun("--", "true").status == 0
    control = home / ".sshrun" / "control"
    assert eventually(lambda: not os.listdir(control))
    assert eventually(HostSide(sandbox).idle)


def test_what_killed_clients_left_is_swept(sshrun: Sshrun, home: Path) -> None:
    running = sshrun.start("--", "sh", "-c", "echo up; sleep 60")
    running.wait_until(lambda run: b"up" in run.stdout)
    running.process.kill()
    control = home / ".sshrun" / "control"
    left = [control / name for name in os.listdir(control) if name.endswith(".config")]
    assert left
    sshrun("status")
    assert all(path.exists() for path in left), "a fresh one may belong to somebody who is about to lock it"
    for path in left:
        os.utime(path, (time.time() - 3600, time.time() - 3600))
    sshrun("status")
    assert not any(path.exists() for path in left)


def test_a_file_of_a_client_that_lives_is_not_swept(sshrun: Sshrun, home: Path) -> None:
    running = sshrun.start("--", "sh", "-c", "echo up; sleep 60")
    running.wait_until(lambda run: b"up" in run.stdout)
    control = home / ".sshrun" / "control"
    for name in os.listdir(control):
        os.utime(control / name, (time.time() - 3600, time.time() - 3600))
    before = set(os.listdir(control))
    sshrun("status")
    assert before <= set(os.listdir(control))


def test_a_home_whose_name_ssh_would_expand(
    sshrun: Sshrun, home: Path, monkeypatch: pytest.MonkeyPatch, sandbox: Sandbox
) -> None:
    """`%h` in the path of a control socket is the name of the host: ssh_config(5)."""
    odd = home / "100%h"
    shutil.copytree(home / ".sshrun", odd / ".sshrun")
    monkeypatch.setenv("HOME", str(odd))
    assert sshrun("--", "echo", "done").stdout == b"done\n"
    assert sandbox.logins() == 1
    assert (odd / ".sshrun" / "jobs").is_dir() and not (odd / ".sshrun" / "control").exists()


def test_a_folder_whose_file_system_knows_no_locks(sshrun: Sshrun, tmp_path: Path) -> None:
    """As flock(2) fails on Lustre without its option, and on NFS without a lock daemon."""
    write_spec(tmp_path, "echo whole >my_model.zip; mkdir out; echo 1 >out/a", download_files=["out"])
    lockless = ("strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=flock", "-e", "inject=flock:error=ENOLCK")
    argv = [*lockless, SSHRUN, *sshrun.options, "train", "my_model"]
    ended = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, cwd=tmp_path, check=False)
    assert ended.returncode == 0, ended.stderr
    assert (tmp_path / "my_model.zip").read_text() + (tmp_path / "out" / "a").read_text() == "whole\n1\n"
