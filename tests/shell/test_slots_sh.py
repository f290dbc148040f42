"""Whose slot it is: one job at a time, whatever else claims the host at that moment."""

from __future__ import annotations

import os
import select
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from sshrun.session.protocol import Refusal
from sshrun.session.session import Session
from support.shell_host import HoldBack, RefusalOf, ShellHost
from support.waiting import eventually

MANY = 20


def _answers(sessions: Sequence[Session], bound: float = 60) -> list[str]:
    answers = []
    for session in sessions:
        try:
            for reply in session.replies("started", timeout=bound):
                answer = reply.word
        except Refusal as error:
            answer = error.word
        answers.append(answer)
    return answers


def _send_start(host: ShellHost, session: Session, job: str, command: Sequence[str]) -> None:
    """Everything at once and without waiting, so that all of them really run at the same time."""
    session.request("claim", job, "9")
    session.request("place", str(host.home))
    for name, values in {
        "command": command,
        "startup": [],
        "environment": [f"PATH={host.path}"],
        "manifest": [],
    }.items():
        session.request("keep", name, *values)
    session.request("start", "")
    session.flush()


def test_of_many_starts_at_the_same_moment_exactly_one_wins(host: ShellHost) -> None:
    sessions = [host.session() for _ in range(MANY)]
    jobs = [host.new_id() for _ in sessions]
    for session, job in zip(sessions, jobs, strict=True):
        _send_start(host, session, job, ["sh", "-c", "echo ran >>runs; exec sleep 60"])
    answers = _answers(sessions)
    assert sorted(answers) == ["busy"] * (MANY - 1) + ["started"]
    eventually((host.home / "runs").exists)
    session = sessions[answers.index("started")]
    session.request("stop", jobs[answers.index("started")])
    assert [reply.word for reply in session.replies("stopped", timeout=20)][-1] == "stopped"
    assert (host.home / "runs").read_text() == "ran\n"
    assert [entry.name for entry in (host.state / "jobs").iterdir()] == [jobs[answers.index("started")]]


def test_a_start_that_is_tried_again_finds_its_own_job(host: ShellHost) -> None:
    """Also where the first try is still under way in a session that nobody reads any more."""
    sessions = [host.session() for _ in range(MANY)]
    job = host.new_id()
    for session in sessions:
        _send_start(host, session, job, ["sh", "-c", "echo ran >>runs; exit 5"])
    assert set(_answers(sessions)) == {"started"}
    ended = host.follow(sessions[0], job)
    assert ended.code == "5"
    assert (host.home / "runs").read_text() == "ran\n"


def test_a_try_that_is_refused_leaves_the_job_of_an_earlier_one_alone(
    host: ShellHost, refusal: RefusalOf, hold: HoldBack
) -> None:
    """The connection was lost, the client tries again, is told that the host is busy: and that moment it is not."""
    session, other = host.begin(["true"])
    host.follow(session, other)
    late, job = host.session(), host.new_id()
    let_go = hold("stat", f"{other}/log")
    late.request("claim", job, "9")
    late.flush()
    eventually((host.home / "held").exists)
    host.release(session, other)
    host.begin(["sleep", "60"], session=session, job=job)
    let_go()
    assert refusal(late).word == "busy"
    assert host.look(session, job)[1] in ("preparing", "running")


def test_what_is_kept_a_second_time_is_never_seen_empty(host: ShellHost) -> None:
    """By the job, which may begin that moment, when the first try of its client has come so far."""
    session, job = host.session(), host.new_id()
    host.claim(session, job)
    for verb in ["keep"] * 2000 + ["place"]:
        session.request(verb, *(["command", "sleep", "60"] if verb == "keep" else ["."]))
    session.flush()
    kept = host.job(job) / "command"
    seen = {eventually(lambda: kept.exists() and kept.read_text())}
    assert session.child.stdout is not None
    while not select.select([session.child.stdout], [], [], 0)[0]:
        seen.add(kept.read_text())
    assert seen == {"sleep\n60\n"}


