"""Which files of a project go along to the host, and why others stay."""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import NamedTuple

from sshrun import dirs
from sshrun.errors import ProgramMissing
from sshrun.project import git, links
from sshrun.project.listing import (
    NO_GIT,
    Listing,
    ask,
    exclude_options,
    repository_of,
    walk_without_git,
)
from sshrun.project.private import CACHES, SECRET, cache_of, environments, is_secret, names_a_cache
from sshrun.project.root import IGNORE_FILE, is_repository
from sshrun.project.rules import Rules, Verdict, for_stdin, read_matches
from sshrun.transfer.items import Item

MOST_LEFT_OUT = 20

# The host's own, where the project's directory there is the login directory or holds an environment.
_NEVER = (".venv", dirs.NAME)


class KeptBack(NamedTuple):
    """A file or a directory (with `/` at its end) that does not go, relative to the root, and why, for people."""

    path: str
    why: str


class Selected(NamedTuple):
    """What goes, sorted by name; what else might have been expected to; and the way that it was found.

    `way` is "git", "git, without a repository" or "no git".
    """

    items: tuple[Item, ...]
    kept_back: tuple[KeptBack, ...]
    way: str


def select(root: str, named: Sequence[str]) -> Selected:
    """What of the project goes along; `named` are words of the command line, as paths relative to the root.

    Files that git tracks and those that it does not ignore, in repositories within this one too; and what is named,
    ignored or not. Of that, `.sshrunignore` takes files out, and brings ignored ones in. Untracked secrets stay, and
    so do virtual environments and caches, unless a rule with `!` means just them. Raises UsageError.
    """
    return _Selection(root, named).selected()


