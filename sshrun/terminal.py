"""What a host may write on the user's terminal: text, colours, and the moves that progress bars are drawn with.

A terminal obeys more than that: OSC 52 writes the clipboard, OSC 0 and CSI t the title, CSI c and n make it type an
answer, CSI ?1000h and the like change what the keyboard and the mouse send, CSI 3J erases what was on the screen
before (xterm's ctlseqs names them all). A log comes from another machine, so whatever is not known to be harmless is
shown as text instead: ``\\x1b]52;c;…``. It is a list of what passes, not of what does not.
"""

from __future__ import annotations

import codecs
import os

_TEXT = b"\b\t\n\r" + bytes(range(0x20, 0x7F))

# At most this many bytes of parameters: SGR with two 24-bit colours and four attributes takes 45.
_PARAMETERS = 60
_CSI_THAT_PASSES = b"|".join(
    (
        b"[0-9;:]{0,%d}m" % _PARAMETERS,  # SGR: colours; `>` or `?` before the digits would set or ask for modes
        b"[0-9;]{0,%d}[A-HdfKLMPX@]" % _PARAMETERS,  # move the cursor; erase, insert and delete characters and lines
        b"[0-2]?J",  # erase in display; 3 would erase what scrolled out of sight, and that is not the job's
        b"[su]",  # save and restore the cursor; with numbers they set margins
        b"[?]25[hl]",  # show and hide the cursor
    )
)
_CSI_SO_FAR = b"(?:[?]2?5?|[0-9;:]{0,%d})" % _PARAMETERS
# One character class in front lets `re` skip text at full speed; what is checked afterwards decides.
_FORBIDDEN = (
    b"[\\x00-\\x07\\x0b\\x0c\\x0e-\\x1f\\x7f\\xc2]"
    b"(?:(?<=\\x1b)(?!\\[(?:" + _CSI_THAT_PASSES + b"))|(?<=\\xc2)[\\x80-\\x9f]|(?<![\\x1b\\xc2]))"
)
_UNFINISHED = b"\\x1b(?:\\[" + _CSI_SO_FAR + b")?"
_LONGEST_UNFINISHED = len(b"\x1b[") + _PARAMETERS

_RESET = b"\x1b[0m\x1b[?25h"


def size() -> os.terminal_size | None:
    """Of the terminal on which a log is seen: stdout, or stderr where stdout is a pipe to `tee`; None without one."""
    for stream in (1, 2):
        try:
            found = os.get_terminal_size(stream)
        except OSError:
            continue
        if found.columns > 0 and found.lines > 0:  # a terminal that nobody gave a size has 0
            return found
    return None


class TerminalFilter:
    """An incremental filter between a log and a terminal; how the log is cut into chunks changes nothing.

    Bytes that are no UTF-8 are shown as ``\\xNN``, control characters as ``\\x1b``, decoded C1 controls (U+0080 to
    U+009F, which some terminals obey like ESC with a letter) as ``\\u009b``. At most 62 bytes are held back.
    """

    def __init__(self) -> None:
        import re

        self._forbidden = re.compile(_FORBIDDEN)
        self._unfinished = re.compile(_UNFINISHED)
        self._decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")
        self._held = b""
        self._drawn_on = False

    def feed(self, data: bytes) -> bytes:
        """What may be written now; the start of an unfinished sequence or character waits for the next call."""
        if not self._held and not self._decoder.getstate()[0] and not data.translate(None, _TEXT):
            return data
        data = self._held + self._decoder.decode(data).encode()
        self._held = b""
        last = data.rfind(b"\x1b", -_LONGEST_UNFINISHED)
        if last >= 0 and self._unfinished.fullmatch(data, last):
            data, self._held = data[:last], data[last:]
        return self._shown(data)

    def flush(self) -> bytes:
        """The rest at the end of the log, and what a job that was killed left undone: plain colours, a cursor."""
        rest = self._shown(self._held + self._decoder.decode(b"", final=True).encode())
        self._held = b""
        self._decoder.reset()
        if self._drawn_on:
            self._drawn_on = False
            rest += _RESET
        return rest

    def _shown(self, data: bytes) -> bytes:
        shown = self._forbidden.sub(lambda found: _escaped(found[0]), data)
        self._drawn_on = self._drawn_on or b"\x1b" in shown
        return shown


def _escaped(control: bytes) -> bytes:
    if len(control) == 2:
        return b"\\u00%02x" % control[1]
    return b"\\x%02x" % control[0]


def visible(name: str) -> str:
    """A name from the host or the disk on one line: what is not printable shown as ``\\x1b``, ``\\n``, ``\\u202e``.

    Unlike in a log, line ends and marks that turn the direction of writing are escaped too: a name must not look like
    another one. Bytes that `os.fsdecode` could not decode are shown as ``\\xNN``.
    """
    return name if name.isprintable() else "".join(map(_visible_character, name))


def _visible_character(character: str) -> str:
    if character.isprintable():
        return character
    if "\udc80" <= character <= "\udcff":
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")
