"""The sandbox: a real server that has nothing to do with the account's home and leaves nothing behind."""

from __future__ import annotations

import os
import pwd
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from sshrun import sandbox as sandboxes
from sshrun.errors import HostUnfit, UsageError
from sshrun.sandbox import Sandbox
from support.installed import Sshrun
from support.waiting import eventually

# Found by its command line alone, which another run of these tests must not have.
HIDDEN = f"sleep {10_000_000 + os.getpid()}"
# Detached in every way that a job may be; one has lost the cookie, and its parent on SIGTERM.
JOBS = f"""
printf '%s\\n' 'trap "" TERM' 'sleep 0.5' 'sh ./hop &' >hop
setsid sh ./hop >/dev/null 2>&1 </dev/null &
setsid sleep 1111 >/dev/null 2>&1 </dev/null &
(trap '' TERM HUP; exec setsid sh -c 'while :; do sleep 1; done') >/dev/null 2>&1 </dev/null &
setsid sh -c 'kill -STOP $$; sleep 2222' >/dev/null 2>&1 </dev/null &
setsid sh -c '(trap "" TERM; exec env -i {HIDDEN}) & wait' >/dev/null 2>&1 </dev/null &
(setsid sh -c 'sleep 4444 & sleep 5555' &) >/dev/null 2>&1 </dev/null &
"""

OWNER = """
import sys
from sshrun import sandbox
owned = sandbox.start()
owned.publish()
print(owned.directory, owned.port, flush=True)
sys.stdin.read()
"""


def ssh(sandbox: Sandbox, command: str, *options: str) -> str:
    words = ["ssh", "-F", str(sandbox.config), *options, sandbox.host, command]
    return subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, check=True, text=True).stdout


