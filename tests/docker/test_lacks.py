"""What a host lacks degrades, never breaks; and is told where it matters, not elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.hosts import SshHost
from support.installed import Sshrun
from support.specs import write_spec
from support.waiting import eventually


@pytest.mark.hosts("minimal")
def test_no_bash_is_told_where_commands_would_run_in_it(ssh_host: SshHost, sshrun: Sshrun, tmp_path: Path) -> None:
    write_spec(tmp_path, "true")
    assert "bash" not in sshrun("--force", "train", "my_model").stderr
    write_spec(tmp_path, 'echo "$WORD"', startup_cmds=["WORD=said; export WORD"])
    ended = sshrun("train", "my_model")
    assert (ended.status, ended.stdout) == (0, b"said\n"), ended.stderr
    assert ended.stderr.count("has no bash: startup and shutdown commands run in sh") == 1
    write_spec(tmp_path, "rm -f bye", shutdown_cmds=["echo $SSHRUN_EXIT_CODE >bye"])
    ended = sshrun("train", "my_model")
    assert (ended.status, ended.stderr.count("has no bash")) == (0, 1)
    eventually(lambda: ssh_host.sh("cat life/bye") == "0")


@pytest.mark.hosts("full")
def test_bash_is_not_told(ssh_host: SshHost, sshrun: Sshrun, tmp_path: Path) -> None:
    write_spec(tmp_path, "true", startup_cmds=["true"])
    assert "bash" not in sshrun("--force", "train", "my_model").stderr


@pytest.mark.hosts("minimal", "hardened")
def test_no_python_ends_a_job_that_wants_an_environment(ssh_host: SshHost, sshrun: Sshrun, tmp_path: Path) -> None:
    write_spec(tmp_path, "echo never", create_venv=True)
    ended = sshrun("--force", "train", "my_model")
    assert ended.status not in (0, 255)
    assert b"never" not in ended.stdout
    assert "create_venv: false" in ended.stderr + ended.stdout.decode()


@pytest.mark.hosts("full")
def test_uv_makes_the_environment_where_python_cannot(ssh_host: SshHost, sshrun: Sshrun, tmp_path: Path) -> None:
    """Debian's python3 without python3-venv: `python3 -m venv` fails."""
    assert "No module named" in ssh_host.sh("python3 -c 'import ensurepip' 2>&1")
    write_spec(tmp_path, 'command -v python; python -c "print(6 * 7)"', create_venv=True)
    ended = sshrun("--force", "train", "my_model")
    assert (ended.status, ended.stdout) == (0, b"/home/joe/life/.venv/bin/python\n42\n"), ended.stderr
