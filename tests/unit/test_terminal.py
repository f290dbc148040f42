"""What passes to a terminal and what is shown instead."""

from __future__ import annotations

import itertools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sshrun.terminal import TerminalFilter, visible

RESET = b"\x1b[0m\x1b[?25h"


def shown(*chunks: bytes) -> bytes:
    terminal = TerminalFilter()
    written = b"".join(terminal.feed(chunk) for chunk in chunks) + terminal.flush()
    return written.removesuffix(RESET)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"Epoch 1/3\r\n 10% |#   |\r 20% |##  |\b\b\tdone\n",
        "épôch ━━━╸ 日本 🎉 \u00a0\u00bf".encode(),
        b"\x1b[m\x1b[0m\x1b[1;31mred\x1b[38;2;255;128;0;48;5;17;1;3mboth\x1b[4:3mcurly\x1b[38:2::1:2:3m",
        b"\x1b[A\x1b[2A\x1b[3B\x1b[C\x1b[10D\x1b[E\x1b[2F\x1b[1G\x1b[H\x1b[5;7H\x1b[5;7f\x1b[9d",
        b"\x1b[s\x1b[u",
        b"\x1b[J\x1b[0J\x1b[1J\x1b[2J\x1b[K\x1b[2K\x1b[3X\x1b[2P\x1b[@\x1b[L\x1b[2M",
        b"\x1b[?25l\x1b[?25h",
        b"\x1b[" + b"0;" * 30 + b"m",
    ],
)
def test_text_and_what_progress_bars_draw_with_pass(data: bytes) -> None:
    assert shown(data) == data


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        pytest.param(b"a\x00\x05\x07\x0b\x0c\x0e\x0f\x7fz", rb"a\x00\x05\x07\x0b\x0c\x0e\x0f\x7fz", id="C0 and DEL"),
        pytest.param(b"\x1b]52;c;cm0=\x07", rb"\x1b]52;c;cm0=\x07", id="OSC 52 writes the clipboard"),
        pytest.param(b"\x1b]0;title\x1b\\", rb"\x1b]0;title\x1b" + b"\\", id="OSC 0 sets the title"),
        pytest.param(b"\x1bP$q\x1b_G\x1b^x\x1bXy\x9c", rb"\x1bP$q\x1b_G\x1b^x\x1bXy\x9c", id="DCS, APC, PM, SOS"),
        pytest.param(b"\x1bc\x1b7\x1b8\x1b#8\x1b(0\x1bZ", rb"\x1bc\x1b7\x1b8\x1b#8\x1b(0\x1bZ", id="ESC and a letter"),
        pytest.param(b"\x1b[c\x1b[>c\x1b[6n\x1b[5n\x1b[?6n", rb"\x1b[c\x1b[>c\x1b[6n\x1b[5n\x1b[?6n", id="queries"),
        pytest.param(b"\x1b[?1049h\x1b[?2004h\x1b[4h\x1b[20l", rb"\x1b[?1049h\x1b[?2004h\x1b[4h\x1b[20l", id="modes"),
        pytest.param(b"\x1b[?25;1000h\x1b[?1000;25h", rb"\x1b[?25;1000h\x1b[?1000;25h", id="modes behind the cursor's"),
        pytest.param(b"\x1b[21t\x1b[8;1;1t\x1b[2;5r", rb"\x1b[21t\x1b[8;1;1t\x1b[2;5r", id="window and margins"),
        pytest.param(b"\x1b[1;5s\x1b[>1u\x1b[?u", rb"\x1b[1;5s\x1b[>1u\x1b[?u", id="margins, keyboard protocol"),
        pytest.param(b"\x1b[>4;1m\x1b[?4m", rb"\x1b[>4;1m\x1b[?4m", id="SGR that is none"),
        pytest.param(b"\x1b[3J\x1b[03J\x1b[0;3J\x1b[?J", rb"\x1b[3J\x1b[03J\x1b[0;3J\x1b[?J", id="scrollback"),
        pytest.param(b"\x1b[999999999b\x1b[5S\x1b[5i\x1b[2q", rb"\x1b[999999999b\x1b[5S\x1b[5i\x1b[2q", id="other CSI"),
        pytest.param(b"\x1b[0 q\x1b[!p\x1b[1$x\x1b[2 @", rb"\x1b[0 q\x1b[!p\x1b[1$x\x1b[2 @", id="intermediate bytes"),
        pytest.param(b"\x1b[3\x1b[1mx", b"\\x1b[3\x1b[1mx", id="a sequence cut by another"),
        pytest.param(b"\x1b[3\nm", b"\\x1b[3\nm", id="a sequence cut by a line end"),
        pytest.param(b"\x1b[" + b"1" * 61 + b"m", rb"\x1b[" + b"1" * 61 + b"m", id="a sequence without end"),
        pytest.param("\u009b5n\u0085\u0080".encode(), rb"\u009b5n\u0085\u0080", id="decoded C1"),
        pytest.param(b"\x9b5n\x90\x85", rb"\x9b5n\x90\x85", id="raw C1"),
        pytest.param(b"\xff\xc0\x9b\xed\xa0\x80\xe2\x82", rb"\xff\xc0\x9b\xed\xa0\x80\xe2\x82", id="no UTF-8"),
        pytest.param(b"\x1b", rb"\x1b", id="ESC at the end"),
        pytest.param(b"\x1b[1;", rb"\x1b[1;", id="CSI at the end"),
    ],
)
def test_everything_else_is_shown_as_text(data: bytes, expected: bytes) -> None:
    assert shown(data) == expected


