"""The log, from any byte on: whole, in order, once."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import time

import pytest

from sshrun.session.session import Session
from support.shell_host import RefusalOf, ShellHost
from support.waiting import eventually


@pytest.mark.parametrize("offset", [0, 1, 5, 6, 11])
def test_log_goes_on_at_the_byte_that_was_asked_for(host: ShellHost, offset: int) -> None:
    log = b"one\0two\xffend"
    session, job = host.begin(["sh", "-c", r"printf 'one\000two\377end'"])
    assert host.follow(session, job).log == log
    assert host.follow(session, job, offset).log == log[offset:]


def test_offset_beyond_the_log_is_refused(host: ShellHost, refusal: RefusalOf) -> None:
    """The log was cut, or it is another: to go on would show bytes of something else."""
    session, job = host.begin(["sh", "-c", "echo 12345"])
    host.follow(session, job)
    session.request("follow", job, "7")
    refused = refusal(session)
    assert (refused.word, refused.values) == ("truncated", "6")


def test_log_of_a_job_that_never_was_is_refused(host: ShellHost, refusal: RefusalOf) -> None:
    session = host.session()
    session.request("follow", "never-was", "0")
    assert refusal(session).word == "nothing"


def test_output_arrives_while_the_job_runs(host: ShellHost) -> None:
    gate = host.home / "gate"
    session, job = host.begin(["sh", "-c", f"echo first; while [ ! -e {gate} ]; do sleep 0.05; done; printf last"])
    session.request("follow", job, "0")
    assert session.reply().word == "log"
    seen = b""
    for chunk in session.raw(timeout=20):
        seen += chunk
        if seen == b"first\n":
            gate.touch()
    assert seen == b"first\nlast"
    assert session.reply() == ("end", "10")


def test_end_is_told_at_once(host: ShellHost) -> None:
    session, job = host.begin(["sleep", "1"])
    ended = host.follow(session, job)
    late = time.time() - float(ended.words[4]) - 1  # "ended" is in whole seconds
    assert late < 2
    assert ended.state == "finished"


def test_much_output_is_whole(host: ShellHost) -> None:
    size = 40_000_000
    session, job = host.begin(["sh", "-c", f"head -c {size} /dev/urandom | tee copy"])
    log = host.follow(session, job).log
    assert len(log) == size
    copy = (host.home / "work" / "copy").read_bytes()
    assert hashlib.sha256(log).digest() == hashlib.sha256(copy).digest()


def test_many_clients_see_the_same(host: ShellHost) -> None:
    first, job = host.begin(["sh", "-c", "for number in 1 2 3 4 5 6 7 8 9; do echo $number; sleep 0.05; done; exit 9"])
    sessions = [first, *(host.session() for _ in range(3))]
    for session in sessions:
        session.request("follow", job, "0")
        session.flush()
    for session in sessions:
        assert session.reply().word == "log"
        ended = host.rest(session)
        assert (ended.log, ended.code) == (b"1\n2\n3\n4\n5\n6\n7\n8\n9\n", "9")


def test_client_that_leaves_takes_nothing_but_its_own_processes_along(host: ShellHost) -> None:
    gate = host.home / "gate"
    session, job = host.begin(["sh", "-c", f"echo ready; while [ ! -e {gate} ]; do sleep 0.05; done; echo over"])
    eventually(lambda: (host.job(job) / "log").read_bytes() == b"ready\n")
    before = set(host.mine())
    follower = host.session()
    follower.request("follow", job, "0")
    assert follower.reply().word == "log"
    assert next(follower.raw(timeout=20)) == b"ready\n"
    during = {pid for pid, words in host.mine().items() if "sleep" not in words} - before
    assert len(during) >= 3
    follower.child.close_stdin()
    follower.child.wait(20)
    eventually(lambda: not during & set(host.mine()))
    gate.touch()
    assert host.follow(session, job).log == b"ready\nover\n"


def test_client_whose_connection_dies_leaves_no_process_behind(host: ShellHost) -> None:
    session, job = host.begin(["sh", "-c", "echo ready; exec sleep 60"])
    # Not at "ready": for a moment of its exec a process has no environment to be known by (proc(5)).
    eventually(lambda: "sleep 60" in host.mine().values())
    before = set(host.mine())
    follower = host.session()
    follower.request("follow", job, "0")
    assert follower.reply().word == "log"
    during = set(host.mine()) - before
    follower.child.close()
    follower.child.wait(20)
    eventually(lambda: not during & set(host.mine()))
    assert host.look(session, job)[1] == "running"


def test_log_that_is_cut_off_at_random_moments_comes_whole(host: ShellHost) -> None:
    """A client that loses its connection again and again, and goes on each time where its own copy ends."""
    moments = random.Random(1)
    script = 'n=0; while [ $n -lt 3000 ]; do n=$((n + 1)); echo "line $n"; done; sleep 0.3; echo end'
    session, job = host.begin(["sh", "-c", f"{script}; sleep 0.5; {script}; exit 3"])
    log = b""
    for _ in range(12):
        follower = host.session()
        follower.request("follow", job, str(len(log)))
        assert follower.reply().word == "log"
        until = time.monotonic() + moments.uniform(0, 0.15)
        for chunk in follower.raw(timeout=20):
            log += chunk
            if time.monotonic() > until:
                break
        os.kill(follower.child.pid, signal.SIGKILL)
        follower.child.close()
        follower.child.wait(20)
    ended = host.follow(session, job, len(log))
    half = b"".join(b"line %d\n" % number for number in range(1, 3001)) + b"end\n"
    assert log + ended.log == half + half
    assert ended.code == "3"


def test_session_goes_on_after_the_log(host: ShellHost) -> None:
    session, job = host.begin(["sh", "-c", "echo one; exit 2"])
    assert host.follow(session, job).code == "2"
    assert host.follow(session, job, 4).code == "2"
    host.release(session, job)
    host.begin(["sh", "-c", "exit 3"], session=session)


def test_end_of_the_log_is_not_mistaken_for_bytes_of_the_log(host: ShellHost) -> None:
    """A job that prints what looks like a reply, also without a newline before the end."""
    session = host.session()
    nonce = session.nonce.decode()
    session, job = host.begin(["sh", "-c", f"printf '%s' '{nonce[:-1]}' '\n{nonce}x' '{nonce[:5]}'"], session=session)
    assert host.follow(session, job).log == f"{nonce[:-1]}\n{nonce}x{nonce[:5]}".encode()


def follow_with_asides(host: ShellHost, session: Session, job: str, offset: int = 0) -> tuple[bytes, list[str]]:
    """A log to its end, and what was said beside it."""
    session.request("follow", job, str(offset))
    assert session.reply(20).word == "log"
    log, asides = b"", []
    for piece in session.raw_and_notices(timeout=20):
        if isinstance(piece, bytes):
            log += piece
        else:
            assert piece.word == "phase"
            asides.append(piece.values)
    assert session.reply(20) == ("end", str(offset + len(log)))
    return log, asides


def test_what_a_job_is_at_is_told_beside_the_log(host: ShellHost) -> None:
    startup = ["printf 'a\\n'; sleep 2.2", "echo b\nsleep 2.2", "exit_code=3"]
    session, job = host.begin(["sh", "-c", "sleep 2.2; echo c"], startup=startup)
    log, asides = follow_with_asides(host, session, job)
    assert log == b"a\nb\nc\n"
    assert [aside for aside in asides if aside] == [
        "startup 1 3 printf 'a\\\\n'; sleep 2.2",
        "startup 2 3 echo b\\nsleep 2.2",
        "running",
    ]
    assert session.errors == b"", "what was said aside is no error"


def test_who_comes_later_is_told_at_once_and_nothing_is_looked_at_while_it_runs(host: ShellHost) -> None:
    _, job = host.begin(["sh", "-c", "echo up; while [ ! -e gate ]; do sleep 0.05; done"], startup=["sleep 6"])
    early = host.session()
    began = time.monotonic()
    early.request("follow", job, "0")
    assert early.reply().word == "log"
    asides = (piece for piece in early.raw_and_notices(timeout=20) if not isinstance(piece, bytes))
    # An early look sees what comes before it.
    aside = next(piece for piece in asides if piece.values.startswith("startup"))
    assert aside == ("phase", "startup 1 1 sleep 6") and time.monotonic() - began < 5
    early.child.close_stdin()
    early.child.wait(20)
    eventually(lambda: (host.job(job) / "log").read_bytes() == b"up\n")
    before = set(host.mine())
    late = host.session()
    late.request("follow", job, "3")
    assert late.reply().word == "log"
    assert next(late.raw_and_notices(timeout=20)) == ("phase", "running")
    words = [words for pid, words in host.mine().items() if pid not in before]
    assert not [line for line in words if line.endswith("sleep 1")]
    (host.home / "work" / "gate").touch()
    assert host.rest(late).state == "finished"


def test_a_watcher_ends_with_a_job_that_never_runs(host: ShellHost) -> None:
    session, job = host.begin(["true"], startup=["sleep 1.5; exit 4"])
    before = set(host.mine())
    log, asides = follow_with_asides(host, session, job)
    assert (log, asides[-1]) == (b"", "startup 1 1 sleep 1.5; exit 4")
    eventually(lambda: set(host.mine()) <= before, 5)


def test_the_end_of_what_the_command_left_is_told_beside_the_log(host: ShellHost) -> None:
    """To who follows from the start, and at once to who comes later; nothing of a follow is left afterwards."""
    left = "until [ -e gate ]; do sleep 0.05; done"
    session, job = host.begin(["sh", "-c", f"echo up; until [ -e gone ]; do sleep 0.05; done; {{ {left}; }} &"])
    eventually(lambda: (host.job(job) / "log").read_bytes() == b"up\n")
    session.request("follow", job, "0")
    assert session.reply(20).word == "log"
    pieces = session.raw_and_notices(timeout=20)
    seen = []
    (host.home / "work" / "gone").touch()
    while ("phase", "leftovers stop") not in seen:
        seen.append(next(pieces))
    late = host.session()
    late.request("follow", job, "3")
    assert late.reply(20).word == "log"
    assert next(late.raw_and_notices(timeout=20)) == ("phase", "leftovers stop")
    before = set(host.mine())
    dropped = host.session()
    dropped.request("follow", job, "0")
    assert dropped.reply().word == "log"
    dropped.child.close()
    dropped.child.wait(20)
    eventually(lambda: not [words for pid, words in host.mine().items() if pid not in before and "sleep" not in words])
    (host.home / "work" / "gate").touch()
    assert (host.rest(session).state, host.rest(late).state) == ("finished", "finished")


def test_a_job_of_a_version_that_did_not_tell_of_it_is_followed_to_its_end(host: ShellHost) -> None:
    session, job = host.begin(["sh", "-c", "until [ -e gate ]; do sleep 0.05; done; sleep 1 &"])
    eventually(lambda: host.look(session, job)[1] == "running")
    (host.job(job) / "working").unlink()
    session.request("follow", job, "0")
    assert session.reply(20).word == "log"
    (host.home / "work" / "gate").touch()
    assert host.rest(session).state == "finished"
