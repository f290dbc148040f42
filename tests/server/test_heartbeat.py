"""A network that swallows everything is noticed by our own signs of life, whatever ssh was told to look for."""

from __future__ import annotations

import os
import re
import subprocess
import time
from pathlib import Path

import pytest

from sshrun.sandbox import Sandbox
from support.installed import Running, Sshrun
from support.relay import Direction, Relay
from support.specs import commands, write_spec
from support.waiting import eventually

UNTIL = "until [ -e go ]; do sleep 0.05; done"
NOTICED = 25  # seconds: three beats of five, what a busy machine may add, and less than any setting below

# What keeps ssh itself from noticing for minutes, or ever.
DEAF = ["ServerAliveInterval 0", "ServerAliveInterval 300", "ServerAliveCountMax 30"]


def configure(sandbox: Sandbox, *lines: str) -> None:
    sandbox.config.write_text(sandbox.config.read_text() + "".join(f"    {line}\n" for line in lines))


def says(text: str, running: Running, seconds: float = 20) -> None:
    running.wait_until(lambda run: text in run.stderr, seconds)


def swallow(relay: Relay, running: Running) -> None:
    """Lets the network swallow everything until that is noticed; then it is well again."""
    relay.stall()
    began = time.monotonic()
    says("trying again by itself", running, NOTICED + 5)
    assert time.monotonic() - began <= NOTICED
    assert "has been silent for 15 s" in running.stderr
    relay.cut()
    relay.restore()
    says("connected to sandbox again", running, 40)


@pytest.mark.long
@pytest.mark.parametrize("line", DEAF)
def test_a_run_notices_and_goes_on(relay: Relay, sshrun: Sshrun, sandbox: Sandbox, line: str) -> None:
    configure(sandbox, line)
    running = sshrun.start("--", "sh", "-c", f"echo up; {UNTIL}; echo done")
    running.wait_until(lambda run: run.stdout == b"up\n")
    swallow(relay, running)
    (sandbox.home / "go").touch()
    finished = running.wait()
    assert (finished.status, finished.stdout) == (0, b"up\ndone\n")
    assert sandbox.logins() == 2
    eventually(lambda: not any("[mux]" in command and "sandbox" in command for command in commands().values()))


@pytest.mark.long
def test_beside_a_master_of_the_users_a_run_opens_its_own(
    relay: Relay, sshrun: Sshrun, sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("c") / "master"
    configure(sandbox, "ServerAliveInterval 0", f"ControlPath {path}")
    ssh = ["ssh", "-F", str(sandbox.config)]
    subprocess.run([*ssh, "-fNM", sandbox.host], check=True, stdin=subprocess.DEVNULL, capture_output=True)
    said = subprocess.run([*ssh, "-O", "check", sandbox.host], check=True, capture_output=True, text=True).stderr
    (master,) = map(int, re.findall(r"pid=(\d+)", said))
    running = sshrun.start("--", "sh", "-c", f"echo up; {UNTIL}; echo done")
    running.wait_until(lambda run: run.stdout == b"up\n")
    relay.stall()
    says("has been silent for 15 s; trying again by itself", running, NOTICED)
    assert master in commands()
    relay.restore()
    says("connected to sandbox again", running, 40)
    (sandbox.home / "go").touch()
    assert running.wait().status == 0
    assert master in commands(), "it is not ours to end"
    subprocess.run([*ssh, "-O", "exit", sandbox.host], check=True, capture_output=True)


@pytest.mark.long
@pytest.mark.parametrize("transfer", ["rsync", "tar", "scp"])
@pytest.mark.parametrize("direction", ["upload", "download"])
def test_a_transfer_notices_and_goes_on(
    relay: Relay, sshrun: Sshrun, sandbox: Sandbox, tmp_path: Path, transfer: str, direction: str
) -> None:
    configure(sandbox, "ServerAliveInterval 0")
    large = tmp_path / "large"
    large.write_bytes(os.urandom(6 << 20))
    lists: dict[str, list[str]] = {"upload_files": ["large"]}
    if direction == "download":
        (sandbox.home / "large").write_bytes(large.read_bytes())
        large.unlink()
        lists = {"download_files": ["large"]}
    write_spec(tmp_path, "touch large; echo up", transfer=transfer, **lists)
    relay.rate = 1e6
    running = sshrun.start("train", "my_model")
    before = relay.carried()
    running.wait_until(lambda _: relay.carried() > before + (2 << 20))
    relay.stall()
    says("has been silent for", running, 75 if transfer == "scp" else NOTICED)
    relay.cut()
    relay.rate = None
    relay.restore()
    finished = running.wait()
    assert finished.status == 0, finished.stderr
    assert large.read_bytes() == (sandbox.home / "large").read_bytes()


@pytest.mark.long
def test_a_reconnection_that_is_lost_behind_the_servers_first_word_is_tried_again(
    relay: Relay, sshrun: Sshrun, sandbox: Sandbox
) -> None:
    configure(sandbox, "ServerAliveInterval 0")
    running = sshrun.start("--", "sh", "-c", f"echo up; {UNTIL}; echo done")
    running.wait_until(lambda run: run.stdout == b"up\n")
    relay.refuse()
    relay.cut()
    says("trying again by itself", running)
    heard = relay.carried(Direction.TO_CLIENT)
    relay.delay = 1.0  # so that a login takes long enough to be lost in its middle
    relay.restore()
    running.wait_until(lambda _: relay.carried(Direction.TO_CLIENT) > heard + 100)  # more than the server's name
    relay.stall()
    connections = relay.connections
    running.wait_until(lambda _: relay.connections > connections, 90)
    relay.delay = 0.0
    relay.restore()
    says("connected to sandbox again", running, 60)
    (sandbox.home / "go").touch()
    assert running.wait().status == 0


@pytest.mark.long
@pytest.mark.parametrize(("seconds", "lines"), [(33, ["ConnectTimeout 60"]), (8, [])])
def test_a_slow_way_to_the_host_is_given_the_time_that_it_took_before(
    relay: Relay, sshrun: Sshrun, sandbox: Sandbox, tmp_path: Path, seconds: int, lines: list[str]
) -> None:
    way = tmp_path / "way"
    carry = 'exec 3<>"/dev/tcp/$1/$2"\ncat <&3 &\ncat >&3\nkill $!\n'
    way.write_text(f"#!/bin/bash\necho >>{tmp_path}/ways\nsleep {seconds}\n{carry}")
    way.chmod(0o755)
    configure(sandbox, *lines, f"ProxyCommand {way} %h %p")
    running = sshrun.start("--", "sh", "-c", f"echo up; {UNTIL}")
    running.wait_until(lambda run: run.stdout == b"up\n", 60)
    relay.cut()
    says("trying again by itself", running)
    says("connected to sandbox again", running, 60)
    assert (tmp_path / "ways").read_text() == "\n\n", "by the first try"
    (sandbox.home / "go").touch()
    assert running.wait().status == 0