PIECES = st.one_of(
    st.binary(max_size=8),
    st.text(max_size=6).map(str.encode),
    st.sampled_from([b"\x1b", b"\x1b[", b"\x9b", b"\xc2\x9b", b"\xc2", b"\xe2\x94", b"\x1b]", b"\x1b[?25", b"3J"]),
    st.from_regex(rb"\x1b\[[?>=]?[0-9;:]{0,70}[ -/]?[@-~]", fullmatch=True),
)
LOGS = st.lists(PIECES, max_size=12).map(b"".join)


@given(LOGS, st.lists(st.integers(0, 600), max_size=8))
def test_how_a_log_is_cut_changes_nothing(log: bytes, cuts: list[int]) -> None:
    edges = [0, *sorted(min(cut, len(log)) for cut in cuts), len(log)]
    chunks = [log[start:end] for start, end in itertools.pairwise(edges)]
    assert shown(*chunks) == shown(log) == shown(*(log[at : at + 1] for at in range(len(log))))


@given(LOGS)
def test_nothing_forbidden_is_left(log: bytes) -> None:
    text = shown(log).decode("utf-8")  # so it is valid UTF-8
    for sequence in re.findall("\x1b[^@-~]*.?[^@-~]*[@-~]?", text, re.DOTALL):
        assert re.fullmatch(r"\x1b\[([0-9;:]*m|[0-9;]*[A-HdfKLMPX@]|[012]?J|[su]|\?25[hl])", sequence), sequence
    controls = {character for character in text if ord(character) < 0x20 or 0x7F <= ord(character) <= 0x9F}
    assert controls <= set("\b\t\n\r\x1b")


@given(st.text(st.characters(exclude_categories=["Cc", "Cs"])))
def test_text_of_any_language_is_untouched(text: str) -> None:
    assert shown(text.encode()) == text.encode()


def test_what_could_never_end_is_not_held_back() -> None:
    terminal = TerminalFilter()
    assert terminal.feed(b"\x1b]0;") == rb"\x1b]0;"
    assert terminal.feed(b"x" * 100_000) == b"x" * 100_000
    held = sum(len(b"1") for _ in range(1000) if not terminal.feed(b"1"))
    assert held == 0
    assert terminal.feed(b"\x1b[" + b"1" * 1000).startswith(rb"\x1b[1")


def test_plain_text_is_written_at_once() -> None:
    terminal = TerminalFilter()
    assert terminal.feed(b" 99%\r") == b" 99%\r"
    assert terminal.feed("é".encode()[:1]) == b""
    assert terminal.feed("é".encode()[1:] + b"!") == "é!".encode()


def test_a_job_killed_while_drawing_leaves_colours_and_cursor_as_they_were() -> None:
    terminal = TerminalFilter()
    assert terminal.feed(b"\x1b[?25l\x1b[31m 50%") == b"\x1b[?25l\x1b[31m 50%"
    assert terminal.flush() == RESET
    assert terminal.flush() == b""
    assert terminal.feed(b"plain \x1b]0;x\n") == b"plain \\x1b]0;x\n"
    assert terminal.flush() == b""


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("best model (1) – é日本.zip", "best model (1) – é日本.zip"),
        ("a\x1b]0;x\x07b", r"a\x1b]0;x\x07b"),
        ("one\ntwo\rthree\tfour", r"one\ntwo\rthree\tfour"),
        ("gpj.\u202eexe", r"gpj.\u202eexe"),
        ("\x9b5n\x7f", r"\x9b5n\x7f"),
        (b"caf\xe9".decode("utf-8", "surrogateescape"), r"caf\xe9"),
        ("\U000e0001", r"\U000e0001"),
    ],
)
def test_a_name_is_one_line_and_looks_like_no_other(name: str, expected: str) -> None:
    assert visible(name) == expected


@given(st.text() | st.binary().map(lambda name: name.decode("utf-8", "surrogateescape")))
def test_every_name_can_be_printed(name: str) -> None:
    assert visible(name).isprintable()
    visible(name).encode("utf-8")