class _Selection:
    def __init__(self, root: str, named: Sequence[str]) -> None:
        self.root = root
        self.kept_back: dict[str, str] = {}
        self.rules = Rules.of(root) if os.path.exists(os.path.join(root, IGNORE_FILE)) else None
        self.listing = Listing(root, self.rules.invitations if self.rules else b"")
        try:
            self.listing.fill()
        except ProgramMissing:
            self.listing = Listing(root, b"")
            self.listing.untracked, self.listing.way = walk_without_git(root), NO_GIT
        self.named = dict.fromkeys(_within(named))

    def selected(self) -> Selected:
        items = self._items(self._names())
        for directory, reason in self.listing.unreadable:
            self.kept_back[f"{directory}/"] = f"cannot be read: {reason}"
        kept_back = tuple(KeptBack(path, why) for path, why in sorted(self.kept_back.items()))
        return Selected(tuple(items), kept_back, self.listing.way)

    def _names(self) -> list[str]:
        """What goes, sorted, links among it."""
        listing = self.listing
        brought = self._named_files()
        inner = [name for directory in self._invited_inner() for name in _beneath(self.root, directory)]
        names: dict[str, None] = dict.fromkeys(listing.tracked)
        untracked = [*listing.untracked, *listing.ignored]
        found_environments = tuple(environments(untracked))
        if self.rules is None:
            names |= dict.fromkeys(self._harmless(listing.untracked, {}, found_environments))
            names |= dict.fromkeys(brought)
        else:
            verdicts = self.rules.judge(list(dict.fromkeys([*names, *untracked, *inner, *brought])))
            ignored = [name for name in listing.ignored if _invites(verdicts.get(name))]
            candidates = [*listing.untracked, *ignored]
            names |= dict.fromkeys(self._harmless(candidates, verdicts, found_environments))
            names |= dict.fromkeys(name for name in inner if _invites(verdicts.get(name), _inner(name)))
            names |= dict.fromkeys(brought)
            names = self._without_rejected(names, verdicts)
        return sorted(name for name in names if not (name[0] == "." and name.partition("/")[0] in _NEVER))

    def _harmless(
        self, names: Iterable[str], verdicts: dict[str, Verdict], found_environments: tuple[str, ...]
    ) -> Iterator[str]:
        """Of what git does not track, all but secrets, environments and caches that no rule means by themselves."""
        # git has left them out, except where an invitation may mean one.
        caches_listed = names_a_cache(self.listing.invitations)
        for name in names:
            if found_environments and name.startswith(found_environments):
                environment = next(prefix for prefix in found_environments if name.startswith(prefix))
                if not _invites(verdicts.get(name), environment[:-1]):
                    continue
            if caches_listed and (cache := cache_of(name)) and not _invites(verdicts.get(name), cache):
                continue
            if is_secret(name) and name not in self.named:
                verdict = verdicts.get(name)
                if not _invites(verdict, name):
                    if verdict is None or not verdict.rule.takes_out:
                        self.kept_back[name] = SECRET
                    continue
            yield name

    def _without_rejected(self, names: Collection[str], verdicts: dict[str, Verdict]) -> dict[str, None]:
        kept: dict[str, None] = {}
        for name in names:
            verdict = verdicts.get(name)
            if verdict is None or not verdict.rule.takes_out:
                kept[name] = None
            elif name in self.named:
                self.kept_back[name] = f"{verdict.rule} takes it out, though the command line names it"
        return kept

    def _named_files(self) -> list[str]:
        """The files that the command line names, and those of directories that it names."""
        found = []
        for name in self.named:
            path = os.path.join(self.root, name)
            if not os.path.isdir(path):
                if os.path.lexists(path) and self._is_inside(name):
                    found.append(name)
            elif os.path.islink(path) and links.follow(self.root, name).problem:
                found.append(name)  # named with the other links
            elif self._is_inside(name):
                found += self._of_directory(name)
        return found

    def _of_directory(self, directory: str) -> list[str]:
        names = list(_beneath(self.root, directory, prune=True))
        found_environments = tuple(environments(names))
        return [
            name
            for name in names
            if not (found_environments and name.startswith(found_environments))
            and not (is_secret(name) and self._keep(name, SECRET))
        ]

    def _keep(self, name: str, why: str) -> bool:
        if name not in self.listing.tracked and name not in self.named:
            self.kept_back[name] = why
            return True
        return False

    def _is_inside(self, name: str) -> bool:
        """Whether a name is the project's own once links on the way, and to a directory, are followed."""
        path = os.path.join(self.root, name)
        above = os.path.realpath(path if os.path.isdir(path) else os.path.dirname(path))
        inside = f"{above}/".startswith(os.path.realpath(self.root).rstrip("/") + "/")
        if not inside:
            self.kept_back[name] = "a link on its way leaves the project"
        return inside

    def _invited_inner(self) -> list[str]:
        return self.listing.inner if b".git" in self.listing.invitations else []

    # -- from names to files

    def _items(self, names: Sequence[str]) -> list[Item]:
        known, others = self.listing.items, self.listing.others
        self.listing.look([name for name in names if name not in known and name not in others])
        items = [known[name] for name in names if name in known]
        if not others:
            return items
        found_links = []
        for name in names:
            mode = others.get(name, 0)
            if stat.S_ISLNK(mode):
                found_links.append(name)
            elif mode and not stat.S_ISDIR(mode):
                self.kept_back[name] = _kind(mode)
        return sorted([*items, *self._through(found_links, items)], key=_name) if found_links else items

    def _through(self, found: Sequence[str], items: Sequence[Item]) -> list[Item]:
        """The files to which links lead, under the links' names."""
        added: dict[str, Item] = {}
        directories: dict[str, str] = {}
        for name in found:
            lead = links.follow(self.root, name)
            hidden = is_secret(lead.target) and lead.target not in self.listing.tracked and name not in self.named
            if lead.problem or hidden:
                self.kept_back[name] = lead.problem or f"a link to {lead.target}: {SECRET}"
            elif lead.status is None:
                directories[name] = lead.directory
            else:
                added[name] = _item(self.root, name, lead.status)
        if directories:
            by_name = {item.name: item for item in items} | added
            files = sorted(by_name)
            for name in directories:
                self._add_directory(name, directories, files, by_name, added)
            if self.rules is not None:
                verdicts = self.rules.judge([name for name in added if name not in by_name])
                for name, verdict in verdicts.items():
                    if verdict.rule.takes_out:
                        del added[name]
        return list(added.values())

    def _add_directory(
        self,
        name: str,
        directories: dict[str, str],
        files: Sequence[str],
        by_name: dict[str, Item],
        added: dict[str, Item],
    ) -> None:
        if links.is_loop(name, directories):
            self.kept_back[name] = "a link to a directory that holds it"
            return
        before = len(added)
        for path, file in links.expanded(name, directories, files):
            if len(added) > links.MOST:
                self.kept_back[name] = f"a link to a directory: links add more than {links.MOST} files"
                return
            if path not in by_name:
                added[path] = by_name[file]._replace(path=path, name=path)
        if len(added) == before and not any(path.startswith(f"{name}/") for path in by_name):
            self.kept_back[name] = f"a link to {directories[name]}/, of which nothing goes"


