"""The files beneath a project's root, as git sees them: tracked, untracked, ignored."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from sshrun.errors import UsageError
from sshrun.project import git
from sshrun.project.private import CACHE_SUFFIX, CACHES, LITTER, cache_of
from sshrun.project.root import IGNORE_FILE, git_top, is_repository
from sshrun.terminal import visible
from sshrun.transfer.items import Item

WITH_GIT, WITHOUT_REPOSITORY, NO_GIT = "git", "git, without a repository", "no git"
NO_PROJECT = "or turn project mode off: --no-project"

_UNREADABLE = re.compile(r"^warning: could not open directory '(.*?)/?': (.*)$", re.MULTILINE)
_BROKEN = ("not a git repository", "invalid gitfile", "no path in gitfile")


class Listing:
    """Names relative to the root; `ignored` is only asked for where an invitation (a rule with `!`) may bring it in.

    What git tracks has been looked at, since only that shows which of it is there, and where a submodule is: `items`
    has the files, and `others`, with their st_mode, links and what is no file.
    """

    def __init__(self, root: str, invitations: bytes) -> None:
        self.root = root
        self.invitations = invitations
        self.way = WITH_GIT
        self.tracked: set[str] = set()
        self.items: dict[str, Item] = {}
        self.others: dict[str, int] = {}
        self.untracked: list[str] = []
        self.ignored: list[str] = []
        self.inner: list[str] = []  # the `.git` of each repository
        self.unreadable: list[tuple[str, str]] = []  # a directory, and why

    def fill(self) -> None:
        """Raises UsageError, ProgramMissing."""
        with repository_of(self.root) as (repository, way):
            self.way = way
            self._add(repository, "", ignored=False)

    def _add(self, repository: git.Repository, prefix: str, *, ignored: bool) -> None:
        """What is beneath `prefix`, a directory with a slash at its end or ""; with `ignored` all of it is that."""
        directory = os.path.join(self.root, prefix)
        excludes = exclude_options(self.invitations)
        words = ["ls-files", "-z", "-t", "-c", "-o", "--exclude-standard", *excludes]
        answer, is_broken = ask(repository, directory, words)
        if answer.status != 0:
            raise _unlisted(directory, answer)
        if is_broken and not prefix:
            self.way = WITHOUT_REPOSITORY
        self.unreadable += [(prefix + name, reason) for name, reason in _UNREADABLE.findall(answer.errors)]
        if is_repository(directory):
            self.inner.append(f"{prefix}.git")
        entries = os.fsdecode(answer.output).split("\0")
        untracked = [prefix + entry[2:] for entry in entries if entry[:1] == "?"]
        tracked = [prefix + entry[2:] for entry in entries[len(untracked) : -1]]  # others come first
        if ignored:
            self.ignored += tracked
        else:
            self._add_tracked(repository, directory, tracked, prefix)
        self._add_untracked(untracked, ignored=ignored)
        if self.invitations:
            answer, _ = ask(repository, directory, ["ls-files", "-z", "-o", *excludes])
            if answer.status != 0:
                raise _unlisted(directory, answer)
            known = set(untracked)
            everything = [prefix + name for name in os.fsdecode(answer.output).split("\0") if name]
            self._add_untracked([name for name in everything if name not in known], ignored=True)

    def look(self, names: Iterable[str]) -> None:
        """Adds to `items` and `others` those of the names that are there."""
        root, items, others = self.root, self.items, self.others
        look, make, is_file = os.stat, tuple.__new__, stat.S_IFREG
        beneath = os.open(root, os.O_RDONLY | os.O_DIRECTORY)  # a shorter way to each file than an absolute path
        try:
            for name in names:
                try:
                    status = look(name, dir_fd=beneath, follow_symlinks=False)
                except PermissionError:
                    # The upload says that it cannot be read.
                    items[name] = Item(root, name, ".", name, 0, 0, is_file | 0o644)
                    continue
                except OSError:
                    continue  # deleted, or not part of a sparse checkout
                mode = status.st_mode
                if mode & 0o170000 == is_file:
                    size, changed, disk = status.st_size, status.st_mtime_ns, status.st_blocks * 512
                    items[name] = make(Item, (root, name, ".", name, size, changed, mode, "", disk))
                else:
                    others[name] = mode
        finally:
            os.close(beneath)

    def _add_tracked(self, repository: git.Repository, directory: str, names: Sequence[str], prefix: str) -> None:
        self.look(names)
        directories = [name for name in names if stat.S_ISDIR(self.others.get(name, 0))]
        self.tracked.update(names)
        for name in directories:
            within = name[len(prefix) :]
            if is_repository(os.path.join(self.root, name)) or self._is_submodule(repository, directory, within):
                self._add_repository(f"{name}/", ignored=False)

    def _is_submodule(self, repository: git.Repository, directory: str, name: str) -> bool:
        """Of a directory that git tracks: not a file that has become one."""
        answer, _ = ask(repository, directory, ["--literal-pathspecs", "ls-files", "-z", "-s", "--", name])
        return answer.output.startswith(b"160000 ")

    def _add_untracked(self, names: Sequence[str], *, ignored: bool) -> None:
        """A repository within another one is listed by itself, which git leaves to us: it names the directory alone."""
        into = self.ignored if ignored else self.untracked
        for name in names:
            if name.endswith("/"):
                self._add_repository(name, ignored=ignored)
            else:
                into.append(name)

    def _add_repository(self, prefix: str, *, ignored: bool) -> None:
        top = os.path.join(self.root, prefix)
        if is_repository(top):
            self._add(git.Repository(os.path.join(top, ".git"), top), prefix, ignored=ignored)
        else:
            with git.none_of_its_own(top) as empty:
                self._add(empty, prefix, ignored=ignored)


@contextmanager
def repository_of(root: str) -> Iterator[tuple[git.Repository, str]]:
    """The repository that says what of a root goes, and which way that is; an empty one where it is in none.

    One that ignores the whole root, as that of a home directory may, says nothing about it.
    """
    top = git_top(root) or git_top(os.path.realpath(root))
    if top is not None:
        repository = git.Repository(os.path.join(top, ".git"), top)
        inner = os.path.relpath(os.path.realpath(root), os.path.realpath(top))
        if inner == "." or ask(repository, top, ["check-ignore", "-q", f"./{inner}"])[0].status != 0:
            yield repository, WITH_GIT
            return
    with git.none_of_its_own(root) as empty:
        yield empty, WITHOUT_REPOSITORY


def ask(
    repository: git.Repository, directory: str, words: Sequence[str], stdin: bytes = b""
) -> tuple[git.Answer, bool]:
    """git's answer, and whether it came without the repository: one whose `.git` leads nowhere counts as none.

    Such as a linked worktree in a container that does not see what it belongs to. Raises ProgramMissing.
    """
    answer = git.ask(repository, directory, words, stdin)
    if answer.status != 128 or not any(text in answer.errors for text in _BROKEN):  # as git has it for "fatal:"
        return answer, False
    with git.none_of_its_own(repository.top) as empty:
        return git.ask(empty, directory, words, stdin), True


def exclude_options(invitations: bytes) -> list[str]:
    """What never comes up, so that git does not walk it; less what an invitation names."""
    patterns = [f"{name}/" for name in CACHES if os.fsencode(name) not in invitations]
    patterns += [f"*{CACHE_SUFFIX}/"] * (os.fsencode(CACHE_SUFFIX) not in invitations)
    return [word for pattern in (*patterns, *LITTER, ".venv") for word in ("-x", pattern)]


def _unlisted(directory: str, answer: git.Answer) -> UsageError:
    place = visible(directory.rstrip("/"))
    return UsageError(f"git cannot list {place}: {visible(answer.reason)}", f"mend that, {NO_PROJECT}")


def walk_without_git(root: str) -> list[str]:
    """All files beneath a root. Raises UsageError where a file says what stays here, since only git can read those."""
    found = []
    for folder, directories, files in os.walk(root):
        within = os.path.relpath(folder, root)
        prefix = "" if within == "." else f"{within}/"
        for name in (IGNORE_FILE, ".gitignore"):
            if name in files and (name == ".gitignore" or not prefix):
                raise UsageError(
                    f"git is needed to read {visible(prefix + name)}, and is not installed on this machine",
                    f"install git, {NO_PROJECT}",
                )
        links = [name for name in directories if os.path.islink(os.path.join(folder, name))]
        directories[:] = [name for name in directories if name not in (".git", ".venv") and not cache_of(f"{name}/x")]
        found += [prefix + name for name in (*files, *links) if not name.startswith((".sshrun-part", ".DS_Store"))]
    return found
