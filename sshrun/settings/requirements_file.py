"""The lines of a requirements file, as pip reads them: its requirements file format."""

from __future__ import annotations

from collections.abc import Iterator


def logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Each requirement or option, and the number of the line that it ends on: without comments, and joined where a
    backslash ends a line. A comment ends what goes before it, and so does the end of the file.
    """
    unfinished = ""
    for number, written in enumerate([*text.splitlines(), ""], 1):
        if written.lstrip().startswith("#"):
            written = ""
        elif written.endswith("\\"):
            unfinished += written[:-1]
            continue
        line = f" {unfinished}{written}".split(" #")[0].strip()
        unfinished = ""
        if line:
            yield number, line


def shown(line: str) -> str:
    """A line as it may be shown: without the user and the password of an address in it."""
    import re

    return re.sub(r"(?<=://)[^/\s]*@", "***@", line)
