"""`sshrun doctor` names what is wrong, and what to type, one injected fault after the other."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sshrun.sandbox import Sandbox
from support.examination import Examination, examine
from support.installed import Sshrun
from support.relay import Relay

Look = Callable[..., Examination]


@pytest.fixture
def look(plain_sshrun: Sshrun, home: Path) -> Look:
    """`sshrun doctor` of a sandbox, through its ssh config as it is by then."""

    def look(sandbox: Sandbox, *words: str, **settings: object) -> Examination:
        file = home / ".sshrun" / "user_settings.yaml"
        file.parent.mkdir(mode=0o700, exist_ok=True)
        file.write_text(json.dumps({"ssh": {"config_path": str(sandbox.config), **settings}}))
        return examine(plain_sshrun, *words, *(() if words else (sandbox.host,)))

    return look


def change_config(sandbox: Sandbox, old: str, new: str) -> None:
    before = sandbox.config.read_text()
    assert old in before
    sandbox.config.write_text(before.replace(old, new))


def key_line(path: Path) -> str:
    return f'IdentityFile "{path}"'


def make_key(path: Path, passphrase: str = "") -> Path:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-f", path], check=True)
    return path


def script(path: Path, text: str) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def tools_without(folder: Path, *missing: str) -> str:
    """A PATH with links to all programs but some."""
    folder.mkdir()
    for place in reversed(os.environ["PATH"].split(os.pathsep)):
        for program in Path(place).iterdir() if os.path.isdir(place) else []:
            if program.name not in missing and not program.name.startswith("python"):
                link = folder / program.name
                link.unlink(missing_ok=True)
                link.symlink_to(program)
    return str(folder)


@contextmanager
def listener(greeting: bytes | None) -> Iterator[int]:
    """A port that accepts connections, and says `greeting` and hangs up, or stays silent."""
    taken = []

    def serve() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            if greeting is None:
                taken.append(connection)
            else:
                with connection:
                    connection.sendall(greeting)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
        thread.join()
    for connection in taken:
        connection.close()


# Nothing wrong


def test_a_sound_host_is_all_well(look: Look, sandbox: Sandbox) -> None:
    found = look(sandbox)
    assert (found.status, found.failures()) == (0, set()), found.findings
    checks = {
        *("ssh", "config", "keys", "connection", "host key", "login", "shell", "tools", "python", "home", "sftp"),
        *("sessions", "detaching", "gpus", "clock", "job"),
    }
    assert checks <= set(found.findings)
    for check in checks - {"python", "home", "gpus"}:  # which are this machine's own
        assert found[check].verdict == "ok", found[check]
    assert found["login"].text.startswith("by publickey")
    assert str(sandbox.port) in found["connection"].text


def test_the_table_names_the_fix_and_the_exit_status_tells(
    plain_sshrun: Sshrun, sshrun: Sshrun, sandbox: Sandbox
) -> None:
    sandbox.log.with_name("user_key").chmod(0o644)
    ended = plain_sshrun("doctor", sandbox.host)
    assert ended.status == 255
    lines = ended.stdout.decode().splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith("warning  keys"))
    assert lines[at + 1].strip().startswith("-> chmod 600")
    assert ended.stderr.splitlines()[-1].startswith("sshrun: no job could start on sandbox now: login")


def test_nothing_is_left_on_the_host(look: Look, sandbox: Sandbox) -> None:
    assert look(sandbox).status == 0
    left = [path for path in sandbox.home.rglob("*") if not path.is_dir()]
    assert left == []
    assert list(sandbox.home.glob(".sshrun/hosts/*/doctor.*")) == []
    assert list(sandbox.home.glob(".sshrun-doctor*")) == []


def test_two_hosts_at_once_are_a_usage_error(plain_sshrun: Sshrun) -> None:
    assert plain_sshrun("doctor", "one", "two").status == 2
    assert plain_sshrun("--host", "one", "doctor", "two").status == 2


# Faults on this side


def test_no_ssh_here(look: Look, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    found = look(sandbox)
    assert found.status == 255
    assert found["ssh"].verdict == "failure"
    assert "openssh-client" in found["ssh"].fix


def test_no_rsync_here(look: Look, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", tools_without(tmp_path / "bin", "rsync"))
    found = look(sandbox)
    assert found.status == 0
    assert "rsync is not installed on this machine" in found["rsync"].text


def test_wrong_key_mode(look: Look, sandbox: Sandbox) -> None:
    key = sandbox.directory / "user_key"
    key.chmod(0o640)
    found = look(sandbox)
    assert found.status == 255
    assert found["keys"].verdict == "warning"
    assert "0640" in found["keys"].text
    assert found["keys"].fix == f"chmod 600 {key}"
    assert found["login"].verdict == "failure"


def test_empty_agent(look: Look, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    change_config(sandbox, key_line(sandbox.directory / "user_key"), key_line(tmp_path / "id_ed25519"))
    change_config(sandbox, "IdentityAgent none", "IdentitiesOnly no")
    monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "agent"))
    with subprocess.Popen(["ssh-agent", "-D", "-a", tmp_path / "agent"], stdout=subprocess.DEVNULL) as agent:
        try:
            while not (tmp_path / "agent").exists():
                assert agent.poll() is None
            found = look(sandbox)
        finally:
            agent.terminate()
    assert found.status == 255
    assert "an agent that holds no key" in found["keys"].text
    assert found["keys"].fix.startswith("ssh-add")
    assert "Permission denied" in found["login"].text


def test_key_with_a_passphrase_and_no_agent(look: Look, sandbox: Sandbox, tmp_path: Path) -> None:
    key = make_key(tmp_path / "locked", passphrase="secret")
    change_config(sandbox, key_line(sandbox.directory / "user_key"), key_line(key))
    with (sandbox.directory / "authorized_keys").open("a") as accepted:
        accepted.write((tmp_path / "locked.pub").read_text())
    found = look(sandbox)
    assert found["keys"].verdict == "warning"
    assert "asks for its passphrase" in found["keys"].text
    assert found["keys"].fix == f"ssh-add {key}"
    assert found["login"].verdict == "failure"


def test_key_that_the_server_refuses(look: Look, sandbox: Sandbox, tmp_path: Path) -> None:
    other = make_key(tmp_path / "other")
    change_config(sandbox, key_line(sandbox.directory / "user_key"), key_line(other))
    found = look(sandbox)
    assert found.status == 255
    assert (found["keys"].verdict, found["login"].verdict) == ("ok", "failure")
    assert "Permission denied (publickey)" in found["login"].text
    assert "-i FILE" in found["login"].fix


def test_key_file_that_the_config_names_and_nobody_has(look: Look, sandbox: Sandbox, tmp_path: Path) -> None:
    change_config(sandbox, "    IdentitiesOnly", f"    {key_line(tmp_path / 'gone')}\n    IdentitiesOnly")
    found = look(sandbox)
    assert found.status == 0
    assert "gone: No such file" in found["keys"].text


def test_ssh_config_that_ssh_cannot_read(look: Look, sandbox: Sandbox) -> None:
    change_config(sandbox, "    RequestTTY no", "    RequestTTY no\n    Bogus yes")
    found = look(sandbox)
    assert found.status == 255
    assert found["config"].verdict == "failure"
    assert "bogus" in found["config"].text


# Faults on the way


def test_changed_host_key(look: Look, sandbox: Sandbox, tmp_path: Path) -> None:
    make_key(tmp_path / "another")
    known = sandbox.directory / "known_hosts"
    known.write_text(f"[127.0.0.1]:{sandbox.port} {(tmp_path / 'another.pub').read_text()}")
    found = look(sandbox)
    assert found.status == 255
    assert found["host key"].verdict == "failure"
    assert "has changed" in found["host key"].text
    assert f"ssh-keygen -f {known} -R '[127.0.0.1]:{sandbox.port}'" in found["host key"].fix
    assert "login" not in found.findings


def test_unknown_host_key(look: Look, sandbox: Sandbox) -> None:
    (sandbox.directory / "known_hosts").write_text("")
    found = look(sandbox)
    assert found.status == 255
    assert "its host key is unknown" in found["host key"].text
    assert "ssh -F" in found["host key"].fix


def test_name_that_does_not_resolve(look: Look, sandbox: Sandbox) -> None:
    change_config(sandbox, "HostName 127.0.0.1", "HostName nowhere.invalid")
    found = look(sandbox)
    assert found.status == 255
    assert "Could not resolve hostname nowhere.invalid" in found["connection"].text


def test_unreachable_port(look: Look, sandbox: Sandbox) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        free = server.getsockname()[1]
    change_config(sandbox, f"Port {sandbox.port}", f"Port {free}")
    found = look(sandbox)
    assert found.status == 255
    assert found["connection"].text == f"nothing listens on port {free} of 127.0.0.1"
    assert "-p PORT" in found["connection"].fix


def test_silent_port(look: Look, sandbox: Sandbox) -> None:
    with listener(None) as port:
        change_config(sandbox, f"Port {sandbox.port}", f"Port {port}\n    ConnectTimeout 2")
        found = look(sandbox)
    assert found.status == 255
    assert found["connection"].text == f"port {port} of 127.0.0.1 accepts connections and stays silent"


def test_port_of_something_else(look: Look, sandbox: Sandbox) -> None:
    with listener(b"HTTP/1.1 400 Bad Request\r\n\r\n") as port:
        change_config(sandbox, f"Port {sandbox.port}", f"Port {port}")
        found = look(sandbox)
    assert found.status == 255
    assert "is no SSH server" in found["connection"].text


# Faults on the host


def test_noisy_shell(look: Look, start_sandbox: Callable[..., Sandbox], tmp_path: Path) -> None:
    noisy = script(tmp_path / "noisy", "echo Welcome; printf 'last login: never'; exec /bin/sh \"$@\"")
    found = look(start_sandbox(shell=noisy))
    assert found.status == 0
    assert found["shell"].verdict == "warning"
    assert "prints before it runs a command: 'Welcome'" in found["shell"].text
    assert "case $- in" in found["shell"].fix
    assert "breaks it" in found["sftp"].text


def test_nologin_shell(look: Look, start_sandbox: Callable[..., Sandbox]) -> None:
    found = look(start_sandbox(shell=Path("/usr/sbin/nologin")))
    assert found.status == 255
    assert found["login"].verdict == "ok"
    assert "the account has no shell" in found["shell"].text
    assert "chsh" in found["shell"].fix


def test_force_command(look: Look, start_sandbox: Callable[..., Sandbox]) -> None:
    found = look(start_sandbox("ForceCommand /bin/date"))
    assert found.status == 255
    assert "runs a command of its own" in found["shell"].text
    assert "ForceCommand" in found["shell"].fix


def test_sftp_only_account(look: Look, start_sandbox: Callable[..., Sandbox]) -> None:
    found = look(start_sandbox("ForceCommand internal-sftp"))
    assert found.status == 255
    assert "sftp only" in found["shell"].text


def test_one_session_only(look: Look, start_sandbox: Callable[..., Sandbox]) -> None:
    found = look(start_sandbox("MaxSessions 1"))
    assert found.status == 0
    assert found["sessions"].verdict == "warning"
    assert "MaxSessions" in found["sessions"].fix
    assert (found["sftp"].verdict, found["detaching"].verdict) == ("ok", "ok")


def test_no_sftp(look: Look, start_sandbox: Callable[..., Sandbox]) -> None:
    found = look(start_sandbox("Subsystem sftp /bin/false"))
    assert found.status == 0
    assert found["sftp"].verdict == "warning"
    assert "Subsystem sftp" in found["sftp"].fix


@pytest.mark.parametrize("off", [3600, -90])
def test_skewed_clock(look: Look, start_sandbox: Callable[..., Sandbox], tmp_path: Path, off: int) -> None:
    date = shutil.which("date")
    script(tmp_path / "bin" / "date", f'[ "$1" != +%s ] || exec {date} -d "{off} seconds" +%s\nexec {date} "$@"')
    found = look(start_sandbox(environment={"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"}))
    assert found.status == 0
    assert found["clock"].verdict == "warning"
    seconds, _, which, *_ = found["clock"].text.split()
    assert abs(int(seconds) - abs(off)) <= 2
    assert which == ("ahead" if off > 0 else "behind")


def test_no_rsync_and_no_python_on_the_host(look: Look, start_sandbox: Callable[..., Sandbox], tmp_path: Path) -> None:
    path = tools_without(tmp_path / "bin", "rsync", "uv")
    sandbox = start_sandbox(environment={"PATH": path})
    (sandbox.home / ".bash_profile").write_text(f"PATH='{path}'\n")
    found = look(sandbox)
    assert found.status == 0
    assert "no rsync on the host" in found["rsync"].text
    assert found["python"].verdict == "warning"
    assert "create_venv: false" in found["python"].fix
    assert look(sandbox, create_venv=False)["python"].verdict == "ok"


def test_the_python_of_a_job_is_looked_at(look: Look, sandbox: Sandbox) -> None:
    """The one that the profile brings, or the settings name."""
    script(sandbox.home / "bin" / "python3", "echo Python 3.99.0")
    (sandbox.home / ".bash_profile").write_text("echo noise; PATH=$HOME/bin:/usr/bin:/bin\n")
    assert look(sandbox)["python"].text == "Python 3.99.0"
    found = look(sandbox, python="python3.98")
    assert (found.status, found["python"].verdict) == (0, "warning")
    assert "no 'python3.98'" in found["python"].text
    assert "ssh.python" in found["python"].fix
    script(sandbox.home / "bin" / "python3.98", "echo Python 3.98.1")
    assert look(sandbox, python="3.98")["python"].text == "Python 3.98.1"


@pytest.mark.parametrize("end", ["exit 0", "exec /bin/sh"])
def test_profile_that_lets_no_job_begin(look: Look, sandbox: Sandbox, end: str) -> None:
    (sandbox.home / ".bash_profile").write_text(f"{end}\n")
    found = look(sandbox)
    assert (found.status, found.failures()) == (255, {"profile"})
    first_line = found["profile"].fix.split(": ", 1)[1]
    (sandbox.home / ".bash_profile").write_text(f"{first_line}\n{end}\n")
    assert look(sandbox).status == 0


def test_graphics_card_whose_driver_is_gone(look: Look, start_sandbox: Callable[..., Sandbox], tmp_path: Path) -> None:
    said = "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver."
    script(tmp_path / "bin" / "nvidia-smi", f'echo "{said}"; exit 9')
    found = look(start_sandbox(environment={"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"}))
    assert (found["gpus"].verdict, found["gpus"].text) == ("warning", said)


def test_working_directory_that_cannot_be_made(look: Look, sandbox: Sandbox) -> None:
    (sandbox.home / "file").write_text("in the way")
    found = look(sandbox, remote_dir="file/below")
    assert found.status == 255
    assert found["directory"].verdict == "failure"
    assert "--host HOST/PATH" in found["directory"].fix


def test_temporary_directory_of_the_settings(look: Look, start_sandbox: Callable[..., Sandbox], tmp_path: Path) -> None:
    sandbox = start_sandbox(environment={"TMPDIR": "/dev/null"})
    found = look(sandbox)
    assert (found.status, found["temporary"].verdict) == (0, "warning")
    assert found["temporary"].fix == "environment: [TMPDIR=DIRECTORY] in the settings"
    found = look(sandbox, environment=[f"TMPDIR={tmp_path}"])
    assert found["temporary"].verdict == "ok"
    assert found["temporary"].text.startswith(str(tmp_path))


def test_a_job_that_the_host_holds(look: Look, sshrun: Sshrun, sandbox: Sandbox) -> None:
    assert sshrun("--no-wait", "--", "sleep", "60").status == 0
    found = look(sandbox)
    assert (found.status, found.failures()) == (75, {"job"})
    assert "sleep 60" in found["job"].text
    assert "--resume" in found["job"].fix


def test_what_ends_jobs_at_logout(look: Look, start_sandbox: Callable[..., Sandbox], tmp_path: Path) -> None:
    """As logind does: what a connection has started ends with it."""
    shell = script(
        tmp_path / "shell",
        """server=$(awk '/^PPid/ { print $2 }' /proc/$PPID/status)