def test_host_is_busy_while_a_job_runs_and_until_it_was_retrieved(host: ShellHost, refusal: RefusalOf) -> None:
    session, job = host.begin(["sleep", "60"])
    other = host.session()
    other.request("claim", host.new_id(), "9")
    reply = other.reply()
    assert (reply.word, reply.split()[0]) == ("job", job)
    assert refusal(other).word == "busy"
    session.request("stop", job)
    assert [reply.word for reply in session.replies("stopped", timeout=20)][-1] == "stopped"
    other = host.session()
    other.request("claim", host.new_id(), "9")
    assert refusal(other).word == "busy"
    host.release(session, job)
    assert host.sh("exit 4").code == "4"
    assert [entry.name for entry in (host.state / "jobs").iterdir() if not (entry / "id").exists()] == []


def test_claim_of_a_session_that_died_holds_nothing(host: ShellHost) -> None:
    session = host.session()
    host.claim(session, host.new_id())
    session.child.kill()
    assert host.sh("exit 4").code == "4"


def test_claim_of_a_session_that_lives_holds_the_host(host: ShellHost, refusal: RefusalOf) -> None:
    host.claim(host.session(), host.new_id())
    other = host.session()
    other.request("claim", host.new_id(), "9")
    assert refusal(other).word == "busy"


def test_force_takes_the_turn_from_a_claim_whose_start_then_comes_too_late(host: ShellHost, refusal: RefusalOf) -> None:
    slow, late = host.session(), host.new_id()
    host.claim(slow, late)
    session, job = host.begin(["sh", "-c", "echo forced"], verb="force")
    slow.request("place", str(host.home))
    for name in ("command", "startup", "environment", "manifest"):
        slow.request("keep", name, *(["touch", str(host.home / "wrong")] if name == "command" else []))
    slow.request("start", "")
    assert refusal(slow).word == "late"
    assert host.follow(session, job).log == b"forced\n"
    assert not (host.home / "wrong").exists()


def test_force_ends_the_job_that_is_there(host: ShellHost) -> None:
    _first, old = host.begin(["sleep", "61"])
    eventually(lambda: "sleep 61" in host.mine().values())
    session, job = host.begin(["sh", "-c", "exit 6"], verb="force")
    assert "sleep 61" not in host.mine().values()
    assert host.follow(session, job).code == "6"
    assert (host.job(old) / "discarded").exists()


def test_what_was_discarded_is_neither_entered_nor_released(host: ShellHost, refusal: RefusalOf) -> None:
    """Its folder, and the machine that its shutdown commands would end, are another job's now."""
    follower, old = host.begin(["sleep", "60"])
    follower.request("follow", old, "0")
    assert follower.reply() == ("log", "0")
    host.begin(["sleep", "60"], verb="force")
    assert host.rest(follower).state == "finished"
    follower.request("release", old, f"touch {host.home}/wrong")
    assert refusal(follower).word == "discarded"
    other = host.session()
    other.request("enter", old)
    assert refusal(other).word == "discarded"
    assert not (host.job(old) / "shutdown").exists()


def test_a_turn_that_was_lost_with_the_power_is_nobodys(host: ShellHost, refusal: RefusalOf) -> None:
    """A file system may keep the name of a file, and not yet its content."""
    host.sh("true")
    (slot,) = host.state.glob("slot.*")
    slot.write_text("")
    session, job = host.begin(["sleep", "60"])
    other = host.session()
    other.request("claim", host.new_id(), "9")
    assert refusal(other).word == "busy"
    assert host.look(session, job)[1] == "running"


