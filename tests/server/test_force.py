"""One job at a time: who starts first wins, and --force ends all that the old one has left."""

from __future__ import annotations

import os
import random
import re
import signal
import time
from collections import Counter
from pathlib import Path

import pytest

from sshrun.sandbox import Sandbox
from support.installed import Sshrun
from support.moving import leftovers
from support.specs import HostSide, commands, write_spec
from support.waiting import eventually

ROUNDS = int(os.environ.get("SSHRUN_TEST_ROUNDS", "20"))


@pytest.fixture
def host(sandbox: Sandbox) -> HostSide:
    return HostSide(sandbox)


def race(sshrun: Sshrun, host: HostSide, clients: int) -> None:
    """Starts all at the same moment; the job stays until all have been told."""
    before = set(host.began())
    running = [sshrun.start("--no-wait", "--", "sleep", "600") for _ in range(clients)]
    finished = [client.wait(120) for client in running]
    (job,) = set(host.began()) - before
    assert sorted(run.status for run in finished) == [0] + [75] * (clients - 1), [run.stderr for run in finished]
    for run in finished:
        assert job in run.stderr, run.stderr
    assert sshrun("stop").status == 0
    assert sshrun("retrieve").status == 143


def test_of_many_starts_at_once_exactly_one_wins(sshrun: Sshrun, host: HostSide) -> None:
    race(sshrun, host, 8)


@pytest.mark.long
def test_thirty_clients_start_at_once_twenty_times(sshrun: Sshrun, host: HostSide) -> None:
    for _ in range(20):
        race(sshrun, host, 30)


def scramble(sshrun: Sshrun, host: HostSide, sandbox: Sandbox, folder: Path, rounds: int) -> None:
    """Rounds of ten starts at the same moment, into one directory: some with --force, some killed on the way."""
    for name, size in (("small", 1000), ("large", 150_000)):
        spec = write_spec(folder / name, 'echo "$SSHRUN_JOB" >>~/ledger; exec sleep 600', name, upload_files=["data"])
        (spec.parent / "data").mkdir()
        for number in range(5):
            (spec.parent / "data" / str(number)).write_bytes(os.urandom(size // 5))
    ledger = sandbox.home / "ledger"
    ledger.touch()
    for number in range(rounds):
        chance = random.Random(number)
        clients = []
        for client in range(10):
            name = chance.choice(("small", "large"))
            force = ["--force"] if client == 0 or chance.random() < 0.3 else []
            clients.append(sshrun.start("--no-wait", *force, "train", name, cwd=folder / name))
        killed = {client: chance.choice((signal.SIGKILL, signal.SIGTERM)) for client in chance.sample(clients[1:], 2)}
        for client, kind in killed.items():
            time.sleep(chance.random() / 2)
            if client.process.poll() is None:
                client.press(kind)
        for client in clients:
            finished = client.wait(120)
            # Before Python has begun, SIGTERM is nobody's to turn into 143.
            ends = {-signal.SIGKILL, -signal.SIGTERM, 128 + signal.SIGTERM} if client in killed else set()
            assert finished.status in {0, 75} | ends, (number, finished)
        eventually(lambda: not leftovers(sandbox.home))
        began = Counter(ledger.read_text().split())
        assert not [job for job, times in began.items() if times > 1], number
        eventually(lambda: sum(bool(host.processes(job)) for job in host.ids()) <= 1)
    assert sshrun("--force", "--", "true").status == 0


def test_of_starts_that_are_killed_and_forced_each_ends_as_it_should(
    sshrun: Sshrun, host: HostSide, sandbox: Sandbox, tmp_path: Path
) -> None:
    scramble(sshrun, host, sandbox, tmp_path, 2)


@pytest.mark.long
def test_many_rounds_of_starts_that_are_killed_and_forced(
    sshrun: Sshrun, host: HostSide, sandbox: Sandbox, tmp_path: Path
) -> None:
    """SSHRUN_TEST_ROUNDS=200 make test-long PYTEST="-k rounds" is the whole proof, a quarter of an hour."""
    scramble(sshrun, host, sandbox, tmp_path, ROUNDS)


def test_a_busy_host_names_its_job_and_the_ways_on(sshrun: Sshrun, host: HostSide) -> None:
    assert sshrun("--no-wait", "--", "sleep", "600").status == 0
    finished = sshrun("--", "true")
    assert finished.status == 75
    (line,) = finished.stderr.splitlines()
    assert re.fullmatch(
        rf"sshrun: sandbox has job {host.ids()[-1]} \(sleep 600, from \S+@{os.uname().nodename}:{sshrun.folder}\), "
        r"running, \d+ s old "
        r"\(sshrun --resume attaches to it; --force stops and discards it\)",
        line,
    )
    assert len(host.ids()) == 1, "who was refused leaves nothing"
    assert sshrun("stop").status == 0
    assert "finished, not retrieved" in sshrun("--", "true").stderr
    assert len(host.began()) == 1


# Everything that makes a tree hard to end. FOREVER is a number of seconds that no other process sleeps for.
NASTY = """
(trap '' TERM INT HUP; while :; do sleep FOREVER; done) &
setsid sh -c 'trap "" TERM; (sleep FOREVER &) ; sleep FOREVER' &
(setsid setsid sh -c 'trap "" TERM; sleep FOREVER' &)
env -i PATH="$PATH" sleep FOREVER &
sh -c 'kill -STOP $$; sleep FOREVER' &
fork() { sleep 0.05; [ -e enough ] || fork & }
fork
echo up
sleep FOREVER
"""


def force(sshrun: Sshrun, host: HostSide, sandbox: Sandbox, number: int) -> None:
    forever = f"{3_000_000 + os.getpid()}.{number}"
    old = sshrun.start("--", "sh", "-c", NASTY.replace("FOREVER", forever))
    old.wait_until(lambda run: b"up\n" in run.stdout)
    job = host.ids()[-1]
    finished = sshrun("--force", "--", "echo", "new")
    assert (finished.status, finished.stdout) == (0, b"new\n")
    assert job in finished.stderr
    assert not host.processes(job)
    assert not [words for words in commands().values() if words.startswith(f"sleep {forever}")]
    assert old.wait().status != 0


def test_force_ends_every_process_of_the_old_job(sshrun: Sshrun, host: HostSide, sandbox: Sandbox) -> None:
    force(sshrun, host, sandbox, 0)


@pytest.mark.long
def test_force_twenty_times(sshrun: Sshrun, host: HostSide, sandbox: Sandbox) -> None:
    for number in range(20):
        force(sshrun, host, sandbox, number)


def test_force_runs_no_shutdown_command_and_needs_no_job(
    sshrun: Sshrun, host: HostSide, sandbox: Sandbox, tmp_path: Path
) -> None:
    write_spec(tmp_path, "sleep 600", shutdown_cmds=["touch goodbye"])
    assert sshrun("--no-wait", "train", "my_model").status == 0
    first = host.ids()[-1]
    eventually(lambda: host.processes(first))
    finished = sshrun("--force", "--", "true")
    assert finished.status == 0
    assert f"stopped and discarded job {first} (train my_model, from " in finished.stderr
    assert f"{os.uname().nodename}:{tmp_path}/my_model.py)" in finished.stderr
    assert not (sandbox.home / "goodbye").exists()
    assert sshrun("--force", "--", "true").status == 0
