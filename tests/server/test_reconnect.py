"""Connections that break: no byte is lost or doubled, nobody is asked twice, and a stranger's master is left alone."""

from __future__ import annotations

import hashlib
import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sshrun.sandbox import Sandbox
from support.installed import SSHRUN, Running, Sshrun
from support.relay import Direction, Relay
from support.specs import HostSide, commands, write_spec
from support.waiting import eventually

pytestmark = pytest.mark.usefixtures("no_project")

UNTIL = "until [ -e %s ]; do sleep 0.05; done"


@pytest.fixture
def sandbox(start_sandbox: Callable[..., Sandbox], request: pytest.FixtureRequest) -> Sandbox:
    """A server with the lines of sshd_config(5) that a test names."""
    return start_sandbox(*getattr(request, "param", ()))


@pytest.fixture
def host(sandbox: Sandbox) -> HostSide:
    return HostSide(sandbox)


def says(text: str, running: Running, seconds: float = 20) -> None:
    running.wait_until(lambda run: text in run.stderr, seconds)


def prints(text: bytes, running: Running) -> None:
    running.wait_until(lambda run: text in run.stdout)


def connections(sandbox: Sandbox) -> int:
    return sandbox.log.read_text(errors="replace").count("Connection from ")


# Cut at any moment


def follow_through_cuts(
    sshrun: Sshrun, sandbox: Sandbox, host: HostSide, home: Path, relay: Relay, lines: int, cuts: int
) -> None:
    """The job prints until it was cut often enough, and then the rest."""
    part = lines // (cuts * 12)
    script = f"""
    i=0
    until [ -e enough ]; do
      [ $i -ge {lines - part} ] || {{ seq $((i + 1)) $((i + {part})); i=$((i + {part})); }}
      sleep 0.1
    done
    seq $((i + 1)) {lines}
    """
    moments = random.Random(4)
    running = sshrun.start("--", "sh", "-c", script)
    prints(b"\n", running)
    while (back := running.stderr.count("connected to sandbox again")) < cuts:
        time.sleep(moments.uniform(0, 0.5))
        relay.cut()
        running.wait_until(lambda run, back=back: run.stderr.count("connected to sandbox again") > back)  # type: ignore[misc]
    (sandbox.home / "enough").touch()
    finished = running.wait(300)
    log = (host.latest() / "log").read_bytes()
    assert finished.status == 0
    assert log.endswith(f"\n{lines}\n".encode()) and log.count(b"\n") == lines
    copy = (home / ".sshrun" / "jobs" / host.ids()[-1] / "log").read_bytes()
    digests = {hashlib.sha256(data).hexdigest() for data in (finished.stdout, log, copy)}
    assert len(digests) == 1
    assert (
        finished.stderr.count("trying again by itself") == finished.stderr.count("connected to sandbox again") >= cuts
    )


def test_every_byte_of_the_log_comes_once_through_cuts(
    relay: Relay, sshrun: Sshrun, sandbox: Sandbox, host: HostSide, home: Path
) -> None:
    follow_through_cuts(sshrun, sandbox, host, home, relay, lines=20_000, cuts=4)


@pytest.mark.long
def test_a_million_lines_through_thirty_cuts(
    relay: Relay, sshrun: Sshrun, sandbox: Sandbox, host: HostSide, home: Path
) -> None:
    follow_through_cuts(sshrun, sandbox, host, home, relay, lines=1_000_000, cuts=32)


def test_a_start_whose_answer_is_lost_is_not_sent_again(
    relay: Relay, sshrun: Sshrun, sandbox: Sandbox, host: HostSide, tmp_path: Path
) -> None:
    (tmp_path / "note").write_text("given\n")
    write_spec(tmp_path, f"echo >>ran; echo mine >note; {UNTIL % 'go'}; cat note", upload_files=["note"])
    relay.delay = 0.5  # the answer is under way for half of it
    running = sshrun.start("train", "my_model")
    eventually(lambda: host.ids() and (sandbox.home / "ran").exists())
    relay.cut()
    relay.delay = 0
    assert "is on sandbox" not in running.stderr
    says("is on sandbox", running)
    (sandbox.home / "go").touch()
    finished = running.wait()
    assert (finished.status, finished.stdout) == (0, b"mine\n")
    assert (sandbox.home / "ran").read_text() == "\n"


