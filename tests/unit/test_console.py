from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from sshrun.console import Console, JsonConsole
from sshrun.errors import OutputFailed, SettingsError, UsageError
from sshrun.interrupts import Interrupted
from sshrun.job import Described, Event, Job, Logged, Moved, Said, Started, Warned

EVENTS: list[Event] = [
    Started("id1", "gpu1"),
    Said("lost", "a line\nand another\n"),
    Warned("careful"),
    Logged(b"\xff raw \x1b[2J\n", 0),
    Moved("upload", 5, 10, 1),
    Moved("upload", 10, 10, 2, finished=True),
    Described(Job("id1", "finished", 3, phase="running")),
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
        console.show(Logged(log[offset : offset + 1], offset))
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
        "started", "lost", "warning", "log", "upload", "upload", "job", "error",
    ]  # fmt: skip
    assert events[3]["text"].encode("utf-8", "surrogateescape") == b"\xff raw \x1b[2J\n"
    assert events[-1] == {
        "event": "error", "cause": "UsageError", "message": "wrong", "hint": "type right", "exit": 2,
    }  # fmt: skip


def test_steps_are_shown_and_their_result_returned(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    def steps() -> Iterator[Event]:
        yield Said("x", "one")
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
            Console().show(Logged(b"text", 0))
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
        make().show(Logged(b"x", 0))


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
        Console().show(Logged(b"x" * 1_000_000, 0))
    reader.join()
    os.close(reading)
    assert sum(sizes) == written + 1_000_000
