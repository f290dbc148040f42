"""launcher.sh: whatever launches a job, the rest of the program asks for the same five things."""

from __future__ import annotations

from support.shell_host import ShellHost

# Each function does what "direct" does, and leaves a line; "usage" answers by itself.
COUNTING = """
counting_start() { echo start >>"$HOME/calls" && direct_start "$@"; }
counting_lives() { echo lives >>"$HOME/calls" && direct_lives "$@"; }
counting_stop() { echo stop >>"$HOME/calls" && direct_stop "$@"; }
counting_interrupt() { echo interrupt >>"$HOME/calls" && direct_interrupt "$@"; }
counting_usage() { reply use queue short; }
"""


def test_a_second_launcher_adds_a_part_and_changes_no_other(host: ShellHost) -> None:
    host.variables["MORE_PROGRAM"] = COUNTING
    session, job = host.begin(["sleep", host.mark], files={"launcher": ["counting"]})
    session.request("status", "1")
    replies = list(session.replies("done", timeout=20))
    assert "queue short" in [reply.values for reply in replies if reply.word == "use"]
    described = next(reply.values.split(" ") for reply in replies if reply.word == "job")
    assert described[0] == job and described[1] in ("preparing", "running")
    session.request("stop", job)
    words = [reply for reply in session.replies("stopped", timeout=40) if reply.word == "job"]
    assert words[-1].values.split(" ")[1:3] == ["finished", "143"]
    calls = (host.home / "calls").read_text().split()
    assert calls[0] == "start" and calls.count("start") == 1
    assert "lives" in calls and calls.count("stop") == 1


def test_a_job_that_names_no_launcher_was_launched_directly(host: ShellHost) -> None:
    host.variables["MORE_PROGRAM"] = COUNTING
    session, job = host.begin(["sh", "-c", "exit 7"])
    assert host.follow(session, job).code == "7"
    assert not (host.job(job) / "launcher").exists() and not (host.home / "calls").exists()
