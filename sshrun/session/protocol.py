"""What goes over the wire: values, one a line, and the replies that the host's program gives."""

from __future__ import annotations

import os
from typing import NamedTuple

from sshrun.errors import RemoteError


class Reply(NamedTuple):
    """One line of the host's: a word, and the values behind it."""

    word: str
    values: str

    def split(self) -> list[str]:
        return self.values.split(" ")


class Refusal(RemoteError):
    """The host's program will not do what was asked; `word` says why."""

    def __init__(self, word: str, values: str) -> None:
        super().__init__(f"the host refused: {word} {values}".rstrip())
        self.word = word
        self.values = values


def encode(value: str | bytes) -> bytes:
    """One value as one line, as printf's %b reads it. Raises ValueError for a NUL, which no shell can hold."""
    data = os.fsencode(value)
    if b"\0" in data:
        raise ValueError("a NUL byte cannot be passed to a program")
    return data.replace(b"\\", b"\\\\").replace(b"\n", b"\\n")


def decode(value: str | bytes) -> bytes:
    """What `encode` made, on either side of the wire."""
    data = os.fsencode(value)
    if b"\\" not in data:
        return data
    return b"\\".join(part.replace(b"\\n", b"\n") for part in data.split(b"\\\\"))
