"""How a job ends: on a Ctrl+C, and when its command leaves processes behind."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from support.shell_host import Ended, ShellHost
from support.waiting import eventually

LOOP = "while :; do sleep 0.1; done"
QUICK = {"ending": ["1 stop"]}  # a grace of a second


def ready(host: ShellHost, job: str) -> None:
    eventually(lambda: b"ready\n" in (host.job(job) / "log").read_bytes())


def interrupted(host: ShellHost, command: Sequence[str], times: int = 1, **keywords: Any) -> Ended:
    """The end of a job that prints "ready" and is interrupted then, by whoever follows it."""
    session, job = host.begin(command, **keywords)
    ready(host, job)
    session.request("follow", job, "0")
    assert session.reply().word == "log"
    session.send(b"interrupt\n" * times)
    return host.rest(session, bound=40)


def left(host: ShellHost) -> list[str]:
    """The processes of the host that sleep for as long as only its own do, also where they have no environment."""
    out = subprocess.run(["ps", "-A", "-o", "args="], capture_output=True, text=True, check=True).stdout
    return [line for line in out.splitlines() if line.strip().endswith(f"sleep {host.mark}")]


# -- Ctrl+C


def test_interrupt_gives_a_handler_the_time_to_save(host: ShellHost) -> None:
    script = f"trap 'sleep 2; echo saved; exit 5' INT; trap 'echo TERM' TERM; echo ready; {LOOP}"
    ended = interrupted(host, ["sh", "-c", script])
    assert (ended.code, ended.log) == ("5", b"ready\nsaved\n")


KEYBOARD = """
import time
try:
    print("ready", flush=True)
    time.sleep(60)
except KeyboardInterrupt:
    print("interrupted")
    raise
finally:
    time.sleep(1)
    print("saved")