def test_of_many_forces_one_job_is_left(host: ShellHost) -> None:
    """Each of them ends the one before; nothing of those that lost goes on."""
    sessions = [host.session() for _ in range(MANY // 3)]
    jobs = [host.new_id() for _ in sessions]
    for session, job in zip(sessions, jobs, strict=True):
        session.request("force", job, "9", "joe@laptop")
        session.request("place", str(host.home))
        for name, values in {"command": ["sleep", "62"], "startup": [], "environment": [], "manifest": []}.items():
            session.request("keep", name, *values)
        session.request("start", "")
        session.flush()
    answers = _answers(sessions)
    assert set(answers) <= {"started", "late", "closed"}
    assert "started" in answers
    eventually(lambda: list(host.mine().values()).count("sleep 62") == 1)
    looker = host.session()
    holders = [job for job in jobs if (host.job(job) / "id").exists() and not _closed(host.job(job))]
    assert len(holders) == 1
    eventually(lambda: host.look(looker, holders[0])[1] == "running")


def _closed(folder: Path) -> bool:
    return (folder / "discarded").exists() or (folder / "id").read_text() == "void\n"


def test_old_jobs_are_pruned(host: ShellHost) -> None:
    jobs = []
    for _ in range(4):
        session = host.session()
        jobs.append(host.new_id())
        session.request("claim", jobs[-1], "2")
        session.request("place", str(host.home))
        for name in ("command", "startup", "environment", "manifest"):
            session.request("keep", name, *(["true"] if name == "command" else []))
        session.request("start", "")
        for _ in session.replies("started"):
            pass
        host.follow(session, jobs[-1])
        host.release(session, jobs[-1])
        session.child.kill()
    assert sorted(entry.name for entry in (host.state / "jobs").iterdir()) == jobs[-3:]


def test_jobs_of_another_machine_with_the_same_home_are_told_and_not_judged(host: ShellHost) -> None:
    foreign = host.home / ".sshrun" / "hosts" / "elsewhere"
    (foreign / "jobs" / "1").mkdir(parents=True)
    (foreign / "slot.1").write_text("1\n")
    session = host.session()
    session.request("probe", ".")
    assert ("fact", "other elsewhere") in list(session.replies("done"))
    assert host.sh("exit 4").code == "4"


@pytest.mark.usefixtures("mounts")
def test_state_is_kept_elsewhere_where_the_home_folder_cannot_hold_it(host: ShellHost) -> None:
    (host.home / ".sshrun").write_text("a file in the way")
    facts = _facts(host.session(empty="/var/tmp"))
    assert f"state /var/tmp/sshrun-{os.getuid()}/hosts/{os.uname().nodename}" in facts


@pytest.mark.usefixtures("mounts")
def test_state_is_never_kept_where_a_link_leads(host: ShellHost) -> None:
    elsewhere = host.home / "elsewhere"
    elsewhere.mkdir()
    (host.home / ".sshrun").symlink_to(elsewhere)
    facts = _facts(host.session(empty="/var/tmp"))
    assert f"state /var/tmp/sshrun-{os.getuid()}/hosts/{os.uname().nodename}" in facts
    assert list(elsewhere.iterdir()) == []


def _facts(session: Session) -> list[str]:
    session.request("probe", ".")
    return [reply.values for reply in session.replies("done")]


def test_refusal_ends_the_session_and_what_was_sent_behind_it(host: ShellHost, refusal: RefusalOf) -> None:
    host.claim(host.session(), host.new_id())
    other = host.session()
    other.request("claim", host.new_id(), "9")
    other.request("place", str(host.home / "never"))
    assert refusal(other).word == "busy"
    other.child.wait(20)
    assert not (host.home / "never").exists()


@pytest.fixture
def bystanders() -> Iterator[Callable[[], subprocess.Popen[bytes]]]:
    """Starts processes of the same user that have nothing to do with any job."""
    started = []

    def start() -> subprocess.Popen[bytes]:
        started.append(subprocess.Popen(["sleep", "63"], start_new_session=True))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


def test_identity_that_was_edited_is_lost_and_its_process_never_signalled(
    host: ShellHost, bystanders: Callable[[], subprocess.Popen[bytes]]
) -> None:
    for number, wrong in enumerate(("start", "boot", "host")):
        bystander = bystanders()
        session, job = host.begin(["sleep", "64"], verb="force")
        eventually(lambda: host.look(session, job)[1] == "running")  # noqa: B023
        identity = host.job(job) / "id"
        _pid, start, boot, name = identity.read_text().split()
        start = Path(f"/proc/{bystander.pid}/stat").read_text().rpartition(") ")[2].split()[19]
        words = {
            "start": (str(int(start) + 1), boot, name),
            "boot": (start, "x" + boot, name),
            "host": (start, boot, "x"),
        }
        identity.write_text(" ".join((str(bystander.pid), *words[wrong])) + "\n")
        assert host.look(session, job)[1] == "lost", number
        session.request("stop", job)
        assert [reply.word for reply in session.replies("stopped", timeout=30)][-1] == "stopped"
        assert bystander.poll() is None
