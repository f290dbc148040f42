"""What comes after a job: the shutdown commands, each at most once, and only when told that all is safe."""

from __future__ import annotations

import os

import pytest

from sshrun.session.protocol import Refusal
from sshrun.session.session import Session
from support.shell_host import HoldBack, RefusalOf, ShellHost
from support.waiting import eventually


def _log(host: ShellHost, job: str) -> str:
    log = host.job(job) / "shutdown" / "log"
    return log.read_text() if log.exists() else ""


def _release(session: Session, job: str, *commands: str) -> None:
    session.request("release", job, *commands)
    assert session.reply() == ("released", job)


def test_shutdown_commands_run_after_the_release_and_know_how_the_job_ended(host: ShellHost) -> None:
    session, job = host.begin(
        ["sh", "-c", "exit 12"], environment=["GREETING=hello  there"], startup=["export OTHER=1"]
    )
    host.follow(session, job)
    assert not (host.job(job) / "shutdown").exists()
    command = 'echo "$SSHRUN_EXIT_CODE $GREETING ${OTHER-no startup} $(pwd)"'
    _release(session, job, command)
    eventually(lambda: _log(host, job) == f"12 hello  there no startup {host.home}/work\n")


def test_shutdown_commands_of_a_lost_job_are_told_so(host: ShellHost) -> None:
    session, job = host.begin(["sleep", "60"])
    pid, rest = (host.job(job) / "id").read_text().split(" ", 1)
    (host.job(job) / "id").write_text(f"{pid} 1{rest}")
    assert host.look(session, job)[1] == "lost"
    _release(session, job, 'echo "$SSHRUN_EXIT_CODE"')
    eventually(lambda: _log(host, job) == "lost\n")


def test_a_shutdown_command_that_fails_does_not_hold_back_the_next(host: ShellHost) -> None:
    session, job = host.begin(["true"])
    host.follow(session, job)
    _release(session, job, "exit 3", "echo second", "if then (", "cat; echo last")
    eventually(lambda: _log(host, job).endswith("last\n"))
    assert "second\n" in _log(host, job)
    eventually(lambda: (host.job(job) / "shutdown" / "code.4").exists())
    session.request("codes", job)
    codes = dict(reply.split() for reply in session.replies("done") if reply.word == "code")
    assert (codes["1"], codes["2"], codes["4"]) == ("3", "0", "0")
    assert codes["3"] != "0"


def test_each_shutdown_command_starts_at_most_once(host: ShellHost) -> None:
    """Whoever releases, how often, and with which commands: those of the first release count."""
    session, job = host.begin(["true"])
    host.follow(session, job)
    sessions = [host.session() for _ in range(8)]
    for number, other in enumerate(sessions):
        other.request("release", job, "echo ran", f"echo {number} >>../which", "sleep 0.2; echo over")
        other.flush()
    for other in sessions:
        assert other.reply() == ("released", job)
    eventually(lambda: "over\n" in _log(host, job))
    _release(session, job, "echo again")
    host.begin(["true"])  # the host is free again
    assert _log(host, job) == "ran\nover\n"
    assert len((host.home / "which").read_text().splitlines()) == 1


def test_shutdown_commands_outlive_the_connection(host: ShellHost) -> None:
    session, job = host.begin(["true"])
    host.follow(session, job)
    gate = host.home / "gate"
    _release(session, job, "echo began", f"while [ ! -e {gate} ]; do sleep 0.05; done", "echo over")
    eventually(lambda: _log(host, job) == "began\n")
    session.child.kill()
    gate.touch()
    eventually(lambda: _log(host, job) == "began\nover\n")


def test_shutdown_commands_are_not_ended_by_a_stop(host: ShellHost) -> None:
    """They carry the job's id, but the job is over: the machine's meter waits for them."""
    session, job = host.begin(["true"])
    host.follow(session, job)
    gate = host.home / "gate"
    _release(session, job, f"echo began; while [ ! -e {gate} ]; do sleep 0.05; done; echo over")
    eventually(lambda: _log(host, job) == "began\n")
    session.request("stop", job)
    for _ in session.replies("stopped", timeout=40):
        pass
    gate.touch()
    eventually(lambda: _log(host, job) == "began\nover\n")


def test_shutdown_commands_run_though_nobody_hears_that_they_will(host: ShellHost) -> None:
    session, job = host.begin(["true"])
    host.follow(session, job)
    assert session.child.stdout is not None
    os.close(session.child.stdout)
    session.child.stdout = None
    session.request("release", job, "echo ran")
    session.flush()
    eventually(lambda: _log(host, job) == "ran\n")


