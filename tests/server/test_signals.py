"""Ctrl+C, Ctrl+\\, a closed terminal, SIGTERM; and what a terminal gets to see of a job."""

from __future__ import annotations

import os
import signal
import subprocess
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sshrun.sandbox import Sandbox
from support.installed import SSHRUN, Running, Sshrun
from support.specs import HostSide, commands, write_spec
from support.terminals import Terminal
from support.waiting import eventually

# A tree that does not go by itself: it ignores INT and TERM, and a part of it has left its session.
STUBBORN = "trap '' INT TERM; setsid sh -c 'while :; do sleep 0.3; done' & echo up; while :; do sleep 0.3; done"


@pytest.fixture
def host(sandbox: Sandbox) -> HostSide:
    return HostSide(sandbox)


def up(running: Running) -> None:
    running.wait_until(lambda run: b"up\n" in run.stdout)


def test_ctrl_c_stops_the_whole_job_and_brings_home_what_is_there(
    sshrun: Sshrun, sandbox: Sandbox, host: HostSide, tmp_path: Path
) -> None:
    write_spec(
        tmp_path,
        "trap 'echo bye; exit 5' INT; echo half >my_model.zip; setsid sleep 600 &\n"
        "echo up; while :; do sleep 0.1; done",
        stop_grace=1,
        shutdown_cmds=["echo $SSHRUN_EXIT_CODE >goodbye"],
    )
    running = sshrun.start("train", "my_model")
    up(running)
    (job,) = host.ids()
    running.press(signal.SIGINT)
    finished = running.wait()
    assert finished.status == 130
    assert finished.stdout == b"up\nbye\n"
    assert not host.processes(job)
    assert (tmp_path / "my_model.zip").read_text() == "half\n"
    assert (sandbox.home / "goodbye").read_text() == "5\n"
    assert sshrun("--resume").status == 5, "nothing is left to be done"


@pytest.mark.long
def test_ctrl_c_gives_twice_ten_seconds_and_then_kills(sshrun: Sshrun, host: HostSide) -> None:
    running = sshrun.start("--", "sh", "-c", STUBBORN)
    up(running)
    began = time.monotonic()
    running.press(signal.SIGINT)
    assert running.wait().status == 130
    assert 20 < time.monotonic() - began < 40
    assert not host.processes(host.ids()[-1])


def test_the_settings_say_how_long_a_job_has_to_end(sshrun: Sshrun, host: HostSide, tmp_path: Path) -> None:
    write_spec(tmp_path, STUBBORN, stop_grace=1)
    running = sshrun.start("train", "my_model")
    up(running)
    began = time.monotonic()
    running.press(signal.SIGINT)
    assert running.wait().status == 130
    assert 2 < time.monotonic() - began < 15
    assert not host.processes(host.ids()[-1])


@pytest.mark.long
def test_a_grace_is_recorded_with_the_job_for_whoever_stops_it(
    sshrun: Sshrun, host: HostSide, home: Path, tmp_path: Path
) -> None:
    """Longer than a client waits in silence, were there no signs of life; the other client knows no such setting."""
    write_spec(
        tmp_path, "trap 'sleep 35; echo saved; exit 3' TERM; echo up; while :; do sleep 0.1; done", stop_grace=60
    )
    assert sshrun("--no-wait", "train", "my_model").status == 0
    eventually(lambda: (host.latest() / "log").read_bytes() == b"up\n")
    finished = sshrun("stop", cwd=home, seconds=90)
    assert finished.status == 0 and "exit 3" in finished.stderr
    assert (host.latest() / "log").read_bytes().endswith(b"saved\n")


def test_ctrl_c_is_a_keyboard_interrupt_that_has_time_to_save(sshrun: Sshrun, tmp_path: Path) -> None:
    script = "import time\ntry:\n    print('up')\n    time.sleep(600)\nfinally:\n    time.sleep(2)\n"
    script += "    open('checkpoint', 'w').write('saved')\n"
    write_spec(tmp_path, "exec python3 save.py", upload_files=["save.py"], download_files=["checkpoint"])
    (tmp_path / "save.py").write_text(script)
    running = sshrun.start("train", "my_model")
    up(running)
    running.press(signal.SIGINT)
    finished = running.wait()
    assert finished.status == 130
    assert finished.stdout.endswith(b"KeyboardInterrupt\n")
    assert (tmp_path / "checkpoint").read_text() == "saved"
    assert sshrun("--resume").status == 130, "what a program has that SIGINT ended"


