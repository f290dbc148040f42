"""`sshrun doctor` on hosts with a character, and on faults that only a container's own root can inject."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.examination import examine
from support.hosts import SANDBOX, Compose, SshHost
from support.installed import Sshrun

# Per host: what the doctor warns of, beside what it finds everywhere.
WARNINGS = {
    SANDBOX: set(),
    "full": set(),
    "minimal": {"shell", "rsync", "sftp"},
    "hardened": {"rsync", "sftp", "sessions", "temporary"},
    "noisy-bash": {"shell", "sftp"},
    "noisy-fish": {"shell", "sftp"},
    "noisy-tcsh": {"shell", "sftp"},
    "dropbear": {"rsync"},
    "logind": {"rsync"},
    "inner": {"rsync"},
}


def test_doctor(ssh_host: SshHost, sshrun: Sshrun) -> None:
    sshrun("--force", "--", "true")  # whatever an earlier test has left
    found = examine(sshrun)
    warnings = {check for check, finding in found.findings.items() if finding.verdict == "warning"}
    # The sandbox stands on whatever machine this is.
    assert (
        warnings - ({"python", "home", "temporary"} if ssh_host.name == SANDBOX else set()) == WARNINGS[ssh_host.name]
    )
    assert (found.status, found.failures()) == (0, set()), found.findings


class Root:
    """root in the container of `logind`, the only one that may mount; what it has done is undone."""

    def __init__(self, compose: Compose) -> None:
        self.compose = compose
        self.undo: list[tuple[str, ...]] = []

    def __call__(self, *command: str, undo: tuple[str, ...] = ()) -> None:
        self.compose.run("logind", *command)
        if undo:
            self.undo.append(undo)


@pytest.fixture
def root(compose: Compose) -> Iterator[Root]:
    root = Root(compose)
    yield root
    for command in reversed(root.undo):
        root(*command)


def remount_home(root: Root, option: str) -> None:
    root("mount", "--bind", "/home/joe", "/home/joe", undo=("umount", "-l", "/home/joe"))
    root("mount", "-o", f"remount,bind,{option}", "/home/joe")


@pytest.mark.hosts("logind")
def test_full_disk(ssh_host: SshHost, sshrun: Sshrun, root: Root) -> None:
    root(
        "mount",
        "-t",
        "tmpfs",
        "-o",
        "size=64k,uid=joe,mode=700",
        "none",
        "/home/joe",
        undo=("umount", "-l", "/home/joe"),
    )
    ssh_host.sh("dd if=/dev/zero of=filler bs=4096")
    found = examine(sshrun)
    assert found.status == 255
    assert found["home"].verdict == "failure"
    assert "full" in found["home"].text or "cannot be written" in found["home"].text


@pytest.mark.hosts("logind")
def test_read_only_home(ssh_host: SshHost, sshrun: Sshrun, root: Root) -> None:
    remount_home(root, "ro")
    found = examine(sshrun)
    assert found.status == 255
    assert found["directory"].text == "/home/joe/life: nothing can be written"
    assert "--host HOST/PATH" in found["directory"].fix
    assert found["home"].verdict == "warning"


@pytest.mark.hosts("logind")
def test_noexec_home(ssh_host: SshHost, sshrun: Sshrun, root: Root) -> None:
    remount_home(root, "noexec")
    found = examine(sshrun)
    assert found.status == 0
    assert found["home"].text == "/home/joe is mounted noexec: no program can run from it"


@pytest.mark.hosts("logind")
def test_kill_user_processes_where_nobody_may_linger(ssh_host: SshHost, sshrun: Sshrun, root: Root) -> None:
    # Without polkit nobody but root may ask for it.
    root("systemctl", "mask", "--runtime", "--now", "polkit", undo=("systemctl", "unmask", "--runtime", "polkit"))
    root("loginctl", "disable-linger", "joe")
    started = sshrun("--force", "--", "true")
    assert "as root: loginctl enable-linger joe" in started.stderr
    found = examine(sshrun)
    assert found.status == 255
    assert "KillUserProcesses" in found["detaching"].text
    assert found["detaching"].fix == "on the host, as root: loginctl enable-linger joe"
    root("loginctl", "enable-linger", "joe")
    found = examine(sshrun)
    assert (found.status, found["detaching"].verdict) == (0, "ok"), found.findings


@pytest.mark.hosts("hardened")
def test_hardened(ssh_host: SshHost, sshrun: Sshrun) -> None:
    found = examine(sshrun)
    assert "noexec" in found["temporary"].text
    assert "TMPDIR" in found["temporary"].fix
    assert "MaxSessions" in found["sessions"].fix