def test_release_without_commands_runs_nothing(host: ShellHost) -> None:
    session, job = host.begin(["true"])
    host.follow(session, job)
    _release(session, job)
    assert not (host.job(job) / "shutdown").exists()
    assert host.look(session, job)[-2] == ",retrieved"


def test_session_that_did_not_start_the_job_can_enter_its_folder(host: ShellHost) -> None:
    session, job = host.begin(["true"], folder=str(host.home / "a b"))
    host.follow(session, job)
    other = host.session()
    other.request("enter", job)
    reply = other.reply()
    assert reply.word == "placed"
    assert reply.values.endswith(f"{host.home}/a b")


def test_none_of_our_functions_stand_before_a_shutdown_command(host: ShellHost) -> None:
    session, job = host.begin(["true"])
    host.follow(session, job)
    _release(session, job, "for name in reply mark has stop_job note; do type $name; done 2>&1; echo over")
    eventually(lambda: _log(host, job).endswith("over\n"))
    assert "a function" not in _log(host, job) and "shell function" not in _log(host, job)


def test_small_archive_comes_along_and_a_larger_one_does_not(host: ShellHost) -> None:
    session, job = host.begin(["sh", "-c", r"printf 'a\000b\377' >a.zip"], archive="a.zip")
    host.follow(session, job)
    session.request("archive", "a.zip", "4")
    reply = session.reply()
    assert (reply.word, reply.split()[0]) == ("archive", "here")
    assert b"".join(session.raw(timeout=20)) == b"a\0b\xff"
    assert session.reply().word == "sent"
    session.request("archive", "a.zip", "3")
    assert session.reply() == ("archive", "new")


def test_what_another_job_has_left_in_the_folder_is_not_taken_for_this_ones(
    host: ShellHost, refusal: RefusalOf
) -> None:
    """A laptop that slept comes back when another client has retrieved its job, and started one of its own."""
    follower, old = host.begin(["sh", "-c", "echo old >a.zip"], archive="a.zip")
    host.run(["sh", "-c", "echo new >a.zip"], session=_retrieved(host, old))
    follower.request("follow", old, "0", "a.zip", "100")
    assert follower.reply() == ("log", "0")
    host.rest(follower)
    assert follower.reply() == ("archive", "new"), "to be asked for"
    follower.request("enter", old)
    refused = refusal(follower)
    assert (refused.word, refused.values.split()[0]) == ("passed", old)


def test_shutdown_commands_do_not_run_when_a_force_comes_before_them(
    host: ShellHost, refusal: RefusalOf, hold: HoldBack
) -> None:
    session, old = host.begin(["true"])
    host.follow(session, old)
    follower = host.session()
    let_go = hold("ln", f"{old}/shutdown/commands")
    follower.request("release", old, f"touch {host.home}/wrong")
    follower.flush()
    eventually((host.home / "held").exists)
    (host.job(old) / "forced").touch()  # which is where a force waits for what the job has left
    let_go()
    assert refusal(follower).word == "discarded"
    assert not (host.job(old) / "retrieved").exists()
    assert not (host.job(old) / "shutdown" / "commands").exists()


def test_archive_of_a_job_that_was_discarded_does_not_come_along(host: ShellHost) -> None:
    follower, old = host.begin(["sh", "-c", "echo old >a.zip; exec sleep 60"], archive="a.zip")
    follower.request("follow", old, "0", "a.zip", "100")
    assert follower.reply() == ("log", "0")
    host.begin(["true"], verb="force")
    host.rest(follower)
    assert follower.reply() == ("archive", "new")


def test_shutdown_commands_do_not_end_the_machine_of_another_job(host: ShellHost) -> None:
    follower, old = host.begin(["true"])
    session, new = host.begin(["sleep", "60"], session=_retrieved(host, old))
    _release(follower, old, f"touch {host.home}/wrong")
    follower.request("follow", f"{old}/shutdown", "0")
    with pytest.raises(Refusal):
        follower.reply()
    assert host.look(session, new)[1] in ("preparing", "running")
    assert not (host.home / "wrong").exists()


def _retrieved(host: ShellHost, job: str) -> Session:
    """The session of another client, which has brought home what the job has left."""
    session = host.session()
    host.follow(session, job)
    _release(session, job)
    return session