def test_a_second_ctrl_c_leaves_while_a_handler_saves_and_the_stop_goes_on(
    sshrun: Sshrun, host: HostSide, tmp_path: Path
) -> None:
    write_spec(tmp_path, "trap 'sleep 3; echo saved; exit 5' INT; echo up; while :; do sleep 0.1; done")
    running = sshrun.start("train", "my_model")
    up(running)
    running.press(signal.SIGINT)
    running.wait_until(lambda run: "stopping the job" in run.stderr)
    eventually((host.latest() / "interrupted").exists)
    running.press(signal.SIGINT)
    assert running.wait(5).status == 130
    finished = sshrun("--resume")
    assert (finished.status, finished.stdout) == (5, b"saved\n")


def test_what_outlives_the_command_is_named_and_again_for_who_resumes(
    sshrun: Sshrun, host: HostSide, tmp_path: Path
) -> None:
    write_spec(tmp_path, "exit 4", startup_cmds=["setsid sleep 600 &"], stop_grace=1)
    assert sshrun("--no-wait", "train", "my_model").status == 0
    finished = sshrun("--resume", "train", "my_model")
    assert finished.status == 4
    assert "warning: what outlived the command was ended after 1 s: sleep (pid " in finished.stderr
    assert not host.processes(host.ids()[-1])


def test_shutdown_commands_wait_for_what_a_job_left_in_the_background(
    sshrun: Sshrun, sandbox: Sandbox, tmp_path: Path
) -> None:
    """As a script does that starts its training in tmux."""
    write_spec(
        tmp_path,
        "setsid sh -c 'until [ -e go ]; do sleep 0.1; done; echo trained >model' & exit 0",
        leftovers="wait",
        download_files=["model"],
        shutdown_cmds=["cat model >goodbye"],
    )
    running = sshrun.start("train", "my_model")
    eventually(lambda: b"leftovers" in sshrun("status").stdout)
    status = sshrun("status").stdout.decode()
    assert "state    running\n" in status and "phase    leftovers: " in status and "leftovers sh (pid " in status
    (sandbox.home / "go").touch()
    assert running.wait().status == 0
    assert (tmp_path / "model").read_text() == "trained\n"
    assert (sandbox.home / "goodbye").read_text() == "trained\n"


def test_a_second_ctrl_c_leaves_at_once(sshrun: Sshrun, host: HostSide) -> None:
    running = sshrun.start("--", "sh", "-c", STUBBORN)
    up(running)
    running.press(signal.SIGINT)
    running.wait_until(lambda run: "stopping the job" in run.stderr)
    began = time.monotonic()
    running.press(signal.SIGINT)
    finished = running.wait()
    assert finished.status == 130 and time.monotonic() - began < 3
    assert "was asked to stop" in finished.stderr and "sshrun --resume" in finished.stderr


