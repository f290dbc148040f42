"""The end of a job: every process of it, whatever it did to escape, and no other."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sshrun.session.session import Session
from support.shell_host import ShellHost
from support.waiting import eventually

# Each leaves "sleep 70" running, or forks for ever, unless it is really killed.
ESCAPES = {
    "ignores TERM": "trap '' TERM; echo ready; while :; do env sleep 70; done",
    "is a daemon in a session of its own": (
        "setsid sh -c 'trap \"\" TERM HUP INT; (while :; do env sleep 70; done) </dev/null >/dev/null 2>&1 &'; "
        "echo ready; env sleep 70"
    ),
    "forks on and on": "trap '' TERM; echo ready; while :; do env sleep 70 & sleep 0.05; done",
    "is stopped": "echo ready; kill -STOP $$; env sleep 70",
    "has no environment": 'echo ready; exec env -i "$(command -v sleep)" 70',
    "changed its own environment": "echo ready; unset SSHRUN_JOB; exec sleep 70",
}
PROMPT = {"is stopped", "has no environment", "changed its own environment"}  # TERM is enough


def _stopped(host: ShellHost, session: Session, job: str) -> float:
    began = time.monotonic()
    session.request("stop", job)
    assert [reply.word for reply in session.replies("stopped", timeout=40)][-1] == "stopped"
    return time.monotonic() - began


def _processes(host: ShellHost) -> list[str]:
    """What is left of the host's jobs, also where it dropped its environment."""
    out = subprocess.run(["ps", "-A", "-o", "args="], capture_output=True, text=True, check=True).stdout
    return [line for line in out.splitlines() if line.strip().endswith(f"sleep {host.mark}")]


@pytest.mark.parametrize("escape", sorted(PROMPT))
def test_stop_ends_a_job_that(host: ShellHost, escape: str) -> None:
    session, job = host.begin(["sh", "-c", ESCAPES[escape].replace("70", host.mark)])
    eventually(lambda: (host.job(job) / "log").read_bytes() == b"ready\n")
    assert _stopped(host, session, job) < 8
    assert _processes(host) == []
    assert host.look(session, job)[1] == "finished"


def test_stop_kills_after_ten_seconds_what_does_not_go(host: ShellHost) -> None:
    """All at once, since each would take ten seconds."""
    scripts = []
    for number, script in enumerate(ESCAPES.values()):
        path = host.home / f"escape{number}"
        path.write_text(script.replace("70", host.mark))
        scripts.append(f"sh {path} &")
    session, job = host.begin(["sh", "-c", "\n".join([*scripts, "wait", f"env sleep {host.mark}"])])
    eventually(lambda: (host.job(job) / "log").read_bytes().count(b"ready\n") == len(ESCAPES))
    eventually(lambda: len(_processes(host)) >= 4)
    assert 9 < _stopped(host, session, job) < 25
    assert _processes(host) == []
    assert host.look(session, job)[1] == "finished"


def test_stop_asks_before_it_kills(host: ShellHost) -> None:
    session, job = host.begin(["sh", "-c", "trap 'echo saved; exit 17' TERM; echo ready; while :; do sleep 0.1; done"])
    eventually(lambda: (host.job(job) / "log").read_bytes() == b"ready\n")
    assert _stopped(host, session, job) < 8
    ended = host.follow(session, job)
    assert ended.log.replace(b"Terminated\n", b"") == b"ready\nsaved\n"  # the job's own shell may speak of its "sleep"
    assert (ended.state, ended.code) == ("finished", "17")


def test_interrupt_while_following_ends_the_whole_job_and_shows_the_rest_of_its_log(host: ShellHost) -> None:
    """Also what outlives the command: the end of the log is not the end of the job's processes."""
    script = f"setsid sh -c 'trap \"\" TERM; while :; do env sleep {host.mark}; done' </dev/null >/dev/null 2>&1 &\n"
    script += "trap 'echo saved; exit 17' INT; echo ready; while :; do sleep 0.1; done"
    session, job = host.begin(["sh", "-c", script], files={"ending": ["1 stop"]})
    session.request("follow", job, "0")
    assert session.reply().word == "log"
    eventually(lambda: len(_processes(host)) >= 1)
    log = b""
    for chunk in session.raw(timeout=40):
        if b"ready" in chunk:
            session.send(b"interrupt\n")
        log += chunk
    assert log == b"ready\nsaved\n"
    words = [reply.word for reply in session.replies("manifest", timeout=40)]
    assert words[0] == "end" and words[-2:] == ["job", "manifest"]
    assert _processes(host) == []


def test_stop_of_nothing_is_no_error(host: ShellHost) -> None:
    session = host.session()
    session.request("stop", "never-was")
    assert [reply.word for reply in session.replies("stopped")][-1] == "stopped"


def test_signals_to_the_supervisor_do_not_end_it(host: ShellHost) -> None:
    session, job = host.begin(["sh", "-c", f"echo ready; while [ ! -e {host.home}/gate ]; do sleep 0.05; done; exit 8"])
    eventually(lambda: (host.job(job) / "log").read_bytes() == b"ready\n")
    supervisor = int((host.job(job) / "id").read_text().split()[0])
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGQUIT, signal.SIGUSR1):
        os.kill(supervisor, number)
    (host.home / "gate").touch()
    assert host.follow(session, job).code == "8"


def test_identity_of_another_machine_is_not_judged_by_ours(host: ShellHost) -> None:
    """A process in a session whose number is that of the supervisor, but not of this job, is nobody's to signal."""
    bystander = subprocess.Popen(
        [sys.executable, "-c", "import os, time; print(flush=True); time.sleep(60)"],
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        assert bystander.stdout is not None
        bystander.stdout.readline()
        session, job = host.begin(["true"])
        host.follow(session, job)
        words = (host.job(job) / "id").read_text().split()
        (host.job(job) / "id").write_text(" ".join((str(bystander.pid), *words[1:])) + "\n")
        _stopped(host, session, job)
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.communicate()


def test_stop_ends_a_job_whose_supervisor_stood_before_its_command(host: ShellHost) -> None:
    """Between two of its programs the supervisor has no process that could be found."""
    program = host.vacant("rm")
    real = f"{shutil.which('busybox')} rm" if host.shell == "busybox" else shutil.which("rm")
    program.write_text(
        f'#!{host.tools}/sh\nif [ "$2" = "id.$PPID" ] && [ -e id ]; then kill -STOP "$PPID"; fi\nexec {real} "$@"\n'
    )
    program.chmod(0o755)
    session, job = host.begin(["sh", "-c", f"exec sleep {host.mark}"])
    supervisor = int((host.job(job) / "id").read_text().split()[0])
    eventually(lambda: Path(f"/proc/{supervisor}/stat").read_text().rpartition(") ")[2].startswith("T"))
    _stopped(host, session, job)
    assert _processes(host) == []
    assert host.look(session, job)[1] == "finished"