@pytest.mark.parametrize("milliseconds", [400, 1000])
def test_a_start_that_is_cut_happens_once_or_not_at_all(
    relay: Relay, sshrun: Sshrun, sandbox: Sandbox, milliseconds: int
) -> None:
    relay.delay = 0.1
    running = sshrun.start("--", "sh", "-c", "echo >>ran; echo said")
    time.sleep(milliseconds / 1000)
    relay.cut()
    finished = running.wait()
    ran = (sandbox.home / "ran").read_text() if (sandbox.home / "ran").exists() else ""
    if finished.status == 255:
        assert ran == "", "a first connection that fails is told, and nothing has begun"
    else:
        assert (finished.status, finished.stdout, ran) == (0, b"said\n", "\n")
    assert sshrun("--", "true").status == 0


def test_an_upload_that_is_cut_goes_on_and_the_job_starts_once(
    relay: Relay, sshrun: Sshrun, sandbox: Sandbox, tmp_path: Path
) -> None:
    relay.rate = 4e6
    (tmp_path / "large").write_bytes(os.urandom(6 << 20))
    write_spec(tmp_path, "echo >>ran; cp large my_model.zip", upload_files=["large"])
    running = sshrun.start("train", "my_model")
    before = relay.carried()
    running.wait_until(lambda _: relay.carried() > before + (3 << 20))
    relay.cut()
    relay.rate = None
    finished = running.wait()
    assert finished.status == 0, finished.stderr
    assert (sandbox.home / "ran").read_text() == "\n"
    assert (tmp_path / "my_model.zip").read_bytes() == (tmp_path / "large").read_bytes()


def test_a_download_that_is_cut_is_had_again_and_shutdown_runs_once(
    relay: Relay, sshrun: Sshrun, sandbox: Sandbox, tmp_path: Path
) -> None:
    write_spec(tmp_path, "head -c 6000000 /dev/urandom >my_model.zip; echo made", shutdown_cmds=["echo >>goodbye"])
    relay.rate = 4e6
    running = sshrun.start("train", "my_model")
    prints(b"made\n", running)
    before = relay.carried()
    running.wait_until(lambda _: relay.carried() > before + (2 << 20))
    assert not (sandbox.home / "goodbye").exists()
    relay.cut()
    relay.rate = None
    finished = running.wait()
    assert finished.status == 0, finished.stderr
    assert (tmp_path / "my_model.zip").read_bytes() == (sandbox.home / "my_model.zip").read_bytes()
    assert (sandbox.home / "goodbye").read_text() == "\n"


def test_ctrl_c_while_the_connection_is_lost_stops_the_job_when_it_is_back(
    relay: Relay, sshrun: Sshrun, host: HostSide
) -> None:
    running = sshrun.start("--", "sh", "-c", "echo up; sleep 600")
    prints(b"up\n", running)
    relay.refuse()
    relay.cut()
    says("trying again by itself", running)
    running.press(signal.SIGINT)
    relay.restore()
    assert running.wait().status == 130
    assert not host.processes(host.ids()[-1])


def test_ctrl_c_that_the_network_swallows_is_not_forgotten(relay: Relay, sshrun: Sshrun, host: HostSide) -> None:
    running = sshrun.start("--", "sh", "-c", "echo up; sleep 600")
    prints(b"up\n", running)
    relay.stall()
    running.press(signal.SIGINT)
    says("stopping the job", running)
    relay.cut()
    relay.restore()
    assert running.wait().status == 130
    assert not host.processes(host.ids()[-1])


# torchrun installs a handler of its own, so that "nohup" would not save it where a terminal hangs up.
HANGS_UP = """
import os, signal, sys, time
signal.signal(signal.SIGHUP, lambda *_: (open("hung up", "w").close(), sys.exit(1)))
for _ in range(2):
    if os.fork() == 0:
        break
print("up", flush=True)
while not os.path.exists("go"):
    time.sleep(0.05)
"""


def test_a_job_with_its_own_hangup_handler_survives_a_cut(relay: Relay, sshrun: Sshrun, sandbox: Sandbox) -> None:
    running = sshrun.start("--", sys.executable, "-c", HANGS_UP)
    running.wait_until(lambda run: run.stdout.count(b"up") == 3)
    relay.cut()
    says("connected to sandbox again", running)
    (sandbox.home / "go").touch()
    assert running.wait().status == 0
    assert not (sandbox.home / "hung up").exists()


