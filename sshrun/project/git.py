"""Questions to git that change nothing: no lock, no hook, no connection, none of the person's $GIT_DIR.

Each names its repository by --git-dir: git then works in one that belongs to somebody else, which it refuses where it
finds the repository itself (safe.directory). Since 2.38 `-c safe.directory=*` would do, in the versions before it is
ignored on the command line. What that refusal is to prevent cannot happen: nothing that a repository's settings name
is started by these commands, except core.fsmonitor, which is switched off.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from sshrun import process

# Where the person's own settings are, with their core.excludesFile, and where git is.
_KEPT = ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM", "GIT_EXEC_PATH")
_SETTINGS = ("-c", "core.fsmonitor=false", "-c", "core.quotePath=false")


class Repository(NamedTuple):
    """A repository as git is told of it: `git_dir` may be a file that leads to it, `top` is its work tree."""

    git_dir: str
    top: str


class Answer(NamedTuple):
    """How git ended, and what it printed."""

    status: int
    output: bytes
    errors: str

    @property
    def reason(self) -> str:
        """Why it failed: its first line, without the word before it."""
        line = self.errors.strip().partition("\n")[0]
        return line.removeprefix("fatal: ").removeprefix("error: ") or f"exit code {self.status}"


def ask(repository: Repository, directory: str, words: Sequence[str], stdin: bytes = b"") -> Answer:
    """Runs git with `words` in a directory of the work tree. Raises ProgramMissing."""
    argv = ["git", f"--git-dir={repository.git_dir}", f"--work-tree={repository.top}", "-C", directory, *_SETTINGS]
    # From files, so that git may print before it has read: 100,000 names fit into no pipe.
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as errors:
        given.write(stdin)
        given.seek(0)
        child = process.spawn(
            [*argv, *words], stdin=given.fileno(), stdout=process.PIPE, stderr=errors.fileno(), env=_environment()
        )
        try:
            assert child.stdout is not None
            chunks = []
            while chunk := os.read(child.stdout, 1 << 20):
                chunks.append(chunk)
            status = child.wait()
        finally:
            child.kill()
            child.close()
        errors.seek(0)
        return Answer(status, b"".join(chunks), os.fsdecode(errors.read()))


@contextmanager
def none_of_its_own(top: str) -> Iterator[Repository]:
    """An empty repository for a directory that has none: git's rules for names, and nothing tracked.

    The layout is what gitrepository-layout(5) asks for; to run `git init` would take longer than what is asked of it.
    """
    with tempfile.TemporaryDirectory(prefix="sshrun-git-") as directory:
        for part in ("objects", "refs"):
            os.mkdir(os.path.join(directory, part))
        with open(os.path.join(directory, "HEAD"), "w", encoding="ascii") as head:
            head.write("ref: refs/heads/none\n")
        yield Repository(directory, top)


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_") or name in _KEPT}
    # A clone that left files on its server would fetch what it lacks: no protocol is allowed.
    return kept | {"LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0", "GIT_NO_LAZY_FETCH": "1", "GIT_ALLOW_PROTOCOL": ""}
