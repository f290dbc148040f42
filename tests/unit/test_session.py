"""Requests and replies, with a process in the host's place that writes what it is given, in whatever pieces."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sshrun.errors import ConnectionFailed, HostUnfit
from sshrun.process import PIPE, spawn
from sshrun.session.login_shell import INPUT_EATEN
from sshrun.session.program import BOOTSTRAP, FIRST_LINE, PARTS, program
from sshrun.session.protocol import Refusal, Reply, decode, encode
from sshrun.session.session import HEARTBEAT_TIMEOUT, Session

# Takes the program and the nonce, then writes pieces, each alone, with the nonce in the place of "NONCE", or with a
# half of it in the place of "HALF".
HOST = """
import os, sys, time
sys.stdin.buffer.readline()
program = sys.stdin.buffer.read(int(sys.stdin.buffer.readline()))
nonce = sys.stdin.buffer.readline().strip()
for piece in eval(sys.argv[1]):
    if isinstance(piece, float):
        time.sleep(piece)
    else:
        first, nonce_half, nonce_rest = piece.replace(b"NONCE", nonce), nonce[:9], nonce[9:]
        os.write(1, first.replace(b"HALF", nonce_half).replace(b"REST", nonce_rest))
        time.sleep(0.002)
sys.exit(int(sys.argv[2]))
"""

# The same in sh, up to the first reply.
READY = 'read -r _; read -r size; dd bs=1 count="$size" >/dev/null 2>&1; read -r nonce; echo "$nonce ready"\n'


@pytest.fixture
def start() -> Iterator[object]:
    sessions = []

    def begin(*pieces: bytes | float, status: int = 0) -> Session:
        words = [sys.executable, "-S", "-c", HOST, repr(pieces), str(status)]
        session = Session(spawn(words, stdin=PIPE, stdout=PIPE, stderr=PIPE), "gpu1")
        sessions.append(session)
        return session

    yield begin
    for session in sessions:
        session.kill()


@given(st.binary().filter(lambda data: b"\0" not in data))
def test_a_value_comes_back_as_it_was(value: bytes) -> None:
    line = encode(value)
    assert b"\n" not in line
    assert decode(line) == value


@pytest.mark.parametrize("shell", ["dash", "bash"])
def test_a_shell_reads_values_as_they_were(shell: str) -> None:
    values = [b"", b"a\\nb", b"\n", b"\\", b"\\\\n\n\\", b"%s %b", b"\xff\xfe", b"-n", b"\\c", b"\\0101"]
    script = 'while IFS= read -r line; do printf "[%b]" "$line"; done'
    lines = b"".join(encode(value) + b"\n" for value in values)
    said = subprocess.run([shell, "-c", script], input=lines, capture_output=True, check=True).stdout
    assert said == b"".join(b"[" + value + b"]" for value in values)


def test_a_nul_is_refused() -> None:
    with pytest.raises(ValueError, match="NUL"):
        encode("a\0b")


def test_the_program_holds_every_part_and_ends_with_its_call() -> None:
    text = program().decode("ascii")  # a shell is told its size in bytes, and counts characters
    assert text.endswith('main "$@"')
    functions = {line.split("(")[0] for line in text.splitlines() if "() " in line}
    assert {"decode", "serve_probe", "supervise", "job", "serve_follow", "stop_job", "serve_release"} <= functions
    assert not [line for line in text.splitlines() if line.startswith(("#", " ")) or not line]
    assert len(PARTS) == len(set(PARTS))


@pytest.mark.parametrize("shell", ["dash", "bash --posix", "busybox sh"])
def test_a_program_that_ends_too_early_is_not_carried_out(shell: str) -> None:
    argv = ["sh", "-c", BOOTSTRAP.replace("/bin/sh", shell)]
    first = FIRST_LINE.encode() + b"\n"
    for sent in (b"", b"100\n", b"100\necho carried out; exit 0\n"):
        done = subprocess.run(argv, input=first + sent, capture_output=True, timeout=20, check=False)
        assert (done.returncode, done.stdout) == (1, b"")


@pytest.mark.parametrize("shell", ["dash", "bash --posix", "busybox sh"])
def test_a_program_whose_beginning_was_eaten_is_not_carried_out(shell: str) -> None:
    program = b"echo carried out"
    argv = ["sh", "-c", BOOTSTRAP.replace("/bin/sh", shell)]
    for sent in (b"", b"%d\n%s" % (len(program), program), program):
        done = subprocess.run(argv, input=sent, capture_output=True, timeout=20, check=False)
        assert (done.returncode, done.stdout) == (INPUT_EATEN, b"")


@pytest.mark.parametrize("shell", ["dash", "bash", "busybox sh"])
def test_what_is_sent_is_no_command_of_another_shell(shell: str) -> None:
    session = Session(spawn(shell.split(), stdin=PIPE, stdout=PIPE, stderr=PIPE), "gpu1")
    session.request("probe", ".")
    with pytest.raises(HostUnfit, match="becomes another shell"):
        session.reply()
    session.kill()


def test_replies_come_in_order_whatever_stands_between(start) -> None:  # type: ignore[no-untyped-def]
    session = start(b"Welcome!\nNONCE ready\nHALF", b"REST one a b\nnoise\nNONCE two\n")
    assert session.reply() == Reply("one", "a b")
    assert session.reply() == Reply("two", "")
    with pytest.raises(ConnectionFailed, match="was lost"):
        session.reply()


@given(cuts=st.lists(st.integers(1, 60), max_size=6), body=st.binary(max_size=40))
def test_raw_bytes_end_at_the_marker_wherever_the_pieces_are_cut(cuts: list[int], body: bytes) -> None:
    body = body.replace(b"NONCE", b"")
    session = Session(spawn(["cat"], stdin=PIPE, stdout=PIPE, stderr=PIPE), "gpu1")
    try:
        session._outgoing = b""
        stream = body + session.nonce[:9] + b"x" + session.nonce + b" end 5\n"
        pieces = [stream[start:end] for start, end in zip([0, *sorted(cuts)], [*sorted(cuts), None], strict=True)]
        for piece in pieces:
            session.send(piece)
        assert b"".join(session.raw(timeout=5)) == body + session.nonce[:9] + b"x"
        assert session.reply() == Reply("end", "5")
    finally:
        session.kill()


def test_a_refusal_says_why(start) -> None:  # type: ignore[no-untyped-def]
    session = start(b"NONCE ready\nNONCE refused directory /a b\n")
    with pytest.raises(Refusal) as caught:
        session.reply()
    assert (caught.value.word, caught.value.values) == ("directory", "/a b")


def test_silence_ends_a_wait(start) -> None:  # type: ignore[no-untyped-def]
    session = start(b"NONCE ready\n", 30.0)
    began = time.monotonic()
    with pytest.raises(ConnectionFailed, match="no answer"):
        session.reply(timeout=0.3)
    assert time.monotonic() - began < 5


def test_the_last_words_of_ssh_are_told() -> None:
    # Sent only once its "ready" has been read: what comes with that is a login shell's complaint.
    script = f'{READY} echo "$nonce there"; read -r _; echo "Connection reset by peer" >&2; exit 255'
    session = Session(spawn(["sh", "-c", script], stdin=PIPE, stdout=PIPE, stderr=PIPE), "gpu1")
    assert session.reply().word == "there"
    session.send(b"go on\n")
    with pytest.raises(ConnectionFailed, match="lost \\(Connection reset by peer\\)"):
        session.reply()
    session.close()


def test_a_host_that_runs_something_else_is_shown(start) -> None:  # type: ignore[no-untyped-def]
    session = start(b"This account is not available.\n", status=1)
    with pytest.raises(HostUnfit, match="This account is not available"):
        session.reply()


def test_an_end_after_the_errors_have_ended_is_still_a_lost_connection(start) -> None:  # type: ignore[no-untyped-def]
    script = f"{READY} exec 2>&-; sleep 0.2; exit 255"
    session = Session(spawn(["sh", "-c", script], stdin=PIPE, stdout=PIPE, stderr=PIPE), "gpu1")
    with pytest.raises(ConnectionFailed):
        session.reply()
    session.close()


def test_heartbeats_are_no_errors_and_their_absence_is_the_end(start) -> None:  # type: ignore[no-untyped-def]
    # A machine under load delays a heartbeat too, so the timeout is ten times as long as the time between two of them.
    script = f"{READY} for i in 1 2 3 4 5 6 7 8 9 10 11 12; do printf '\\000' >&2; sleep 0.2; done; sleep 30"
    session = Session(spawn(["sh", "-c", script], stdin=PIPE, stdout=PIPE, stderr=PIPE), "gpu1")
    session.heartbeat_timeout = 2
    began = time.monotonic()
    with pytest.raises(ConnectionFailed, match="silent"):
        session.reply(timeout=20)
    assert 2.4 < time.monotonic() - began < 15
    assert session.errors == b""
    session.kill()


HEARTBEATS = "while printf '\\000' >&2; do sleep 0.1; done"


def test_a_host_that_lives_and_gives_no_answer_is_not_waited_for_for_ever() -> None:
    session = Session(spawn(["sh", "-c", READY + HEARTBEATS], stdin=PIPE, stdout=PIPE, stderr=PIPE), "gpu1")
    session.heartbeat_timeout = 5
    with pytest.raises(ConnectionFailed, match="has given no answer for 1 s"):
        session.reply(timeout=1)
    session.kill()


def test_a_host_that_reads_slowly_and_lives_is_waited_for() -> None:
    script = f"{HEARTBEATS} & sleep 3; cat >/dev/null"
    session = Session(spawn(["sh", "-c", script], stdin=PIPE, stdout=PIPE, stderr=PIPE), "gpu1")
    session.heartbeat_timeout = 2
    session.send(bytes(8 << 20))
    session.kill()


def test_signs_of_life_count_from_when_the_host_is_ready() -> None:
    """Before, it may be busy with its start files for as long as an answer may take."""
    session = Session(
        spawn(["sh", "-c", f"sleep 0.1; {READY} cat >/dev/null"], stdin=PIPE, stdout=PIPE, stderr=PIPE), "h"
    )
    session.ask_for_heartbeat()
    assert session.heartbeat_timeout is None
    with pytest.raises(ConnectionFailed, match="no answer"):
        session.reply(timeout=1)
    assert session.heartbeat_timeout == HEARTBEAT_TIMEOUT
    session.kill()


def test_a_host_that_stops_reading_ends_a_wait_too(start) -> None:  # type: ignore[no-untyped-def]
    session = Session(spawn(["sleep", "30"], stdin=PIPE, stdout=PIPE, stderr=PIPE), "gpu1")
    session.heartbeat_timeout = 0.3
    with pytest.raises(ConnectionFailed, match="silent"):
        session.send(bytes(8 << 20))
    session.kill()
