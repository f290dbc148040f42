from __future__ import annotations

import json
import os
import pty
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from sshrun.console import Console, JsonConsole
from sshrun.errors import OutputFailed, SettingsError, UsageError
from sshrun.events import Event, JobChanged, LoggingIn, Notice, Output, Phase, Started, TransferProgress, WarningNotice
from sshrun.interrupts import Interrupted
from sshrun.job import Job, State
from support.waiting import eventually

EVENTS: list[Event] = [
    Started("id1", "gpu1"),
    Notice("connection-lost", "a line\nand another\n"),
    WarningNotice("careful"),
    Output(b"\xff raw \x1b[2J\n", 0),
    TransferProgress("upload", 5, 10, 1),
    TransferProgress("upload", 10, 10, 2, finished=True),
    JobChanged(Job("id1", State.FINISHED, 3, phase="running")),
]


def show(console: Console) -> None:
    for event in EVENTS:
        console.show(event)
    console.finish()


def test_what_the_job_prints_is_stdout_and_what_we_say_is_stderr(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    show(Console())
    out, err = capfdbinary.readouterr()
    assert out == b"\xff raw \x1b[2J\n"
    assert err.decode().splitlines() == [
        "sshrun: job id1 is on gpu1",
        "sshrun: a line",
        "sshrun: and another",
        "sshrun: warning: careful",
    ]


def test_quiet_leaves_warnings_and_errors(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    console = Console(quiet=True)
    show(console)
    console.fail(UsageError("wrong", "type right"))
    out, err = capfdbinary.readouterr()
    assert (out, err) == (b"\xff raw \x1b[2J\n", b"sshrun: warning: careful\nsshrun: wrong (type right)\n")


def test_verbose_tells_more(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    show(Console(verbose=True))
    err = capfdbinary.readouterr().err.decode()
    assert "sshrun: job id1: finished running\n" in err
    assert "2 files" in err


def test_an_error_is_one_line_and_problems_are_a_line_each(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    Console().fail(UsageError("wrong", "type right"))
    Console().fail(SettingsError(["a:1 x: no", "a:2 y: no"], "see --dry-run"))
    Console().fail(UsageError("no hint"))
    assert capfdbinary.readouterr().err.decode().splitlines() == [
        "sshrun: wrong (type right)",
        "sshrun: a:1 x: no",
        "sshrun: a:2 y: no",
        "sshrun: see --dry-run",
        "sshrun: no hint",
    ]


def test_names_from_a_host_cannot_drive_the_terminal(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    Console().warn("file \x1b]0;title\x07 \udcff")
    err = capfdbinary.readouterr().err
    assert b"\x1b" not in err and b"\x07" not in err


def test_json_cuts_no_character(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    console = JsonConsole()
    log = "aé€😀".encode() + b"\xffz\xe2\x82"
    for offset in range(len(log)):
        console.show(Output(log[offset : offset + 1], offset))
    console.finish()
    events = [json.loads(line) for line in capfdbinary.readouterr().out.splitlines()]
    assert [event["text"] for event in events] == ["a", "é", "€", "😀", "\udcff", "z", "\udce2\udc82"]
    assert [event["offset"] for event in events] == [0, 1, 3, 6, 10, 11, 12]


def test_json_is_one_object_a_line_and_holds_every_byte(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    console = JsonConsole()
    show(console)
    console.fail(UsageError("wrong", "type right"))
    console.data("for people")
    out, err = capfdbinary.readouterr()
    assert err == b""
    events = [json.loads(line) for line in out.splitlines()]
    assert [event["event"] for event in events] == [
        "started", "notice", "warning", "output", "progress", "progress", "job", "error",
    ]  # fmt: skip
    assert events[3]["text"].encode("utf-8", "surrogateescape") == b"\xff raw \x1b[2J\n"
    assert events[-1] == {
        "version": 1, "event": "error", "cause": "UsageError", "message": "wrong", "hint": "type right", "exit": 2,
    }  # fmt: skip


def test_steps_are_shown_and_their_result_returned(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    def steps() -> Iterator[Event]:
        yield Notice("x", "one")
        return 5  # type: ignore[return-value]

    assert Console().play(steps()) == 5  # type: ignore[arg-type,comparison-overlap]
    assert capfdbinary.readouterr().err == b"sshrun: one\n"


def test_a_reader_that_has_gone_away_is_an_interrupt() -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    kept = os.dup(1)
    os.dup2(write_end, 1)
    try:
        with pytest.raises(Interrupted) as caught:
            Console().show(Output(b"text", 0))
        assert caught.value.exit_status == 141
    finally:
        os.dup2(kept, 1)
        os.close(kept)
        os.close(write_end)


@contextmanager
def stdout_is(descriptor: int) -> Iterator[None]:
    stdout = os.dup(1)
    os.dup2(descriptor, 1)
    try:
        yield
    finally:
        os.dup2(stdout, 1)
        os.close(stdout)
        os.close(descriptor)


def full() -> int:
    return os.open("/dev/full", os.O_WRONLY)


@pytest.mark.parametrize("make", [Console, JsonConsole])
def test_a_disk_that_is_full_is_an_error_to_be_told(make: type[Console]) -> None:
    with stdout_is(full()), pytest.raises(OutputFailed, match="standard output: No space left on device"):
        make().show(Output(b"x", 0))


def test_an_error_that_no_program_can_read_is_told_to_the_person(capfd: pytest.CaptureFixture[str]) -> None:
    with stdout_is(full()):
        JsonConsole().fail(UsageError("wrong", "right"))
    assert capfd.readouterr().err == "sshrun: wrong (right)\n"


def test_a_pipe_that_does_not_wait_is_waited_for() -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    sizes: list[int] = []

    def read() -> None:
        while data := os.read(reading, 1 << 16):
            sizes.append(len(data))

    reader = threading.Thread(target=read)
    with stdout_is(writing):
        written = os.write(1, b"x" * (1 << 20))  # it is full
        reader.start()
        Console().show(Output(b"x" * 1_000_000, 0))
    reader.join()
    os.close(reading)
    assert sum(sizes) == written + 1_000_000


@contextmanager
def terminal() -> Iterator[int]:
    """Both stdout and stderr are one terminal; yields the side on which it is read."""
    screen, slave = pty.openpty()
    stderr = os.dup(2)
    os.dup2(slave, 2)
    try:
        with stdout_is(slave):
            yield screen
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(screen)


def after(seconds: float, screen: int) -> str:
    """What a terminal has been shown by then."""
    time.sleep(seconds)  # as steps do that wait for a host
    os.set_blocking(screen, False)
    try:
        return os.read(screen, 1 << 16).decode()
    except BlockingIOError:
        return ""


def until(pattern: str, screen: int) -> str:
    """What a terminal has been shown when something on it matches."""
    shown = ""

    def matches() -> bool:
        nonlocal shown
        shown += after(0, screen)
        return re.search(pattern, shown) is not None

    eventually(matches, what=lambda: f"{pattern!r} on {shown!r}")
    return shown


LIVE = "\r\x1b[Ksshrun: "
STARTUP = Phase("startup", "startup command 1 of 2: x", 1, 2)


@pytest.fixture
def xterm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")


def test_what_is_waited_for_is_said_and_goes_before_anything_else_is_shown(xterm: None) -> None:
    with terminal() as screen:
        began = time.monotonic()
        console = Console()
        console.show(STARTUP)
        assert until("startup", screen).startswith(f"{LIVE}startup command 1 of 2: x")
        assert time.monotonic() - began >= 1, "what is quick is not worth a word"
        until(r"x, \d s", screen)
        console.show(Output(b"half", 0))
        assert after(1.5, screen).endswith("\r\x1b[Khalf"), "nothing is drawn into a line of the job's"
        console.show(Output(b" whole\n", 4))
        assert until("startup", screen).startswith(f" whole\r\n{LIVE}startup")
        console.show(Phase("environment", "installing 2 packages", detail="collecting torch"))
        assert after(0, screen).endswith(f"{LIVE}installing 2 packages: collecting torch")
        console.show(Phase("environment", "x" * 100))
        assert after(0, screen) == f"{LIVE}{'x' * 70}…", "one line, however narrow the terminal is"
        console.show(Notice("x", "a line"))
        assert after(0, screen) == "\r\x1b[Ksshrun: a line\r\n"
        console.show(Phase("running"))
        assert after(1.5, screen) == "", "the job may be as silent as it likes"
        console.finish()


def test_a_line_of_ours_does_not_go_on_with_one_of_the_job(xterm: None) -> None:
    with terminal() as screen:
        console = Console()
        console.show(Output(b"50%\r51%", 0))
        console.show(Notice("stopping", "stopping"))
        console.show(Output(b"x", 7))
        console.show(Phase("results", "looking for results"))
        shown = until("results", screen)
        assert shown.startswith(f"50%\r51%\r\nsshrun: stopping\r\nx\r\n{LIVE}looking for results")
        console.finish()
        assert after(1.5, screen).endswith("\r\x1b[K")


def test_quiet_and_the_end_of_the_steps_end_the_words(xterm: None) -> None:
    def steps() -> Iterator[Event]:
        yield STARTUP

    with terminal() as screen:
        Console(quiet=True).show(STARTUP)
        assert after(1.5, screen) == ""
        Console().play(steps())  # type: ignore[arg-type]
        assert after(1.5, screen) == ""


def test_a_login_is_told_in_a_line_that_stays_whatever_comes_next(xterm: None) -> None:
    with terminal() as screen:
        console = Console()
        console.show(LoggingIn("gpu1"))
        assert after(2.5, screen) == "sshrun: connecting to gpu1\r\n"
        console.show(Phase("answer", "waiting for gpu1 to answer"))
        assert until("answer", screen).startswith(f"{LIVE}waiting for gpu1 to answer")
        console.show(LoggingIn("gpu1"))
        shown = until("connecting", screen)
        assert shown.endswith("\r\x1b[Ksshrun: connecting to gpu1\r\n"), "and what does not stay is gone"
        console.finish()


def test_json_has_phases_as_they_come(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    console = JsonConsole()
    console.show(LoggingIn("gpu1"))
    console.show(Phase("answer", "waiting for gpu1 to answer"))
    console.show(STARTUP)
    console.show(Phase("running"))
    events = [json.loads(line) for line in capfdbinary.readouterr().out.splitlines()]
    assert [(event["event"], event["name"]) for event in events] == [("phase", "startup"), ("phase", "running")]
    assert events[0] == {
        "version": 1, "event": "phase", "name": "startup", "text": STARTUP.text, "number": 1, "total": 2, "detail": "",
    }  # fmt: skip


def test_json_has_a_login_only_where_it_takes_long(xterm: None) -> None:
    with terminal() as screen:
        console = JsonConsole()
        console.show(LoggingIn("gpu1"))
        assert json.loads(until("\n", screen))["name"] == "connecting"
        console.show(Phase("answer", "waiting for gpu1 to answer"))
        assert json.loads(until("\n", screen))["name"] == "answer"
        console.show(Phase("running"))
        assert json.loads(until("\n", screen))["name"] == "running"
