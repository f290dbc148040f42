"""What is waited for is said: on a terminal at any moment, elsewhere once, and in --json as events."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from server.conftest import StartSandbox
from sshrun.sandbox import Sandbox
from support.installed import Sshrun
from support.relay import Relay
from support.screen import ERASE, Screen
from support.slow_index import slow_index, wheel
from support.specs import write_spec

SILENT = 4.0  # seconds, for a machine that does other things too; sshrun itself speaks after one
UNTIL = "until [ -e %s ]; do sleep 0.05; done"


def json_lines(output: bytes) -> list[dict[str, object]]:
    return [json.loads(line) for line in output.splitlines()]


Open = Callable[[str], None]


@pytest.fixture
def gate(sandbox: Sandbox) -> Open:
    """Opens what UNTIL waits for on the host."""
    return lambda name: (sandbox.home / name).touch()


def test_startup_commands_are_told_while_they_are_silent(sshrun: Sshrun, tmp_path: Path, gate: Open) -> None:
    startup = [f"{UNTIL % 'one'}; echo one", f"HF_TOKEN=hf_secret; {UNTIL % 'two'}; printf two"]
    write_spec(tmp_path, f"echo hello; {UNTIL % 'end'}; echo bye", startup_cmds=startup)
    screen = Screen(tmp_path, *sshrun.options, "train", "my_model")
    screen.wait_for_count(f"{ERASE}sshrun: startup command 1 of 2: {UNTIL % 'one'}; ec…", 2)
    gate("one")
    screen.wait_for(f"{ERASE}one\r\n")
    screen.wait_for(f"{ERASE}sshrun: startup command 2 of 2: HF_TOKEN=… until [ -e two ]")
    gate("two")
    screen.wait_for(f"{ERASE}twohello\r\n")
    screen.watch(SILENT + 1)
    gate("end")
    assert screen.status() == 0
    assert "hf_secret" not in screen.text
    assert screen.text.endswith("twohello\r\nbye\r\n"), "what the job does not print is its own affair"
    assert [line for line in screen.lines if not line.startswith("sshrun:")] == ["one", "twohello", "bye"]
    assert screen.silences(SILENT) == ["twohello"]


def test_elsewhere_each_phase_is_a_line_and_none_with_quiet(sshrun: Sshrun, tmp_path: Path, gate: Open) -> None:
    write_spec(tmp_path, "echo hello", startup_cmds=[UNTIL % "go"])
    line = f"sshrun: startup command 1 of 1: {UNTIL % 'go'}\n"
    loud = sshrun.start("train", "my_model")
    loud.wait_until(lambda run: "is on sandbox" in run.stderr)
    quiet = sshrun.start("-q", "logs", "-f")
    loud.wait_until(lambda run: line in run.stderr)
    gate("go")
    assert quiet.wait().stderr == ""
    assert loud.wait().stderr.count(line) == 1


def test_a_terminal_that_cannot_erase_gets_lines(sshrun: Sshrun, tmp_path: Path, gate: Open) -> None:
    write_spec(tmp_path, "echo hello", startup_cmds=[UNTIL % "go"])
    screen = Screen(tmp_path, *sshrun.options, "train", "my_model", term="dumb")
    line = f"sshrun: startup command 1 of 1: {UNTIL % 'go'}\r\n"
    screen.wait_for(line)
    screen.watch(1.5)
    gate("go")
    assert screen.status() == 0
    assert "\x1b" not in screen.text and screen.text.count(line) == 1


def test_json_has_each_phase_as_an_event(sshrun: Sshrun, tmp_path: Path, gate: Open) -> None:
    write_spec(tmp_path, UNTIL % "end", startup_cmds=[UNTIL % "one", UNTIL % "two"])
    running = sshrun.start("--json", "train", "my_model")
    running.wait_until(lambda run: b"startup command 1 of 2" in run.stdout)
    gate("one")
    running.wait_until(lambda run: b"startup command 2 of 2" in run.stdout)
    gate("two")
    running.wait_until(lambda run: b'"running"' in run.stdout)
    gate("end")
    phases = [event for event in json_lines(running.wait().stdout) if event["event"] == "phase"]
    second = next(phase for phase in phases if phase["number"] == 2)
    text = f"startup command 2 of 2: {UNTIL % 'two'}"
    assert second == {
        "version": 1,
        "event": "phase",
        "name": "startup",
        "text": text,
        "number": 2,
        "total": 2,
        "detail": "",
    }
    assert [phase["text"] for phase in phases if phase["name"] == "running"] == [""]


def test_who_attaches_hears_at_once_what_the_job_is_at(sshrun: Sshrun, tmp_path: Path, gate: Open) -> None:
    write_spec(tmp_path, "echo hello", startup_cmds=[UNTIL % "go"])
    assert sshrun("--no-wait", "train", "my_model").status == 0
    screens = [Screen(tmp_path, *sshrun.options, *verb) for verb in (["logs", "-f"], ["--resume", "train", "my_model"])]
    for screen in screens:
        screen.wait_for_count(f"startup command 1 of 1: {UNTIL % 'go'}", 1)
    gate("go")
    for screen in screens:
        assert screen.status() == 0
        assert "hello" in screen.lines


def test_a_slow_login_is_told_in_a_line_that_stays(sshrun: Sshrun, relay: Relay, tmp_path: Path) -> None:
    relay.stall()
    screen = Screen(tmp_path, *sshrun.options, "--", "echo", "hello")
    screen.wait_for("sshrun: connecting to sandbox\r\n", 10)
    screen.watch(2.5)
    assert screen.text == "sshrun: connecting to sandbox\r\n", "ssh may ask at any moment, and has the terminal"
    relay.restore()
    assert screen.status() == 0
    assert "hello" in screen.lines


def test_what_comes_before_the_login_is_told(
    sshrun: Sshrun, sandbox: Sandbox, home: Path, tmp_path: Path, gate: Open
) -> None:
    """A model's file that is imported here, and a command of the ssh config's."""
    until = UNTIL % f"{sandbox.home}/%s"
    (tmp_path / "slow.py").write_text(
        f"import os, time\nwhile not os.path.exists('{sandbox.home}/read'): time.sleep(0.05)\n"
        "class Model: pass\nslow = Model()\nif True:\n    slow.ssh_command = 'true'\nslow.ssh_create_venv = False\n"
    )
    config = home / "ssh_config"
    config.write_text(f'Match exec "{until % "matched"}"\n  Compression no\n\n{sandbox.config.read_text()}')
    settings = home / ".sshrun" / "user_settings.yaml"
    settings.write_text(f"ssh:\n  config_path: {json.dumps(str(config))}\n")
    screen = Screen(tmp_path, *sshrun.options, "--import-spec", "train", "slow")
    screen.wait_for_count(f"{ERASE}sshrun: reading the settings, and which files to upload", 2)
    gate("read")
    screen.wait_for("sshrun: connecting to sandbox\r\n")
    gate("matched")
    assert screen.status() == 0
    assert not screen.silences(SILENT) or screen.silences(SILENT) == ["sshrun: connecting to sandbox"]


def test_every_verb_tells_of_a_slow_login(sshrun: Sshrun, relay: Relay, tmp_path: Path) -> None:
    for verb in ("status", "stop", "retrieve", "logs", "doctor"):
        relay.stall()
        screen = Screen(tmp_path, *sshrun.options, verb)
        screen.wait_for("connecting to sandbox\r\n", 10)
        relay.restore()
        assert screen.status() == (0 if verb in ("status", "doctor") else 2)


@pytest.mark.parametrize("question", ["host key", "passphrase"])
def test_nothing_is_written_beside_a_question_of_ssh(
    sshrun: Sshrun, sandbox: Sandbox, tmp_path: Path, question: str
) -> None:
    if question == "host key":
        config = sandbox.config.read_text().replace("StrictHostKeyChecking yes", "StrictHostKeyChecking ask")
        sandbox.config.write_text(f"Host *\n UserKnownHostsFile /dev/null\n StrictHostKeyChecking ask\n{config}")
        prompt, answer, options = "(yes/no/[fingerprint])? ", "yes\n", []
    else:
        key = tmp_path / "locked"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "open sesame", "-f", key], check=True)
        (sandbox.home / ".ssh").mkdir(exist_ok=True)
        with (sandbox.directory / "authorized_keys").open("a") as file:
            file.write((tmp_path / "locked.pub").read_text())
        prompt, answer, options = f"Enter passphrase for key '{key}': ", "open sesame\n", ["-i", key]
    screen = Screen(tmp_path, *sshrun.options, *options, "--", "echo", "hello")
    screen.wait_for(prompt, 10)
    screen.watch(3.5)
    assert screen.text.endswith(prompt), "the question stands as ssh asked it"
    screen.type(answer)
    assert screen.status() == 0
    assert "hello" in screen.lines


def test_a_host_that_is_slow_to_answer(sshrun: Sshrun, start_sandbox: StartSandbox, home: Path, tmp_path: Path) -> None:
    shell = tmp_path / "slow"
    shell.write_text('#!/bin/sh\nsleep 3\nexec /bin/sh "$@"\n')
    shell.chmod(0o755)
    slow = start_sandbox(shell=shell)
    settings = home / ".sshrun" / "user_settings.yaml"
    settings.write_text(f"ssh:\n  config_path: {json.dumps(str(slow.config))}\n")
    screen = Screen(tmp_path, "-h", slow.host, "--", "echo", "hello")
    assert screen.status() == 0
    assert screen.counted(f"{ERASE}sshrun: waiting for sandbox to answer") >= 2
    assert "hello" in screen.lines
    assert not screen.silences(SILENT)


def test_what_the_command_left_running_is_ended_in_words(sshrun: Sshrun, tmp_path: Path, gate: Open) -> None:
    """A process that takes its time to end, and no word of the job's meanwhile: also for who comes later."""
    write_spec(tmp_path, f"{{ {UNTIL % 'go'}; }} & echo done", stop_grace=60)
    screen = Screen(tmp_path, *sshrun.options, "train", "my_model")
    screen.wait_for_count(f"{ERASE}sshrun: ending what the command left running", 2)
    late = Screen(tmp_path, *sshrun.options, "--resume", "train", "my_model")
    late.wait_for(f"{ERASE}sshrun: ending what the command left running")
    gate("go")
    assert (screen.status(), late.status()) == (0, 0)
    assert screen.lines.count("done") == 1
    assert not screen.silences(SILENT)


