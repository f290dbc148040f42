"""Where a person's project begins."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import NamedTuple

from sshrun.errors import SettingsError
from sshrun.terminal import visible

IGNORE_FILE = ".sshrunignore"


class Root(NamedTuple):
    """The directory with which a project begins, absolute, and why it is that one, as a phrase for people."""

    path: str
    reason: str


def find_root(start: str, *, of_script: bool) -> Root | None:
    """The project of the directory `start`: the script's own (`of_script`), or the current one.

    The nearest directory upward that has settings or an ignore file of ours; else git's top level, which within a
    submodule is the submodule's, as `git rev-parse --show-toplevel` has it; else the script's directory. The home
    directory, those above it, and "/" hold more than a project, and are none. Raises SettingsError.
    """
    start = os.path.abspath(start)
    # As the person sees it; where a link on that way hides the directories above, then as the disk has it.
    for directory in dict.fromkeys((start, os.path.realpath(start))):
        if found := _marked(directory) or _versioned(directory):
            return found
    return Root(start, "the script's directory") if of_script and not _is_too_much(start) else None


def git_top(directory: str) -> str | None:
    """The nearest directory upward with a `.git`, of a repository or (a file) of a linked worktree or a submodule."""
    return next((above for above in _upward(directory) if is_repository(above)), None)


def is_repository(directory: str) -> bool:
    git = os.path.join(directory, ".git")
    return os.path.lexists(os.path.join(git, "HEAD")) or os.path.isfile(git)


def _marked(start: str) -> Root | None:
    for directory in _upward(start):
        if _is_too_much(directory):
            break
        if _has_settings(os.path.join(directory, "pyproject.toml")):
            return Root(directory, "its pyproject.toml has [tool.sshrun]")
        if os.path.isfile(os.path.join(directory, IGNORE_FILE)):
            return Root(directory, f"it holds {IGNORE_FILE}")
    return None


def _versioned(start: str) -> Root | None:
    top = git_top(start)
    return None if top is None or _is_too_much(top) else Root(top, "top level of its git repository")


def _upward(directory: str) -> Iterator[str]:
    while True:
        yield directory
        above = os.path.dirname(directory)
        if above == directory:
            return
        directory = above


def _is_too_much(directory: str) -> bool:
    """Whether it is the home directory or holds it: `/` always does."""
    real, home = os.path.realpath(directory), os.path.realpath(os.path.expanduser("~"))
    return home == real or home.startswith(real.rstrip("/") + "/")


def _has_settings(path: str) -> bool:
    if not os.path.isfile(path):
        return False
    try:
        with open(path, "rb") as file:
            content = file.read()
        if b"sshrun" not in content:
            return False  # as in most projects, and reading TOML takes its time
        import tomllib

        tool = tomllib.loads(content.decode()).get("tool")
    except OSError as error:
        raise SettingsError([f"{visible(path)}: cannot be read: {error.strerror}"]) from error
    except (ValueError, RecursionError) as error:  # TOMLDecodeError and UnicodeDecodeError are both the former
        raise SettingsError([f"{visible(path)}: is not TOML: {visible(str(error))}"]) from error
    return isinstance(tool, dict) and "sshrun" in tool
