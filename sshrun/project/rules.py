"""What `.sshrunignore` alone says of names: gitignore's syntax and meaning, judged by git itself.

A name is out where its last matching rule takes it, or a directory that holds it, out: as in gitignore(5). Unlike there
a rule that begins with `!` also says something of a name that no other rule means: such a file comes in though git
ignores it, and with a directory all that is in it.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from sshrun.errors import UsageError
from sshrun.project import git
from sshrun.project.root import IGNORE_FILE
from sshrun.terminal import visible

if TYPE_CHECKING:
    from collections.abc import Iterator


class Rule(NamedTuple):
    """A line of an ignore file: `place` is `FILE:LINE`, for people."""

    place: str
    pattern: str

    @property
    def takes_out(self) -> bool:
        return not self.pattern.startswith("!")

    def at(self, place: str) -> Rule:
        return Rule(place, self.pattern)

    def __str__(self) -> str:
        return f"{self.place} `{visible(self.pattern)}`"


class Verdict(NamedTuple):
    """The rule that decides on a name, and the name that it matches: that one, or a directory that holds it."""

    rule: Rule
    matched: str


class Rules:
    """The rules of one `.sshrunignore`."""

    def __init__(self, path: str) -> None:
        """Raises UsageError where the file cannot be read."""
        try:
            with open(path, "rb") as file:
                text = file.read()
        except OSError as error:
            raise UsageError(f"{visible(path)} cannot be read: {error.strerror}") from error
        self._path = path
        self._lines = [_trimmed(line) for line in text.removeprefix(b"\xef\xbb\xbf").split(b"\n")]

    @classmethod
    def of(cls, root: str) -> Rules | None:
        path = os.path.join(root, IGNORE_FILE)
        return cls(path) if os.path.isfile(path) else None

    @property
    def invitations(self) -> bytes:
        """The patterns after `!`, a line each; empty where nothing that git ignores can come in."""
        return b"\n".join(line[1:] for line in self._lines if line.startswith(b"!"))

    def judge(self, names: Sequence[str]) -> dict[str, Verdict]:
        """The names of files on which a rule decides; the others are left to git. Raises UsageError, ProgramMissing."""
        with _bare_tree() as repository:
            own = _matches(repository, self._path, names)
            if not self.invitations:
                return {name: Verdict(rule, name) for name, rule in own.items()}
            return self._with_directories(repository, names, own)

    def _with_directories(
        self, repository: git.Repository, names: Sequence[str], own: dict[str, Rule]
    ) -> dict[str, Verdict]:
        above: dict[str, Verdict | None] = {"": None}
        directories = sorted(_directories(names))  # one before what is in it
        rules = self._of_directories(repository, directories)
        for directory in directories:
            rule = rules.get(directory)
            above[directory] = Verdict(rule, directory) if rule else above[os.path.dirname(directory)]
        verdicts = {}
        for name in names:
            rule = own.get(name)
            found = Verdict(rule, name) if rule else above[name.rpartition("/")[0]]
            if found is not None:
                verdicts[name] = found
        return verdicts

    def _of_directories(self, repository: git.Repository, directories: Sequence[str]) -> dict[str, Rule]:
        """Of names that are all directories. git sees none where it looks, so a rule for directories alone must lose
        the `/` that says so; of what holds them it knows without looking.
        """
        lines = [_without_slash(line) for line in self._lines]
        with tempfile.NamedTemporaryFile() as file:
            file.write(b"\n".join(lines))
            file.flush()
            found = _matches(repository, file.name, directories)
        # Each as it is written: the line is the same one.
        return {
            name: Rule(rule.place, os.fsdecode(self._lines[int(rule.place.rpartition(":")[2]) - 1]))
            for name, rule in found.items()
        }


def read_matches(output: bytes, place: str = "") -> Iterator[tuple[str, Rule]]:
    """The names and rules that `git check-ignore -z -v` prints; `place` instead of the file, where it is given."""
    fields = os.fsdecode(output).split("\0")
    for source, line, pattern, name in zip(fields[::4], fields[1::4], fields[2::4], fields[3::4], strict=False):
        yield name.removeprefix("./"), Rule(f"{place or source}:{line}", pattern)


def for_stdin(names: Iterable[str]) -> bytes:
    """Names as git's --stdin -z takes them: one that begins with a colon would mean more than a name."""
    return os.fsencode("".join(f"./{name}\0" if name.startswith(":") else f"{name}\0" for name in names))


@contextmanager
def _bare_tree() -> Iterator[git.Repository]:
    # Names alone count: an empty work tree, so that no .gitignore takes part.
    with tempfile.TemporaryDirectory(prefix="sshrun-names-") as empty, git.none_of_its_own(empty) as repository:
        yield repository


def _matches(repository: git.Repository, path: str, names: Sequence[str]) -> dict[str, Rule]:
    if not names:
        return {}
    words = ["-c", f"core.excludesFile={path}", "check-ignore", "--no-index", "-z", "-v", "--stdin"]
    answer = git.ask(repository, repository.top, words, for_stdin(names))
    if answer.status not in (0, 1):  # 1: no rule means any of them
        raise UsageError(f"git cannot read {IGNORE_FILE}: {visible(answer.reason)}")
    return dict(read_matches(answer.output, IGNORE_FILE))


def _directories(names: Iterable[str]) -> set[str]:
    found: set[str] = set()
    for name in names:
        directory = name.rpartition("/")[0]
        while directory and directory not in found:
            found.add(directory)
            directory = directory.rpartition("/")[0]
    return found


def _without_slash(line: bytes) -> bytes:
    if not line.endswith(b"/"):
        return line
    line = line[:-1]
    return line if _trimmed(line) == line else line[:-1] + b"\\ "  # a name that ends with a space


def _trimmed(line: bytes) -> bytes:
    """Without the spaces at its end that git does not count: all but those behind a backslash."""
    line = line.removesuffix(b"\r")
    bare = line.rstrip(b" ")
    backslashes = len(bare) - len(bare.rstrip(b"\\"))
    return bare + b" " if backslashes % 2 and len(line) > len(bare) else bare