STUBBORN = f"trap 'printf half; {UNTIL % 'go'}; exit 3' TERM INT; echo up; while :; do sleep 0.1; done"


def test_stopping_counts_the_seconds(sshrun: Sshrun, tmp_path: Path, gate: Open) -> None:
    screen = Screen(tmp_path, *sshrun.options, "--", "sh", "-c", STUBBORN)
    screen.wait_for("up\r\n")
    screen.type("\x03")
    screen.wait_for_count("sshrun: waiting for the job to end", 2)
    gate("go")
    assert screen.status() == 130
    assert "half" in [line.removeprefix("^C") for line in screen.lines]
    assert not screen.silences(SILENT)


@pytest.mark.parametrize("how", [["stop"], ["--force", "--", "true"]], ids=["stop", "force"])
def test_others_that_wait_for_the_end_of_a_job(sshrun: Sshrun, tmp_path: Path, gate: Open, how: list[str]) -> None:
    running = sshrun.start("--", "sh", "-c", STUBBORN)
    running.wait_until(lambda run: b"up\n" in run.stdout)
    screen = Screen(tmp_path, *sshrun.options, *how)
    screen.wait_for_count("waiting for the job to end" if how == ["stop"] else "discard the job that it has", 2)
    gate("go")
    assert screen.status() == 0
    assert not screen.silences(SILENT)
    running.wait()


