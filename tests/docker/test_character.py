"""Each host is as weak as it is said to be: a test of sshrun must not pass on a soft one."""

from __future__ import annotations

import subprocess
import time

import pytest

from support.hosts import Compose, SshHost
from support.waiting import eventually


def on(*names: str) -> pytest.MarkDecorator:
    return pytest.mark.hosts(*names)


def sftp(ssh_host: SshHost) -> int:
    words = ["sftp", "-q", "-F", str(ssh_host.config), "-b", "/dev/stdin", ssh_host.name]
    return subprocess.run(words, input=b"pwd\n", capture_output=True, timeout=30, check=False).returncode


def tools(ssh_host: SshHost, *names: str) -> set[str]:
    return {name for name in names if ssh_host.sh(f"command -v {name}")}


@on("full")
def test_full_has_everything(ssh_host: SshHost) -> None:
    wanted = {"bash", "rsync", "python3", "uv", "setsid", "nohup", "tar", "ps"}
    assert tools(ssh_host, *wanted) == wanted
    assert sftp(ssh_host) == 0
    assert ssh_host.sh("uv --version").startswith("uv ")


@on("minimal")
def test_minimal_is_busybox_and_nothing_else(ssh_host: SshHost) -> None:
    absent = ("bash", "rsync", "python3", "python", "perl", "nohup", "setsid", "flock", "pgrep", "scp", "systemd-run")
    assert tools(ssh_host, *absent) == set()
    assert "BusyBox" in ssh_host.sh("readlink /bin/sh; ls --help 2>&1")
    assert sftp(ssh_host) != 0


@on("minimal")
def test_minimal_reaps_no_orphans(ssh_host: SshHost) -> None:
    ssh_host.sh("(exec sh -c 'sleep 0.2' &)")
    eventually(lambda: int(ssh_host.sh("grep -l -E '^State:.Z' /proc/[0-9]*/status | wc -l")) > 0)


@on("hardened")
def test_hardened_has_no_sftp_and_few_tools(ssh_host: SshHost) -> None:
    assert sftp(ssh_host) != 0
    assert tools(ssh_host, "rsync", "python3", "python", "scp", "nohup") == set()


@on("hardened")
def test_hardened_gives_no_terminal_and_no_forwarding(ssh_host: SshHost) -> None:
    refused = ssh_host.ssh("tty", "-tt")
    assert b"PTY allocation request failed" in refused.stderr
    forwarded = ssh_host.ssh("true", "-R", "0:127.0.0.1:1", "-o", "ExitOnForwardFailure=yes")
    assert forwarded.returncode == 255
    assert b"forwarding failed" in forwarded.stderr


