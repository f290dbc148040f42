"""The documents, and what they show: blocks of code, and commands to type."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import NamedTuple

import pytest

PROJECT = Path(__file__).parents[2]
DOCUMENTS = sorted([*PROJECT.glob("*.md"), *PROJECT.glob("docs/*.md"), *PROJECT.glob("examples/*/README.md")])

_COMMENT = re.compile(r"\s{2,}")  # what stands behind it in a list of commands is prose


class Block(NamedTuple):
    """A fenced block of a document. `line` is that of its first fence."""

    document: Path
    line: int
    language: str
    text: str

    @property
    def place(self) -> str:
        return f"{self.document.relative_to(PROJECT)}:{self.line}"


def blocks(*languages: str) -> list[Block]:
    """All of these languages, in all documents."""
    found = []
    for document in DOCUMENTS:
        opened: tuple[int, str] | None = None
        lines: list[str] = []
        for number, line in enumerate(document.read_text(encoding="utf-8").splitlines(), 1):
            if not line.startswith("```"):
                lines.append(line)
            elif opened is None:
                opened, lines = (number, line.removeprefix("```").strip()), []
            else:
                found.append(Block(document, *opened, "\n".join(lines) + "\n"))
                opened = None
        assert opened is None, f"{document}: a block is not closed"
    return [block for block in found if block.language in languages]


def each(found: list[Block]) -> pytest.MarkDecorator:
    """A test for each block."""
    assert found
    return pytest.mark.parametrize("block", found, ids=[block.place for block in found])


def only(document: str, *languages: str, holding: str) -> Block:
    """The one block of a document that holds a text."""
    [found] = [block for block in blocks(*languages) if block.document == PROJECT / document and holding in block.text]
    return found


def commands() -> dict[tuple[str, ...], str]:
    """The words behind every `sshrun` that a document has somebody type, and where that stands."""
    found: dict[tuple[str, ...], str] = {}
    for block in blocks("sh", "console", ""):
        for line in block.text.splitlines():
            command = line.removeprefix("$ ")
            printed = block.language == "console" and command == line
            if command.startswith("sshrun ") and "…" not in command and not printed:
                words = shlex.split(_COMMENT.split(command)[0], comments=True)
                found.setdefault(tuple(words[1:]), block.place)
    return found
