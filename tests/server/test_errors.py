"""What goes wrong before a job begins: one line that says what to do, an exit status, and nothing left on the host."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

import pytest

from sshrun.sandbox import Sandbox
from support.installed import Finished, Sshrun
from support.specs import HostSide, write_spec
from support.waiting import eventually


@pytest.fixture(autouse=True)
def nothing_left(sandbox: Sandbox, home: Path) -> object:
    """On the host not even a folder, and here no file of ssh's."""
    yield
    assert eventually(HostSide(sandbox).idle)
    assert HostSide(sandbox).ids() == []
    assert {path.name for path in sandbox.home.iterdir()} <= {".sshrun"}
    control = home / ".sshrun" / "control"
    assert eventually(lambda: not control.exists() or not os.listdir(control))


def one_line(finished: Finished, status: int, *texts: str) -> None:
    assert finished.status == status, finished.stderr
    assert finished.stdout == b""
    (line,) = finished.stderr.splitlines()
    for text in texts:
        assert text in line
    assert line.startswith("sshrun: ") and "Traceback" not in line


def test_a_host_that_does_not_exist(plain_sshrun: Sshrun) -> None:
    one_line(plain_sshrun("-h", "no.such.host.invalid", "--", "true"), 255, "no.such.host.invalid", "resolve")


def test_a_port_that_is_closed(sshrun: Sshrun) -> None:
    one_line(sshrun("-p", "1", "--", "true"), 255, "Connection refused", "ssh ")


def test_a_key_that_is_rejected(sshrun: Sshrun, sandbox: Sandbox) -> None:
    (sandbox.directory / "authorized_keys").write_text("")
    one_line(sshrun("--", "true"), 255, "Permission denied", "-i FILE", "ssh -F")
    assert sandbox.logins() == 0


def test_nowhere_to_keep_what_comes_of_a_job(sshrun: Sshrun, home: Path) -> None:
    (home / ".sshrun" / "jobs").touch()
    one_line(sshrun("--", "true"), 255, ".sshrun/jobs: File exists", "a directory of yours")


def test_a_key_that_is_not_there(sshrun: Sshrun, tmp_path: Path) -> None:
    one_line(sshrun("-i", tmp_path / "nothing", "--", "true"), 2, "nothing")


def test_a_host_key_that_is_not_known(sshrun: Sshrun, sandbox: Sandbox) -> None:
    known = sandbox.directory / "known_hosts"
    known.write_text("")
    one_line(sshrun("--", "true"), 255, "host key", "ssh ")
    assert known.read_text() == ""


def test_a_spec_that_is_not_there(sshrun: Sshrun, sandbox: Sandbox) -> None:
    one_line(sshrun("train", "no_such_model"), 2, "no_such_model")
    assert sandbox.logins() == 0


def test_an_upload_of_the_spec_that_matches_nothing(sshrun: Sshrun, sandbox: Sandbox, tmp_path: Path) -> None:
    write_spec(tmp_path, "true", upload_files=["data/*.csv"])
    one_line(sshrun("train", "my_model"), 2, "data/*.csv", "matches nothing")
    assert sandbox.logins() == 0


def test_a_user_file_that_is_no_yaml(sshrun: Sshrun, home: Path) -> None:
    user_file = home / ".sshrun" / "user_settings.yaml"
    user_file.write_text("ssh:\n  environment: [A=1\n")
    one_line(sshrun("--", "true"), 2, "user_settings.yaml:")


def test_no_host(plain_sshrun: Sshrun) -> None:
    finished = plain_sshrun("--", "true")
    assert finished.status == 2 and "--host" in finished.stderr


@pytest.fixture
def sandbox(start_sandbox, request: pytest.FixtureRequest) -> Sandbox:  # type: ignore[no-untyped-def]
    return start_sandbox(*getattr(request, "param", ()))


@pytest.mark.parametrize("sandbox", [("ForceCommand /bin/echo go away",)], indirect=True)
def test_a_host_that_runs_no_shell_for_us(sshrun: Sshrun) -> None:
    one_line(sshrun("--", "true"), 255, "go away", "ForceCommand")


def test_no_secret_is_shown_anywhere(sshrun: Sshrun, sandbox: Sandbox, home: Path, tmp_path: Path) -> None:
    secret = "hunter2-" + "x" * 8
    write_spec(tmp_path, "test -n \"$TOKEN\" && tr '\\0' '\\n' </proc/$PPID/cmdline", environment=[f"TOKEN={secret}"])
    shown = [
        sshrun("--dry-run", "train", "my_model"),
        sshrun("--json", "--dry-run", "train", "my_model"),
        sshrun("-v", "train", "my_model"),
        sshrun("--json", "status"),
        sshrun("jobs"),
    ]
    for finished in shown:
        assert finished.status == 0, finished.stderr
        assert secret not in finished.stderr and secret.encode() not in finished.stdout
    for folder, _, names in os.walk(sandbox.home / ".sshrun"):
        for name in names:
            status = os.lstat(os.path.join(folder, name))
            assert not stat.S_IMODE(status.st_mode) & 0o077, name
    for path in (home / ".sshrun").rglob("*"):
        assert not path.is_file() or secret not in path.read_text(errors="replace")
    for path in sandbox.home.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