@on("hardened")
def test_hardened_allows_one_session(ssh_host: SshHost) -> None:
    master = ("-o", f"ControlPath={ssh_host.config}.one", "-o", "ControlMaster=auto", "-o", "ControlPersist=20")
    assert ssh_host.ssh("true", *master).returncode == 0
    words = ["ssh", "-F", str(ssh_host.config), *master, ssh_host.name, "cat"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as first:
        assert first.stdin is not None and first.stdout is not None
        first.stdin.write(b"here\n")
        first.stdin.flush()
        assert first.stdout.readline() == b"here\n"
        second = ssh_host.ssh("true", *master, "-o", "ControlMaster=no", "-o", "ProxyCommand=false")
        assert second.returncode == 255
        assert b"open refused by peer" in second.stderr
        first.stdin.close()
        assert first.wait(20) == 0


@on("hardened")
def test_hardened_is_read_only_but_for_the_home_and_runs_nothing_from_tmp(ssh_host: SshHost) -> None:
    assert ssh_host.sh("id -u") != "0"
    assert ssh_host.sh("for d in / /etc /usr /opt /var; do touch $d/x 2>/dev/null && echo $d; done") == ""
    assert ssh_host.sh("touch home-is-writable && echo yes") == "yes"
    run = ssh_host.sh("cp /bin/true /tmp/true && /tmp/true; echo $?; cp /bin/true ./true && ./true; echo $?")
    assert run.split() == ["126", "0"]


@on("hardened")
def test_hardened_lets_in_one_account_by_key_only(ssh_host: SshHost) -> None:
    assert ssh_host.ssh("true").returncode == 0
    others = ssh_host.ssh("true", "-l", "root")
    password = ssh_host.ssh("true", "-o", "PubkeyAuthentication=no", "-o", "BatchMode=yes")
    assert (others.returncode, password.returncode) == (255, 255)
    assert b"Permission denied (publickey)" in password.stderr


@on("noisy-bash", "noisy-fish", "noisy-tcsh")
def test_noisy_talks_on_both_streams_before_it_obeys(ssh_host: SshHost) -> None:
    answer = ssh_host.ssh("echo obeyed")
    assert b"Willkommen" in answer.stdout.partition(b"obeyed")[0]
    assert b"login: neverobeyed\n" in answer.stdout  # no newline before it
    assert b"Authorised use only" in answer.stderr
    assert any(word in answer.stderr for word in (b"disk quota", b"fish warns", b"tcsh warns"))
    assert sftp(ssh_host) != 0


@on("noisy-bash", "noisy-fish", "noisy-tcsh")
def test_noisy_has_the_login_shell_it_is_named_after(ssh_host: SshHost) -> None:
    shell = ssh_host.name.removeprefix("noisy-")
    assert ssh_host.sh("grep $(id -un): /etc/passwd").endswith(f"/{shell}")


@on("noisy-bash", "noisy-fish", "noisy-tcsh")
def test_noisy_speaks_german(ssh_host: SshHost) -> None:
    assert ssh_host.sh("locale decimal_point") == ","
    assert "Datei oder Verzeichnis nicht gefunden" in ssh_host.sh("ls /nowhere 2>&1")


@on("dropbear")
def test_dropbear_is_no_openssh(ssh_host: SshHost) -> None:
    seen = ssh_host.ssh("true", "-v").stderr
    assert b"remote software version dropbear" in seen


@on("logind")
def test_logind_ends_what_a_session_leaves(ssh_host: SshHost) -> None:
    """Not even a session and a group of its own save a process."""
    left = "cat /proc/[0-9]*/cmdline | tr '[:cntrl:]' ' ' | grep -c -e '4321[.]5'"
    # On a connection of its own: logind's session is the connection.
    began = ssh_host.ssh(f"setsid setsid sleep 4321.5 </dev/null >/dev/null 2>&1; sleep 0.2; {left}")
    assert began.stdout == b"1\n"
    eventually(lambda: ssh_host.sh(left) == "0", seconds=5)


@on("logind")
def test_logind_keeps_what_runs_in_a_scope_of_a_lingering_account(ssh_host: SshHost) -> None:
    left = "cat /proc/[0-9]*/cmdline | tr '[:cntrl:]' ' ' | grep -c -e '4321[.]7'"
    ssh_host.ssh(
        "loginctl --no-ask-password enable-linger;"
        "systemd-run --user --scope --quiet -- setsid setsid sleep 4321.7 </dev/null >/dev/null 2>&1; sleep 0.2"
    )
    logout = time.monotonic() + 2
    while time.monotonic() < logout:
        assert ssh_host.sh(left) == "1"
    ssh_host.sh("pkill -f '4321[.]7'; loginctl disable-linger")


@on("inner")
def test_inner_is_behind_the_bastion_only(ssh_host: SshHost, compose: Compose) -> None:
    assert ssh_host.sh("uname -n") == "inner"
    with pytest.raises(ValueError, match="Could not detect port"):
        compose._services.port_for("inner", 22)
    address = compose.run("inner", "hostname", "-i").split()[0]
    assert compose.run("bastion", "getent", "hosts", "inner").split()[0] == address
    shell = subprocess.run(
        ["ssh", "-F", str(ssh_host.config), "bastion", "true"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    assert b"This account is currently not available" in shell.stdout