@pytest.mark.parametrize("number", [signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_leaving_lets_the_job_go_on(sshrun: Sshrun, sandbox: Sandbox, host: HostSide, number: signal.Signals) -> None:
    running = sshrun.start("--", "sh", "-c", "echo up; until [ -e go ]; do sleep 0.05; done; echo done; exit 6")
    up(running)
    running.press(number)
    finished = running.wait()
    assert finished.status == 128 + number
    assert "goes on" in finished.stderr and "sshrun --resume" in finished.stderr
    (sandbox.home / "go").touch()
    finished = sshrun("--resume")
    assert (finished.status, finished.stdout) == (6, b"done\n")


def test_ctrl_c_while_uploading_leaves_nothing_locked(
    sshrun: Sshrun, host: HostSide, sandbox: Sandbox, tmp_path: Path
) -> None:
    (tmp_path / "large").write_bytes(os.urandom(80 << 20))
    write_spec(tmp_path, "true", upload_files=["large"])
    running = sshrun.start("train", "my_model")
    eventually(host.ids)
    running.press(signal.SIGINT)
    finished = running.wait()
    assert finished.status == 130
    assert not host.began()
    assert not (sandbox.home / "large").exists()
    assert sshrun("--", "true").status == 0
    assert eventually(host.idle)


@pytest.mark.parametrize("number", [signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_a_retrieve_that_is_ended_leaves_nothing_running(
    sshrun: Sshrun, host: HostSide, home: Path, tmp_path: Path, number: signal.Signals
) -> None:
    write_spec(tmp_path, "truncate -s 1G large", download_files=["large"])
    assert sshrun("--no-wait", "train", "my_model").status == 0
    eventually(lambda: list(host.latest().glob("rc.[0-9]*")))
    running = sshrun.start("retrieve")
    eventually(lambda: list(tmp_path.glob(".sshrun-part-*/*")))
    running.press(number)
    assert running.wait().status == 128 + number
    eventually(lambda: not [words for words in commands().values() if f"{home}/.sshrun/control" in words])
    assert not (tmp_path / "large").exists()


def test_a_reader_that_goes_away_ends_us_and_not_the_job(sshrun: Sshrun, host: HostSide, tmp_path: Path) -> None:
    words = [SSHRUN, *sshrun.options, "--", "sh", "-c", "while :; do echo again; sleep 0.05; done"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path) as process:
        assert process.stdout is not None and process.stderr is not None
        assert process.stdout.readline() == b"again\n"
        process.stdout.close()
        assert process.wait(20) == 128 + signal.SIGPIPE
        assert b"goes on" in process.stderr.read()
    assert host.processes(host.ids()[-1])
    assert sshrun("stop").status == 0


@pytest.mark.parametrize(("keys", "status"), [(b"\x03", 130), (b"\x1c", 131)], ids=["Ctrl+C", "Ctrl+Backslash"])
def test_a_key_in_a_terminal(sshrun: Sshrun, host: HostSide, tmp_path: Path, keys: bytes, status: int) -> None:
    terminal = Terminal(tmp_path, *sshrun.options, "--", "sh", "-c", "echo up; sleep 600")
    terminal.wait_for(b"up")
    (job,) = host.ids()
    terminal.type(keys)
    assert terminal.status() == status
    assert bool(host.processes(job)) == (status == 131)
    sshrun("stop")


def test_a_terminal_that_is_closed_leaves_the_job_running(
    sshrun: Sshrun, host: HostSide, home: Path, tmp_path: Path
) -> None:
    script = "echo up; i=0; while :; do i=$((i+1)); echo $i; sleep 0.02; done"
    terminal = Terminal(tmp_path, *sshrun.options, "--", "sh", "-c", script)
    terminal.wait_for(b"up")
    terminal.close_window()
    assert terminal.status() in (128 + signal.SIGHUP, 128 + signal.SIGPIPE)
    assert not (home / ".sshrun" / "crash.log").exists()
    assert host.processes(host.ids()[-1])
    assert sshrun("stop").status == 0


def test_the_terminal_is_left_as_it_was(sshrun: Sshrun, tmp_path: Path) -> None:
    terminal = Terminal(tmp_path, *sshrun.options, "--", "sh", "-c", "echo up; sleep 600")
    before = termios.tcgetattr(terminal.screen)
    terminal.wait_for(b"up")
    terminal.type(b"\x03")
    assert terminal.status() == 130
    assert termios.tcgetattr(terminal.screen) == before


class Tmux:
    """A real terminal emulator, and what it shows."""

    def __init__(self, socket: Path, folder: Path) -> None:
        self._base = ["tmux", "-S", str(socket), "-f", "/dev/null"]
        self._socket = socket
        self("new-session", "-d", "-x", "100", "-y", "30", "-c", str(folder), "sh")
        self("set-option", "-g", "set-clipboard", "on")

    def __call__(self, *words: str) -> str:
        return subprocess.run([*self._base, *words], check=True, capture_output=True, text=True).stdout

    def screen(self) -> list[str]:
        return self("capture-pane", "-p").rstrip("\n").split("\n")


@pytest.fixture
def tmux(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> Iterator[Tmux]:
    # Short: it is the path of a socket.
    terminal = Tmux(tmp_path_factory.mktemp("t") / "s", tmp_path)
    yield terminal
    terminal("kill-server")


DRAWING = r"""
printf 'bar   0%%\rbar  50%%\rbar 100%%\n'
printf 'abX\bc\n'
printf 'above\nbelow\n\033[2Aover \n\033[K\033[32mgreen\033[0m\n'
printf '\033]52;c;c3Rvbtent\007\033]0;stolen title\007\033[6nend\n'
"""


def test_drawing_looks_as_it_was_meant_and_nothing_else_reaches_the_terminal(
    sshrun: Sshrun, tmux: Tmux, tmp_path: Path
) -> None:
    (tmp_path / "draw.sh").write_text(DRAWING)
    (tmp_path / "go").write_text(f"exec {SSHRUN} --host sandbox -- sh {tmp_path}/draw.sh\n")
    tmux("send-keys", "clear; sh go; echo status $?", "Enter")
    eventually(lambda: "status 0" in tmux.screen())
    screen = tmux.screen()
    start = screen.index("bar 100%")
    assert screen[start : start + 4] == ["bar 100%", "abc", "over", "green"]
    assert "]52;c;" in screen[start + 4] and "stolen title" in screen[start + 4], "shown, and not obeyed"
    assert tmux("display-message", "-p", "#{pane_title}").strip() != "stolen title"
    assert tmux("list-buffers") == "", "OSC 52 would have filled the clipboard"