"""


@pytest.mark.parametrize("around", [(), ("bash", "-c", '"$@"; exit', "bash")], ids=["command", "in a script"])
def test_interrupt_is_pythons_keyboard_interrupt(host: ShellHost, around: tuple[str, ...]) -> None:
    if around and host.shell == "busybox":
        around = ("sh", *around[1:])
    ended = interrupted(host, [*around, sys.executable, "-c", KEYBOARD])
    assert ended.code == "130"
    assert ended.log.endswith(b"interrupted\nsaved\n")


def test_interrupt_of_a_job_that_ignores_it_becomes_term_after_the_grace(host: ShellHost) -> None:
    script = f"trap '' INT; trap 'echo asked; exit 6' TERM; echo ready; {LOOP}"
    began = time.monotonic()
    ended = interrupted(host, ["sh", "-c", script], files=QUICK)
    assert time.monotonic() - began > 1
    assert (ended.code, ended.log.replace(b"Terminated\n", b"")) == ("6", b"ready\nasked\n")


def test_interrupt_of_a_job_that_ignores_term_too_ends_it(host: ShellHost) -> None:
    """Also what has left its group, which INT does not reach."""
    script = f"trap '' INT TERM; setsid sh -c 'env sleep {host.mark}; env sleep {host.mark}' & echo ready; {LOOP}"
    ended = interrupted(host, ["sh", "-c", script], files=QUICK)
    assert ended.code == "137"
    assert left(host) == []


def test_interrupt_reaches_the_group_of_the_command_alone(host: ShellHost) -> None:
    """As in a terminal: a helper in a session of its own is for the command to end."""
    helper = "trap 'echo helper INT' INT; trap 'exit' TERM; echo ready; while :; do sleep 0.1; done"
    script = f"""setsid sh -c "{helper}" & trap 'sleep 0.5; kill $!; echo command INT; exit 0' INT; {LOOP}"""
    ended = interrupted(host, ["sh", "-c", script])
    assert (ended.code, ended.log.replace(b"Terminated\n", b"")) == ("0", b"ready\ncommand INT\n")


def test_interrupt_that_is_asked_for_again_does_not_reach_the_handler_twice(host: ShellHost) -> None:
    """A client that lost its connection says it once more, and the handler may be saving."""
    script = f"trap 'echo INT' INT; trap 'exit 4' TERM; echo ready; {LOOP}"
    ended = interrupted(host, ["sh", "-c", script], times=3, files=QUICK)
    assert (ended.code, ended.log.replace(b"Terminated\n", b"")) == ("4", b"ready\nINT\n")


def test_interrupt_of_a_startup_command_that_ends_well_on_it_begins_nothing_more(host: ShellHost) -> None:
    startup = ["sh -c 'trap \"exit 0\" INT; echo ready; while :; do sleep 0.1; done'", "echo more"]
    ended = interrupted(host, ["echo", "command"], startup=startup)
    assert (ended.code, ended.log) == ("130", b"ready\n")


def test_stop_begins_with_term(host: ShellHost) -> None:
    script = f"trap 'echo INT' INT; trap 'echo TERM; exit 3' TERM; echo ready; {LOOP}"
    session, job = host.begin(["sh", "-c", script])
    ready(host, job)
    session.request("stop", job)
    assert [reply.word for reply in session.replies("stopped")][-1] == "stopped"
    assert host.follow(session, job).log.replace(b"Terminated\n", b"") == b"ready\nTERM\n"


def test_stop_gives_signs_of_life_for_as_long_as_the_grace_lasts(host: ShellHost) -> None:
    session, job = host.begin(["sh", "-c", f"trap '' TERM; echo ready; {LOOP}"], files={"ending": ["4 stop"]})
    ready(host, job)
    began = time.monotonic()
    session.request("stop", job)
    assert [reply.word for reply in session.replies("stopped", timeout=3)][-1] == "stopped"
    assert time.monotonic() - began > 4


# -- what outlives the command


def test_what_outlives_the_command_is_ended_after_the_grace_and_named(host: ShellHost) -> None:
    """Of the command, and of a startup command; in the background, in a session of its own, without an environment."""
    startup = [
        f"env sleep {host.mark} &",
        f"setsid env sleep {host.mark} & echo $!",
        f'env -i PATH="$PATH" sleep {host.mark} &',
    ]
    session, job = host.begin(["sh", "-c", f"env sleep {host.mark} & exit 3"], startup=startup, files=QUICK)
    ended = host.follow(session, job)
    assert left(host) == []
    assert (ended.state, ended.code, ended.words[-1]) == ("finished", "3", "running")
    number = int(ended.log.replace(b"Terminated\n", b""))
    assert re.fullmatch(
        r"what outlived the command was ended after 1 s: ((sleep|busybox) \(pid \d+\)(, )?){4} "
        r"\(leftovers: wait lets a job last as long as that\)\n",
        ended.notes,
    )
    assert f"(pid {number})" in ended.notes
    assert host.follow(session, job).notes == ended.notes, "whoever comes later hears of it too"


def test_what_outlives_the_command_and_ignores_term_is_killed(host: ShellHost) -> None:
    script = f"trap '' TERM; setsid sh -c 'env sleep {host.mark}; env sleep {host.mark}' & exit 0"
    ended = host.run(["sh", "-c", script], files=QUICK)
    assert (ended.state, ended.code) == ("finished", "0")
    assert "was ended after 1 s: " in ended.notes
    assert left(host) == []


def test_what_ends_within_the_grace_is_a_part_of_the_job(host: ShellHost) -> None:
    ended = host.run(["sh", "-c", "setsid sh -c 'sleep 1; echo late' & echo over; exit 3"])
    assert (ended.code, ended.log, ended.notes) == ("3", b"over\nlate\n", "")


def test_job_lasts_as_long_as_what_its_command_left_where_the_settings_say_so(host: ShellHost) -> None:
    ended = host.run(["sh", "-c", "setsid sh -c 'sleep 3; echo trained' & exit 3"], files={"ending": ["0 wait"]})
    assert (ended.code, ended.log, ended.notes) == ("3", b"trained\n", "")
    started, finished = (int(word) for word in ended.words[3:5])
    assert finished - started >= 2


def test_job_that_waits_for_what_its_command_left_can_be_stopped(host: ShellHost) -> None:
    session, job = host.begin(["sh", "-c", f"setsid env sleep {host.mark} & echo ready"], files={"ending": ["1 wait"]})
    eventually(lambda: host.look(session, job)[-1] == "leftovers")
    session.request("stop", job)
    assert [reply.word for reply in session.replies("stopped")][-1] == "stopped"
    assert left(host) == []
    assert host.look(session, job)[1:3] == ["finished", "0"]


def test_interrupt_of_what_outlives_the_command_begins_with_term(host: ShellHost) -> None:
    """There is no command to interrupt, and what is in the background ignores INT."""
    session, job = host.begin(["sh", "-c", f"env sleep {host.mark} & exit 3"])
    eventually(lambda: host.look(session, job)[-1] == "leftovers")
    session.request("follow", job, "0")
    session.reply()
    began = time.monotonic()
    session.send(b"interrupt\n")
    assert host.rest(session).code == "3"
    assert time.monotonic() - began < 8
    assert left(host) == []


def test_a_job_is_told_to_run_while_something_outlives_its_command(host: ShellHost) -> None:
    session, job = host.begin(["sh", "-c", f"setsid env sleep {host.mark} &"], files={"ending": ["0 wait"]})
    eventually(lambda: host.look(session, job)[-1] == "leftovers")
    assert host.look(session, job)[1:3] == ["running", "-"]
    session.request("status", "0")
    (use,) = (reply.values for reply in session.replies("done") if reply.values.startswith("leftovers "))
    assert re.fullmatch(r"leftovers (sleep|busybox) \(pid \d+\)", use)


def test_what_a_failed_startup_command_left_is_ended_and_the_phase_stays(host: ShellHost) -> None:
    ended = host.run(["echo", "ran"], startup=[f"env sleep {host.mark} &", "exit 4"], files=QUICK)
    assert (ended.code, ended.words[-2:]) == ("4", ["startup", "2"])
    assert left(host) == []


def test_what_a_start_file_left_for_all_logins_is_not_the_jobs(host: ShellHost) -> None:
    for name in (".profile", ".bash_profile"):
        (host.home / name).write_text(f"setsid env sleep {host.mark} </dev/null >/dev/null 2>&1 &\n")
    began = time.monotonic()
    ended = host.sh("exit 3")
    assert time.monotonic() - began < 8
    assert (ended.code, ended.notes, len(left(host))) == ("3", "", 1)


def test_what_a_shutdown_command_left_stays(host: ShellHost) -> None:
    session, job = host.begin(["true"], files=QUICK)
    host.follow(session, job)
    host.release(session, job, f"setsid env sleep {host.mark} &")
    eventually(lambda: list((host.job(job) / "shutdown").glob("rc.[0-9]*")))
    assert len(left(host)) == 1


def test_supervisor_that_is_killed_while_something_outlives_the_command_leaves_the_job_lost(host: ShellHost) -> None:
    session, job = host.begin(["sh", "-c", f"setsid env sleep {host.mark} &"], files={"ending": ["0 wait"]})
    eventually(lambda: host.look(session, job)[-1] == "leftovers")
    session.request("follow", job, "0")
    assert session.reply().word == "log"
    os.kill(int((host.job(job) / "id").read_text().split()[0]), signal.SIGKILL)
    assert host.rest(session, bound=5).state == "lost"
    session.request("stop", job)
    assert [reply.word for reply in session.replies("stopped")][-1] == "stopped"
    assert left(host) == []
    eventually(lambda: not [words for words in host.mine().values() if "end_leftovers" in words])


def test_on_a_full_disk_the_exit_code_of_a_job_that_left_something_is_recorded(host: ShellHost) -> None:
    """A job's folder that can be written no more: the rename that needs no block is all that is left."""
    session, job = host.begin(["sh", "-c", f"env sleep {host.mark} & exit 3"], files=QUICK)
    eventually(lambda: (host.job(job) / "started").exists())
    for name in ("outlived", "notes", "stopped"):
        Path(host.job(job) / name).mkdir()  # nothing can be written under these names
    ended = host.follow(session, job)
    assert (ended.state, ended.code) == ("finished", "3")
    assert left(host) == []