def carriers(cookie: str) -> list[str]:
    """The command lines of the processes that carry it in their environment, or stand in a session with one."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if cookie.encode() in (process / "environ").read_bytes():
                found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        except OSError:
            continue
    return found


def processes(command: str) -> list[int]:
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if command in (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace"):
                found.append(int(process.name))
        except OSError:
            continue
    return found


def start_jobs(sandbox: Sandbox) -> str:
    """Starts them, and returns the cookie when all are there."""
    cookie = (sandbox.directory / "cookie").read_text().strip()
    ssh(sandbox, JOBS)
    eventually(lambda: {"1111", "4444", "5555"} <= {line.split()[-1] for line in carriers(cookie) if line.strip()})
    eventually(lambda: bool(processes(HIDDEN)))
    return cookie


def left_of(sandbox: Sandbox, cookie: str) -> list[object]:
    """What is still there of it: nothing, when all is well."""
    with socket.socket() as client:
        port = [sandbox.port] if client.connect_ex(("127.0.0.1", sandbox.port)) == 0 else []
    folder = [sandbox.directory] if sandbox.directory.exists() else []
    return [*port, *folder, *carriers(cookie), *processes(HIDDEN)]


def test_a_session_starts_in_the_home_of_the_sandbox(sandbox: Sandbox) -> None:
    said = ssh(sandbox, 'pwd; printf "%s\\n" "$HOME" ~ "${SSH_ORIGINAL_COMMAND-none}"; id -un')
    account = pwd.getpwuid(os.getuid()).pw_name
    assert said.splitlines() == [str(sandbox.home)] * 3 + ["none", account]


def test_files_go_to_the_home_of_the_sandbox_by_every_way(sandbox: Sandbox, tmp_path: Path) -> None:
    real_home = Path(pwd.getpwuid(os.getuid()).pw_dir)
    before = sorted(os.listdir(real_home))
    file = tmp_path / "a file.txt"
    file.write_text("content")
    shell = f"ssh -F {sandbox.config}"
    config = ["-F", str(sandbox.config)]
    for command in (
        ["scp", "-q", *config, str(file), "sandbox:by-scp"],
        ["scp", "-q", "-O", *config, str(file), "sandbox:by-old-scp"],
        ["rsync", "-e", shell, str(file), "sandbox:by-rsync"],
    ):
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    batch = f'put "{file}" by-sftp\n'
    subprocess.run(["sftp", "-q", "-b", "-", *config, "sandbox"], input=batch, check=True, text=True)
    arrived = {path.name: path.read_text() for path in sandbox.home.iterdir()}
    assert arrived == dict.fromkeys(["by-scp", "by-old-scp", "by-rsync", "by-sftp"], "content")
    subprocess.run(["rsync", "-e", shell, "sandbox:by-scp", tmp_path / "back"], check=True, stdin=subprocess.DEVNULL)
    assert (tmp_path / "back").read_text() == "content"
    assert sorted(os.listdir(real_home)) == before


def test_a_command_arrives_as_it_was_sent_and_its_exit_status_comes_back(sandbox: Sandbox) -> None:
    assert ssh(sandbox, "printf '%s|' \"a  b\" '$x' \"it's\" 'two\nlines'") == "a  b|$x|it's|two\nlines|"
    with pytest.raises(subprocess.CalledProcessError) as failure:
        ssh(sandbox, "exit 7")
    assert failure.value.returncode == 7


def test_every_login_is_counted_once(sandbox: Sandbox) -> None:
    assert sandbox.logins() == 0
    ssh(sandbox, ":")
    ssh(sandbox, ":")
    assert sandbox.logins() == 2


def test_a_job_can_be_interrupted(sandbox: Sandbox) -> None:
    """An ignored SIGINT is inherited, and a server started by a shell in the background has one."""
    with pytest.raises(subprocess.CalledProcessError):
        ssh(sandbox, "sh -c 'kill -INT $$; echo ignored'")


def test_nobody_else_can_read_its_keys(sandbox: Sandbox) -> None:
    assert sandbox.directory.stat().st_mode & 0o777 == 0o700
    assert (sandbox.directory / "user_key").stat().st_mode & 0o777 == 0o600


def test_the_host_key_is_checked(sandbox: Sandbox) -> None:
    (sandbox.directory / "known_hosts").write_text("")
    with pytest.raises(subprocess.CalledProcessError) as failure:
        ssh(sandbox, ":")
    assert "Host key verification failed" in failure.value.stderr


def test_close_ends_the_server_its_sessions_and_all_jobs() -> None:
    sandbox = sandboxes.start()
    cookie = start_jobs(sandbox)
    session = subprocess.Popen(
        ["ssh", "-F", sandbox.config, "sandbox", f"echo there; exec env -i {HIDDEN}"], stdout=subprocess.PIPE
    )
    assert session.stdout is not None
    assert session.stdout.readline() == b"there\n"
    sandbox.close()
    assert left_of(sandbox, cookie) == []
    assert session.wait(10) == 255
    session.stdout.close()
    sandbox.close()  # a second time does nothing


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_it_ends_with_its_owner(how: signal.Signals, home: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", OWNER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as owner:
        assert owner.stdout is not None
        folder, port = owner.stdout.readline().decode().split()
        sandbox = Sandbox(Path(folder), int(port))
        cookie = start_jobs(sandbox)
        owner.send_signal(how)
    eventually(lambda: not left_of(sandbox, cookie), what=lambda: f"the end of {left_of(sandbox, cookie)}")
    eventually(lambda: not list(home.glob(".sshrun/*")))


def test_close_does_the_work_of_a_keeper_that_was_killed() -> None:
    sandbox = sandboxes.start()
    cookie = start_jobs(sandbox)
    for keeper in processes(f"keep {sandbox.directory}"):
        os.kill(keeper, signal.SIGKILL)
    sandbox.close()
    assert left_of(sandbox, cookie) == []


def test_a_folder_that_a_job_made_read_only_is_removed_too() -> None:
    with sandboxes.start() as sandbox:
        ssh(sandbox, "mkdir -p a/b && : >a/b/c && chmod 500 a/b a")
    assert not sandbox.directory.exists()


def test_what_a_link_in_the_folder_points_to_is_not_removed(tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("kept")
    with sandboxes.start() as sandbox:
        (sandbox.home / "link").symlink_to(tmp_path)
    assert (tmp_path / "kept").read_text() == "kept"


def test_lines_of_sshd_config_win_over_its_own() -> None:
    extra = ["MaxSessions 1", "Subsystem sftp /bin/false", "ForceCommand echo forced"]
    with sandboxes.start(extra=extra) as sandbox:
        assert ssh(sandbox, "pwd") == "forced\n"


def test_the_login_shell_and_the_environment_can_be_chosen(tmp_path: Path) -> None:
    shell = tmp_path / "my shell"
    shell.write_text('#!/bin/sh\necho "shell:" "$@"\nexec /bin/sh "$@"\n')
    shell.chmod(0o755)
    value = 'a "b" \\ $HOME é'
    with sandboxes.start(shell=shell, environment={"PATH": "/nowhere", "X": value}) as sandbox:
        assert ssh(sandbox, 'echo "$PATH" "$X"') == f'shell: -c echo "$PATH" "$X"\n/nowhere {value}\n'


def test_a_folder_can_be_chosen_and_may_hold_blanks(tmp_path: Path) -> None:
    folder = tmp_path / "my  sandbox é"
    with sandboxes.start(folder) as sandbox:
        assert ssh(sandbox, "pwd") == f"{folder}/home\n"
    assert not folder.exists()


def test_a_folder_that_is_there_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("kept")
    with pytest.raises(UsageError, match="File exists"):
        sandboxes.start(tmp_path)
    assert (tmp_path / "file").read_text() == "kept"


@pytest.mark.parametrize("name", ["it's", 'a"b', "a%h", "a$b", "a\nb"])
def test_a_folder_that_ssh_has_no_way_to_write_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="cannot use the directory"):
        sandboxes.start(tmp_path / name)
    assert not (tmp_path / name).exists()


def test_a_server_that_does_not_start_is_an_error_in_its_own_words(tmp_path: Path) -> None:
    with pytest.raises(HostUnfit, match="NoSuchOption"):
        sandboxes.start(tmp_path / "sandbox", extra=["NoSuchOption yes"])
    assert not (tmp_path / "sandbox").exists()


def test_an_environment_that_sshd_cannot_be_told_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="control character"):
        sandboxes.start(tmp_path / "sandbox", environment={"X": "two\nlines"})
    assert not (tmp_path / "sandbox").exists()


def test_only_a_published_one_that_lives_is_found(home: Path) -> None:
    assert sandboxes.running() is None
    with sandboxes.start() as sandbox:
        assert sandboxes.running() is None
        sandbox.publish()
        found = sandboxes.running()
        assert found is not None
        assert (found.directory, found.port) == (sandbox.directory, sandbox.port)
        found.close()  # it is not ours to end
        assert ssh(found, "echo alive") == "alive\n"
    assert sandboxes.running() is None
    assert list(home.glob(".sshrun/*")) == []


def test_what_a_dead_one_has_left_is_removed(sandbox: Sandbox, home: Path) -> None:
    sandbox.publish()
    cookie = start_jobs(sandbox)
    for keeper in processes(f"keep {sandbox.directory}"):
        os.kill(keeper, signal.SIGKILL)
    eventually(lambda: sandboxes.running() is None)
    assert not sandbox.directory.exists()
    eventually(lambda: not carriers(cookie))
    assert list(home.glob(".sshrun/*")) == []


def test_an_entry_that_points_to_somebody_elses_folder_does_no_harm(home: Path, tmp_path: Path) -> None:
    with sandboxes.start() as sandbox:
        sandbox.publish()
        (entry,) = home.glob(".sshrun/*")
        entry.unlink()
        entry.symlink_to(tmp_path)
        (tmp_path / "file").write_text("kept")
        assert sandboxes.running() is None
        assert not entry.is_symlink()
    assert (tmp_path / "file").read_text() == "kept"


def test_the_entry_of_a_newer_one_survives_the_end_of_an_older_one(home: Path) -> None:
    with sandboxes.start() as newer:
        with sandboxes.start() as older:
            older.publish()
            newer.publish()
        found = sandboxes.running()
        assert found is not None
        assert found.directory == newer.directory


def first_words(lines: str) -> Sequence[str]:
    return [line.split()[0] for line in lines.splitlines() if line.strip()]


def test_the_command_tells_how_to_use_it_and_leaves_nothing_after_control_c(plain_sshrun: Sshrun, home: Path) -> None:
    program = plain_sshrun.start("sandbox")
    program.wait_until(lambda run: run.stdout.count(b"\n") == 2)
    assert first_words(program.stdout.decode()) == ["sshrun", "ssh"]
    found = sandboxes.running()
    assert found is not None
    assert f"ssh -F {found.config} sandbox" in program.stdout.decode()
    cookie = start_jobs(found)
    program.press(signal.SIGINT)
    assert program.wait().status == 130
    assert left_of(found, cookie) == []
    assert list(home.glob(".sshrun/sandbox*")) == []


def test_a_second_one_is_refused_and_the_first_goes_on(plain_sshrun: Sshrun) -> None:
    with sandboxes.start() as first:
        first.publish()
        second = plain_sshrun("sandbox")
        assert second.status == 2
        assert str(first.directory) in second.stderr
        assert ssh(first, "echo alive") == "alive\n"


def test_a_server_that_ends_by_itself_is_an_error(plain_sshrun: Sshrun) -> None:
    program = plain_sshrun.start("sandbox")
    program.wait_until(lambda run: run.stdout.count(b"\n") == 2)
    found = sandboxes.running()
    assert found is not None
    for server in processes(f"-f {found.directory}/sshd_config"):
        os.kill(server, signal.SIGKILL)
    assert program.wait().status == 255
    assert not found.directory.exists()