# When to try again, and when not


def test_an_unreachable_host_is_tried_every_second(relay: Relay, sshrun: Sshrun, sandbox: Sandbox) -> None:
    running = sshrun.start("--", "sh", "-c", f"echo up; {UNTIL % 'go'}; echo done")
    prints(b"up\n", running)
    relay.refuse()
    relay.cut()
    says("lost", running)
    time.sleep(2.5)
    relay.restore()
    began = time.monotonic()
    says("connected to sandbox again", running)
    assert time.monotonic() - began < 4
    (sandbox.home / "go").touch()
    finished = running.wait()
    assert (finished.status, finished.stdout) == (0, b"up\ndone\n")
    assert sandbox.logins() == 2


def test_a_key_that_is_refused_is_never_tried_again(relay: Relay, sshrun: Sshrun, sandbox: Sandbox) -> None:
    running = sshrun.start("--", "sh", "-c", f"echo up; {UNTIL % 'go'}; exit 3")
    prints(b"up\n", running)
    keys = sandbox.directory / "authorized_keys"
    keys.rename(keys.with_name("kept"))
    before = connections(sandbox)
    relay.cut()
    finished = running.wait()
    assert finished.status == 255
    assert "Permission denied" in finished.stderr and "Traceback" not in finished.stderr
    assert "is left to sandbox; once we may log in again: sshrun --resume" in finished.stderr
    time.sleep(1.5)  # one that tries every second would be seen
    assert connections(sandbox) == before + 1
    keys.with_name("kept").rename(keys)
    (sandbox.home / "go").touch()
    assert sshrun("--resume").status == 3


def test_a_host_key_that_has_changed_is_never_accepted(relay: Relay, sshrun: Sshrun, sandbox: Sandbox) -> None:
    running = sshrun.start("--", "sh", "-c", "echo up; sleep 600")
    prints(b"up\n", running)
    known = sandbox.directory / "known_hosts"
    other = (sandbox.directory / "user_key.pub").read_text().split()[:2]
    known.write_text(" ".join([known.read_text().split()[0], *other]) + "\n")
    before = connections(sandbox)
    relay.cut()
    finished = running.wait()
    assert finished.status == 255
    assert "host key has changed" in finished.stderr and "ssh-keygen" in finished.stderr
    assert connections(sandbox) == before + 1


@pytest.mark.long
@pytest.mark.parametrize("sandbox", [("PerSourceMaxStartups 1",)], indirect=True)
def test_a_server_that_hangs_up_is_not_hammered(relay: Relay, sshrun: Sshrun, sandbox: Sandbox) -> None:
    running = sshrun.start("--", "sh", "-c", f"echo up; {UNTIL % 'go'}")
    prints(b"up\n", running)
    with socket.create_connection(("127.0.0.1", sandbox.port)) as taken:  # the one place that there is
        taken.recv(10)
        tried = relay.connections
        relay.cut()
        says("lost", running)
        time.sleep(12)
        assert 2 <= relay.connections - tried <= 6, "after about 1, 3, 7, 15 seconds"
    says("connected to sandbox again", running, 40)
    (sandbox.home / "go").touch()
    assert running.wait().status == 0


@pytest.mark.long
def test_a_network_that_swallows_everything_is_noticed_within_twenty_seconds(
    relay: Relay, sshrun: Sshrun, sandbox: Sandbox
) -> None:
    running = sshrun.start("--", "sh", "-c", f"echo up; {UNTIL % 'go'}; echo done")
    prints(b"up\n", running)
    relay.stall()
    began = time.monotonic()
    says("trying again by itself", running, 30)
    assert time.monotonic() - began <= 21
    time.sleep(8)
    relay.restore()
    says("connected to sandbox again", running, 40)
    (sandbox.home / "go").touch()
    finished = running.wait()
    assert (finished.status, finished.stdout) == (0, b"up\ndone\n")