setsid setsid sh -c 'while kill -0 $1; do sleep 0.05; done; grep -ls "SSHRUN_JOB=doctor" /proc/[0-9]*/environ |
  xargs grep -ls "HOME=$HOME" | sed "s|[^0-9]||g" | xargs kill -KILL' sh "$PPID" >/dev/null 2>&1 </dev/null
exec /bin/sh "$@\"""",
    )
    found = look(start_sandbox(shell=shell))
    assert found.status == 255
    assert found["detaching"].verdict == "failure"


# A connection of one's own


def test_an_open_master_is_used_and_left_alone(look: Look, sandbox: Sandbox, tmp_path: Path) -> None:
    change_config(sandbox, "    RequestTTY no", f"    RequestTTY no\n    ControlPath {tmp_path}/master")
    own = ["ssh", "-F", str(sandbox.config)]
    subprocess.run([*own, "-fNM", sandbox.host], check=True, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        found = look(sandbox)
        assert found.status == 0, found
        assert "your open connection" in found["config"].text
        assert subprocess.run([*own, "-O", "check", sandbox.host], check=False, capture_output=True).returncode == 0
    finally:
        subprocess.run([*own, "-O", "exit", sandbox.host], check=False, capture_output=True)


def test_a_connection_that_dies_on_the_way_is_told(look: Look, sandbox: Sandbox, relay: Relay) -> None:
    relay.refuse()
    found = look(sandbox)
    assert found["connection"].verdict == "failure"
