"""Words of an ssh config file."""

from __future__ import annotations


def quoted(text: str) -> str:
    """A word of an ssh config file. A backslash stands for itself but before a backslash or a quote (argv_split())."""
    word = ""
    for character, following in zip(text, text[1:] + '"', strict=True):
        special = character == '"' or (character == "\\" and following in "\\\"'")
        word += "\\" + character if special else character
    return f'"{word}"'


def literal(path: str) -> str:
    """A path as a word of an ssh config file that ssh expands no `%` in."""
    return quoted(path.replace("%", "%%"))


def globbed(path: str) -> str:
    """A path as a pattern that names it alone: Include has glob(3) read what it is given."""
    return "".join("\\" + character if character in "*?[\\" else character for character in path)