def why_left_out(root: str, path: str) -> str:
    """Why one file or directory of a project does not go, `path` relative to the root; "" where that is not known.

    A phrase that names the rule, its file and its line, as in ".gitignore:3 `*.bin`". Raises UsageError.
    """
    try:
        return _why(root, os.path.normpath(path))
    except ProgramMissing:
        return ""


def left_out(root: str, selected: Selected) -> tuple[KeptBack, ...]:
    """What does not go, and the rule that says so: whole directories where nothing of them goes.

    At most MOST_LEFT_OUT, and where there is more, a last one without a path that says how much. Raises UsageError.
    """
    try:
        found = _left_out(root, {item.name for item in selected.items})
    except ProgramMissing:
        return ()
    kept = {one.path for one in selected.kept_back}
    found = sorted({one.path: one for one in found if one.path not in kept}.values())
    more = len(found) - MOST_LEFT_OUT
    return tuple(found) if more <= 0 else (*found[:MOST_LEFT_OUT], KeptBack("", f"and {more} more"))


def _why(root: str, path: str) -> str:
    rules = Rules.of(root)
    probe = f"{path}/x" if os.path.isdir(os.path.join(root, path)) else path  # a rule may mean directories alone
    verdict = None
    if rules is not None:
        verdicts = rules.judge([path, probe])
        verdict = verdicts.get(path) or verdicts.get(probe)
    if verdict is not None and verdict.rule.takes_out:
        return str(verdict.rule)
    steps = path.split("/")
    for depth in range(1, len(steps) + 1):
        above = "/".join(steps[:depth])
        if os.path.islink(os.path.join(root, above)) and (problem := links.follow(root, above).problem):
            return problem if above == path else f"{above} is {problem}"
    if verdict is None and (rule := _git_rule(root, path)):
        return rule
    if cache := cache_of(probe):
        return f"{cache}/ is a cache" if cache != path else "a cache"
    if is_secret(path):
        return SECRET
    for depth in range(len(steps), 0, -1):
        above = "/".join(steps[:depth])
        if os.path.isfile(os.path.join(root, above, "pyvenv.cfg")):
            return "a virtual environment" if above == path else f"{above}/ is a virtual environment"
    if ".git" in steps:
        return ".git stays here"
    return ""


def _git_rule(root: str, path: str) -> str:
    """The rule of the innermost repository that ignores a path, or of one further out that ignores that repository."""
    steps = path.split("/")
    for depth in range(len(steps), 0, -1):
        above = "/".join(steps[: depth - 1])
        top = os.path.join(root, above) if above else root
        if above and not is_repository(top):
            continue
        with repository_of(top) as (repository, _):
            words = ["check-ignore", "-z", "-v", "--stdin"]
            answer, _ = ask(repository, top, words, for_stdin(["/".join(steps[depth - 1 :])]))
        for _, rule in read_matches(answer.output):
            return str(rule.at(_shown(rule.place, root, repository.top))) if rule.takes_out else ""
    return ""


def _shown(place: str, root: str, top: str) -> str:
    """`FILE:LINE` with the file relative to the root where it is beneath it; git has it relative to its top level."""
    path = os.path.join(top, place)
    for directory, short in ((root, ""), (os.path.expanduser("~"), "~/")):
        if path.startswith(f"{directory}/"):
            return short + path[len(directory) + 1 :]
    return path