@pytest.mark.long
def test_a_silent_job_keeps_its_connection(relay: Relay, sshrun: Sshrun, sandbox: Sandbox) -> None:
    running = sshrun.start("--", "sh", "-c", "sleep 40; echo done")
    finished = running.wait(80)
    assert (finished.status, finished.stdout) == (0, b"done\n")
    assert "lost" not in finished.stderr and sandbox.logins() == 1


def test_the_first_connection_is_not_tried_again(relay: Relay, sshrun: Sshrun) -> None:
    relay.refuse()
    began = time.monotonic()
    finished = sshrun("--", "true")
    assert finished.status == 255 and time.monotonic() - began < 10
    assert "Connection refused" in finished.stderr and len(finished.stderr.splitlines()) == 1


# A master that the user has open


class Master:
    """One that the user has open, at the ControlPath of the configuration."""

    def __init__(self, sandbox: Sandbox, path: Path) -> None:
        self._ssh = ["ssh", "-F", str(sandbox.config), "-S", str(path)]
        subprocess.run([*self._ssh, "-fNM", sandbox.host], check=True, stdin=subprocess.DEVNULL, capture_output=True)
        said = subprocess.run([*self._ssh, "-O", "check", sandbox.host], check=True, capture_output=True, text=True)
        (pid,) = re.findall(r"pid=(\d+)", said.stderr)
        self.pid = int(pid)

    def lives(self) -> bool:
        return self.pid in commands()

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)


