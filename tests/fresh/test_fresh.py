"""The two commands of the README, typed on a Debian that holds make, python3 and nothing else that sshrun needs."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.hosts import engine_answers

pytestmark = [pytest.mark.long, pytest.mark.docker]

PROJECT = Path(__file__).parents[2]
MINUTES = 60

# Everything has to be set up for these, and they are what another file system, process 1 and account database could
# change. The whole of the tests runs on the machine that runs this one.
DIFFERS = (
    "tests/unit tests/shell/test_files_sh.py tests/shell/test_follow_sh.py tests/shell/test_stop_sh.py "
    "tests/server/test_files.py tests/server/test_run.py tests/server/test_doctor_login.py "
    "tests/server/test_login_answers.py"
)

# With another Python and another OpenSSH than this machine's: a quick pass.
NEWER = "tests/unit tests/server/test_run.py tests/server/test_signals.py tests/server/test_resume.py"

Completed = subprocess.CompletedProcess[str]


def source() -> bytes:
    """What a clone would hold, and what is not committed yet, as a tar archive: nothing that git ignores."""
    names = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=PROJECT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split("\0")
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for name in filter(None, names):
            if (PROJECT / name).exists():
                tar.add(PROJECT / name, f"sshrun/{name}")
    return archive.getvalue()


class Machine:
    """A running container, and what can be typed there."""

    def __init__(self, name: str) -> None:
        self.name = name

    def type(self, command: str, *, user: str = "root", timeout: float = 15 * MINUTES) -> Completed:
        return subprocess.run(
            ["docker", "exec", self.name, "su", "-", user, "-c", command],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout,
        )

    def must(self, command: str, *, user: str = "root", timeout: float = 15 * MINUTES) -> str:
        done = self.type(command, user=user, timeout=timeout)
        assert done.returncode == 0, f"{command}: exit {done.returncode}\n{done.stdout}"
        return done.stdout

    def clone_into(self, home: str) -> None:
        subprocess.run(["docker", "cp", "-", f"{self.name}:{home}"], input=source(), check=True, capture_output=True)


def trust_certificate_of_this_network(machine: Machine) -> None:
    """Where a proxy shows a certificate of its own, pip is told of it by PIP_CERT: here, and so in the container."""
    certificate = os.environ.get("PIP_CERT")
    if certificate:
        subprocess.run(
            ["docker", "cp", "--follow-link", certificate, f"{machine.name}:/etc/network.pem"],
            check=True,
            capture_output=True,
        )
        machine.must("printf '[global]\\ncert = /etc/network.pem\\n' >/etc/pip.conf")


@pytest.fixture
def bare_debian() -> Iterator[Callable[..., Machine]]:
    if not engine_answers():
        pytest.skip("no docker engine answers")
    containers = []

    def start(suite: str = "bookworm") -> Machine:
        made = subprocess.run(
            [PROJECT / "docker/base.sh"],
            env=os.environ | {"SUITE": suite},
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        )
        base = made.stdout.strip()
        # --init: a process 1 that reaps, as every machine has.
        command = ["docker", "run", "--detach", "--init", base, "sleep", "infinity"]
        name = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
        containers.append(name)
        machine = Machine(name)
        trust_certificate_of_this_network(machine)
        machine.must("apt-get update -qq && apt-get install -qq -y --no-install-recommends make python3")
        return machine

    yield start
    for name in containers:
        subprocess.run(["docker", "rm", "--force", "--volumes", name], check=True, capture_output=True)


def assert_demo_downloaded_results(machine: Machine, output: str, *, home: str, user: str) -> None:
    assert "epoch  20" in output
    machine.must(f"test -s {home}/sshrun/examples/digits/digits.zip", user=user)
    machine.must(f"test -s {home}/sshrun/examples/digits/metrics.json", user=user)


def test_root_types_make_demo_and_make_test_and_then_an_ordinary_user_does(
    bare_debian: Callable[[], Machine],
) -> None:
    machine = bare_debian()
    machine.clone_into("/root")
    output = machine.must("cd sshrun && make demo")
    assert_demo_downloaded_results(machine, output, home="/root", user="root")
    assert " passed" in machine.must(f"cd sshrun && make test PYTEST='{DIFFERS}'", timeout=30 * MINUTES)
    assert machine.type("test -e /usr/sbin/policy-rc.d").returncode != 0, "the policy outlived the installation"
    assert "sshd" not in machine.must("ps -e -o comm="), "installing a package, or a test, left an sshd behind"

    machine.must("useradd --create-home --shell /bin/bash ada")
    machine.clone_into("/home/ada")
    machine.must("chown -R ada: /home/ada/sshrun")
    output = machine.must("cd sshrun && make demo", user="ada")
    assert_demo_downloaded_results(machine, output, home="/home/ada", user="ada")
    # What differs for an ordinary user is the setting up, and files that may not be read or written.
    tests = "PYTEST='tests/unit tests/server/test_files.py'"
    assert " passed" in machine.must(f"cd sshrun && make test {tests}", user="ada", timeout=30 * MINUTES)


def test_an_ordinary_user_without_the_packages_is_told_what_to_type(bare_debian: Callable[[], Machine]) -> None:
    machine = bare_debian()
    machine.must("useradd --create-home --shell /bin/bash ada")
    machine.clone_into("/home/ada")
    machine.must("chown -R ada: /home/ada/sshrun")
    told = machine.type("cd sshrun && make demo", user="ada")
    assert told.returncode != 0
    assert "venv" in told.stdout
    assert "openssh-server" in told.stdout
    command = told.stdout.partition("please type: sudo ")[2].partition("\n")[0]
    machine.must(f"cd /home/ada/sshrun && env {command}")
    output = machine.must("cd sshrun && make demo", user="ada")
    assert_demo_downloaded_results(machine, output, home="/home/ada", user="ada")


def test_debian_13_has_a_newer_python_and_a_newer_openssh(bare_debian: Callable[..., Machine]) -> None:
    machine = bare_debian("trixie")
    machine.clone_into("/root")
    assert machine.must("python3 --version").startswith("Python 3.13")
    assert " passed" in machine.must(f"cd sshrun && make test PYTEST='{NEWER}'", timeout=30 * MINUTES)
    assert "OpenSSH_10" in machine.must("ssh -V 2>&1")


def test_a_python_that_is_too_old_is_named(bare_debian: Callable[[], Machine]) -> None:
    machine = bare_debian()
    machine.clone_into("/root")
    # The check asks the interpreter for its version: this one claims to be older.
    machine.must("printf '#!/bin/sh\\nexit 1\\n' >/usr/local/bin/python3.9; chmod 755 /usr/local/bin/python3.9")
    told = machine.type("cd sshrun && make demo PYTHON=python3.9")
    assert told.returncode != 0
    assert "sshrun needs Python 3.11 or later, and python3.9 is not that" in told.stdout