def _left_out(root: str, names: set[str]) -> list[KeptBack]:
    goes = set(names)
    for name in names:
        while (name := name.rpartition("/")[0]) and f"{name}/" not in goes:
            goes.add(f"{name}/")
    with repository_of(root) as (repository, _):
        words = ["ls-files", "-z", "-o", "-i", "--directory"]
        ignored = _listed(repository, root, [*words, "--exclude-standard"])
        caches = _listed(repository, root, [*words, *exclude_options(b"")])
        asked = for_stdin(name.rstrip("/") for name in ignored)
        answer, _ = ask(repository, root, ["check-ignore", "-z", "-v", "--stdin"], asked)
        rule_of = dict(read_matches(answer.output))
        why = {name: str(rule.at(_shown(rule.place, root, repository.top))) for name, rule in rule_of.items()}
        found = {name: why.get(name.rstrip("/"), "git ignores it") for name in ignored}
    for name in caches:
        if os.path.basename(name[:-1]) == ".venv":
            found.setdefault(name, "a virtual environment")
        elif cache_of(f"{name}x") == name[:-1]:
            found.setdefault(name, "a cache")
    listing = Listing(root, b"")
    listing.fill()
    found |= dict.fromkeys(environments(listing.untracked), "a virtual environment")
    rules = Rules.of(root)
    if rules is not None:
        verdicts = rules.judge([*listing.tracked, *listing.untracked])
        found |= _topmost({name: str(one.rule) for name, one in verdicts.items() if one.rule.takes_out}, goes)
    return [KeptBack(name, why) for name, why in found.items() if name not in goes]


def _listed(repository: git.Repository, root: str, words: Sequence[str]) -> list[str]:
    return [name for name in os.fsdecode(ask(repository, root, words)[0].output).split("\0") if name]


def _topmost(out: dict[str, str], goes: set[str]) -> dict[str, str]:
    """Directories in place of the files in them, where nothing of one goes and one rule says so of all."""
    tops: dict[str, dict[str, str]] = {}
    for name, rule in out.items():
        steps = name.split("/")
        above = ("/".join(steps[:depth]) + "/" for depth in range(1, len(steps)))
        tops.setdefault(next((directory for directory in above if directory not in goes), name), {})[name] = rule
    found: dict[str, str] = {}
    for top, files in tops.items():
        found |= {top: next(iter(files.values()))} if len(set(files.values())) == 1 else files
    return found


def _within(named: Iterable[str]) -> Iterator[str]:
    """Names that mean something beneath the root, not the root itself, and nothing of `.git`."""
    for name in map(os.path.normpath, named):
        steps = name.split("/")
        if not name.startswith("/") and steps[0] not in ("..", ".") and ".git" not in steps:
            yield name


def _beneath(root: str, directory: str, *, prune: bool = False) -> Iterator[str]:
    """The files and links beneath a directory of the root, or the file that it is; with `prune` no .git and caches."""
    start = os.path.join(root, directory)
    if not os.path.isdir(start):
        yield directory
    for folder, directories, files in os.walk(start):
        prefix = f"{directory}{folder[len(start) :]}/"
        yield from (prefix + name for name in files if not (prune and name == ".git"))
        yield from (prefix + name for name in directories if os.path.islink(os.path.join(folder, name)))
        if prune:
            directories[:] = [name for name in directories if name != ".git" and name not in CACHES]


def _invites(verdict: Verdict | None, within: str = "") -> bool:
    """Whether a rule with `!` says that a file comes in: one that means `within`, or something in it."""
    if verdict is None or verdict.rule.takes_out:
        return False
    return not within or verdict.matched == within or verdict.matched.startswith(f"{within}/")


def _inner(name: str) -> str:
    """The `.git` to which a file belongs."""
    steps = name.split("/")
    return "/".join(steps[: steps.index(".git") + 1])


def _kind(mode: int) -> str:
    if stat.S_ISFIFO(mode):
        return "a FIFO"
    return "a socket" if stat.S_ISSOCK(mode) else "a device"


def _item(root: str, name: str, status: os.stat_result) -> Item:
    return Item(root, name, ".", name, status.st_size, status.st_mtime_ns, status.st_mode, "", status.st_blocks * 512)


def _name(item: Item) -> str:
    return item.name