@pytest.fixture
def control_path(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("c") / "%n"
    sandbox.config.write_text(sandbox.config.read_text() + f"    ControlPath {path}\n")
    return path.with_name("sandbox")


@pytest.fixture
def master(sandbox: Sandbox, control_path: Path) -> Iterator[Master]:
    opened = Master(sandbox, control_path)
    yield opened
    if opened.lives():
        opened.signal(signal.SIGKILL)


def test_a_master_that_is_open_is_used_and_left_open(sshrun: Sshrun, sandbox: Sandbox, master: Master) -> None:
    finished = sshrun("--", "echo", "through")
    assert (finished.status, finished.stdout, finished.stderr.count("\n")) == (0, b"through\n", 1)
    assert sandbox.logins() == 1
    assert master.lives()
    assert sshrun("status").status == 0 and sandbox.logins() == 1


def test_a_stale_socket_is_passed_by(sshrun: Sshrun, sandbox: Sandbox, control_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(control_path))
    finished = sshrun("--", "echo", "through")
    assert (finished.status, finished.stdout) == (0, b"through\n"), finished.stderr
    assert "opening one of our own" in finished.stderr
    assert control_path.exists(), "it is not ours to remove"


def test_a_master_that_dies_is_replaced_by_our_own(sshrun: Sshrun, sandbox: Sandbox, master: Master) -> None:
    running = sshrun.start("--", "sh", "-c", f"echo up; {UNTIL % 'go'}; echo done")
    prints(b"up\n", running)
    master.signal(signal.SIGKILL)
    says("connected to sandbox again", running)
    (sandbox.home / "go").touch()
    finished = running.wait()
    assert (finished.status, finished.stdout) == (0, b"up\ndone\n")
    assert sandbox.logins() == 2


@pytest.mark.long
def test_a_master_that_stalls_is_passed_by_and_left_alone(sshrun: Sshrun, sandbox: Sandbox, master: Master) -> None:
    running = sshrun.start("--", "sh", "-c", f"echo up; sleep 17; echo still; {UNTIL % 'go'}; echo done")
    prints(b"still\n", running)
    assert "lost" not in running.stderr, "a job may be silent for longer than a network"
    master.signal(signal.SIGSTOP)
    began = time.monotonic()
    says("connected to sandbox again", running, 30)
    assert time.monotonic() - began <= 22
    finished = sshrun("status")
    assert finished.status == 0 and "opening one of our own" in finished.stderr
    (sandbox.home / "go").touch()
    finished = running.wait()
    assert (finished.status, finished.stdout) == (0, b"up\nstill\ndone\n")
    master.signal(signal.SIGCONT)
    assert master.lives()


# A client that is killed at any instruction


CALLS = "write,pwrite64,rename,unlink,openat,mkdir,poll,wait4,clone3,vfork,ftruncate,socket,connect"


def kill_client_at(sshrun: Sshrun, sandbox: Sandbox, home: Path, tmp_path: Path, points: int) -> None:
    """Kills sshrun when it enters one of its system calls, and comes back as a person would."""
    write_spec(
        tmp_path,
        "echo >>ran; head -c 200000 /dev/zero; echo result >my_model.zip; exit 3",
        shutdown_cmds=["echo >>goodbye"],
    )

    def client(*inject: str) -> int:
        words = ["strace", "-qq", "-o", str(tmp_path / "calls"), "-e", f"trace={CALLS}", *inject]
        with open(tmp_path / "said", "wb") as said:
            return subprocess.run(
                [*words, SSHRUN, *sshrun.options, "train", "my_model"],
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                cwd=tmp_path,
            ).returncode

    def fresh() -> None:
        for path in (sandbox.home / "ran", sandbox.home / "goodbye", tmp_path / "my_model.zip"):
            path.unlink(missing_ok=True)

    assert client() == 3
    before, config, after = (tmp_path / "calls").read_text(errors="replace").partition(".config")
    # The calls before the first connection are Python's imports, and much alike. strace counts each call by itself.
    calls = [line.partition("(")[0] for line in (before + config + after).splitlines()]
    first = before.count("\n")
    killed = 0
    for point in range(points):
        fresh()
        number = first + (len(calls) - first) * point // points
        ordinal = calls[: number + 1].count(calls[number])
        status = client("-e", f"inject={calls[number]}:signal=SIGKILL:when={ordinal}")
        killed += status in (-signal.SIGKILL, 128 + signal.SIGKILL)
        finished = sshrun("--resume", "train", "my_model")
        if finished.status in (2, 75) or not (sandbox.home / "ran").exists():
            assert not (sandbox.home / "ran").exists(), (calls[number], ordinal, finished.stderr)
            finished = sshrun("train", "my_model")
        context = (calls[number], ordinal, status, finished.stderr)
        assert finished.status == 3, context
        assert (sandbox.home / "ran").read_text() == "\n", context
        assert (tmp_path / "my_model.zip").read_text() == "result\n", context
        assert eventually((sandbox.home / "goodbye").exists), context
        assert (sandbox.home / "goodbye").read_text() == "\n", context
    assert killed > points * 0.6, "some calls are made more or less often than the last time"
    assert sshrun("--", "true").status == 0


def test_a_client_that_is_killed_anywhere_leaves_one_job(
    sshrun: Sshrun, sandbox: Sandbox, home: Path, tmp_path: Path
) -> None:
    kill_client_at(sshrun, sandbox, home, tmp_path, 3)


@pytest.mark.long
def test_a_client_that_is_killed_at_forty_five_points_leaves_one_job(
    sshrun: Sshrun, sandbox: Sandbox, home: Path, tmp_path: Path
) -> None:
    kill_client_at(sshrun, sandbox, home, tmp_path, 45)


def test_what_a_login_shell_complained_of_is_not_why_the_connection_was_lost(
    sshrun: Sshrun, sandbox: Sandbox, relay: Relay, tmp_path: Path
) -> None:
    (sandbox.home / ".bashrc").write_text("echo module: command not found >&2\n")
    write_spec(tmp_path, f"echo ready; {UNTIL % 'go'}")
    running = sshrun.start("train", "my_model")
    prints(b"ready\n", running)
    relay.cut()
    says("connected to", running)
    (sandbox.home / "go").touch()
    ended = running.wait()
    assert ended.status == 0, ended.stderr
    assert "was lost" in ended.stderr
    assert "module" not in ended.stderr


@pytest.mark.parametrize("options", [(), ("-n", "100000")])
def test_logs_shows_every_byte_once_through_a_cut(
    sshrun: Sshrun, sandbox: Sandbox, relay: Relay, tmp_path: Path, options: tuple[str, ...]
) -> None:
    assert sshrun("-q", "--", "sh", "-c", "seq 400000").status == 0
    relay.forget()
    relay.rate = 300_000
    running = sshrun.start("logs", *options)
    eventually(lambda: relay.carried(Direction.TO_CLIENT) > 200_000)
    relay.cut()
    relay.rate = None
    ended = running.wait()
    assert ended.status == 0, ended.stderr
    numbers = range(1 if not options else 300_001, 400_001)
    assert ended.stdout == b"".join(b"%d\n" % number for number in numbers)
    assert "trying again by itself" in ended.stderr