def test_a_lost_connection_is_waited_for_in_words(sshrun: Sshrun, relay: Relay, tmp_path: Path) -> None:
    screen = Screen(tmp_path, *sshrun.options, "--", "sh", "-c", "echo up; until [ -e go ]; do sleep 0.1; done")
    screen.wait_for("up\r\n")
    relay.refuse()
    relay.cut()
    screen.wait_for_count("sshrun: trying to reach sandbox again", 3)
    relay.restore()
    screen.wait_for("connected to sandbox again")
    assert not screen.silences(SILENT)
    screen.type("\x03")
    assert screen.status() == 130


def test_shutdown_commands_are_waited_for_in_words(sshrun: Sshrun, tmp_path: Path, gate: Open) -> None:
    write_spec(tmp_path, "true", shutdown_cmds=[UNTIL % "go"])
    screen = Screen(tmp_path, *sshrun.options, "train", "my_model")
    screen.wait_for_count("waiting for the shutdown command to end", 2)
    gate("go")
    assert screen.status() == 0
    assert not screen.silences(SILENT)


def test_a_small_upload_over_a_slow_line(sshrun: Sshrun, relay: Relay, tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(bytes(range(256)) * 600)
    write_spec(tmp_path, "echo hello", upload_files=["data"])
    assert sshrun("--", "true").status == 0
    relay.rate = 40_000
    screen = Screen(tmp_path, *sshrun.options, "train", "my_model")
    assert screen.status() == 0
    assert "sshrun: uploading 3 files, 154 kB" in screen.text
    assert not screen.silences(SILENT)


@pytest.mark.long
def test_an_environment_is_made_in_words(sshrun: Sshrun, tmp_path: Path) -> None:
    wheels = tmp_path / "wheels"
    wheel(wheels, "first", "1.0")
    with slow_index(wheels, 4) as index:
        environment = [f"PIP_INDEX_URL={index}", f"UV_DEFAULT_INDEX={index}"]
        write_spec(tmp_path, "echo up", create_venv=True, requirements=["first"], environment=environment)
        screen = Screen(tmp_path, *sshrun.options, "train", "my_model")
        assert screen.status(120) == 0
    assert "up" in screen.lines
    assert screen.counted("sshrun: making the virtual environment") >= 1
    assert "sshrun: installing 1 package" in screen.text
    assert not screen.silences(SILENT)
