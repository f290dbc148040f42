"""The hosts that the ssh config names, as shells complete them: the literal names of its `Host` lines, no patterns."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

from sshrun.connection.paths import SYSTEM_CONFIG, USER_CONFIG, ssh_expanded

_DEPTH = 16  # READCONF_MAX_DEPTH of readconf.c
_PATTERN = "*?!"


def configured_hosts(config_path: str | None = None) -> list[str]:
    """In the order of the files, the user's (or `config_path` in its place) before the system's, each name once."""
    own = _hosts(config_path or ssh_expanded(USER_CONFIG), "~/.ssh", _DEPTH)
    system = _hosts(SYSTEM_CONFIG, os.path.dirname(SYSTEM_CONFIG), _DEPTH)
    return list(dict.fromkeys([*own, *system]))


def _hosts(path: str, directory: str, depth: int) -> Iterator[str]:
    """`directory` is what relative Includes are relative to: ssh_config(5), Include."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            lines = file.read().splitlines()
    except OSError:
        return
    for line in lines:
        keyword, *words = _words(line.strip().replace("=", " ", 1)) or [""]
        if keyword.lower() == "host":
            yield from (word for word in words if word.isprintable() and not set(word) & set(_PATTERN))
        elif keyword.lower() == "include" and depth:
            for included in _files(words, directory):
                yield from _hosts(included, directory, depth - 1)


def _words(line: str) -> list[str]:
    """What is quoted is one word, spaces and all; a `#` that begins a word begins a comment."""
    words: list[str] = []
    for number, part in enumerate(line.split('"')):
        if number % 2:
            words.append(part)
            continue
        for word in part.split():
            if word.startswith("#"):
                return words
            words.append(word)
    return words


def _files(patterns: Iterable[str], directory: str) -> Iterator[str]:
    for pattern in patterns:
        path = os.path.expandvars(pattern if pattern.startswith(("/", "~")) else f"{directory}/{pattern}")
        path = os.path.expanduser(path)  # from $HOME, as glob(3) does it, other than the rest of ssh
        if set(path) & set("*?["):
            from glob import glob

            yield from sorted(glob(path))
        else:
            yield path
