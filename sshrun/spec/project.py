"""Project mode: a whole directory goes along, the job runs in its mirror on the host, and what is new comes back."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from sshrun.environment.project import ProjectEnvironment, of_project, refuse_wheels
from sshrun.job import this_client
from sshrun.origin import Origin, Sourced
from sshrun.project import limits
from sshrun.project.root import find_root
from sshrun.project.selection import KeptBack, Selected, left_out, select
from sshrun.settings.schema import Settings
from sshrun.spec.files import Files
from sshrun.terminal import visible
from sshrun.transfer.items import Item, Mirror
from sshrun.transfer.local_tree import local_item

# The kernel takes the time of a change from a clock that ticks every few milliseconds: what changed a moment ago may
# bear a time before it.
_CLOCK_TICK = 10_000_000


class Project(NamedTuple):
    """`root` is the local directory whose mirror on the host the job runs in, `reason` what makes it one.

    The job's command starts in `start` beneath it, "" for the root itself. `selected` is what of the directory goes
    along, None of a job that is on the host already; `moment` is when it was found, in nanoseconds since the epoch.
    `environment` is what its files say of the virtual environment, None where they say nothing that counts.
    """

    root: str
    reason: str
    start: str
    selected: Selected | None = None
    moment: int = 0
    environment: ProjectEnvironment | None = None

    @property
    def id(self) -> str:
        """What a host knows it by: 16 hex digits, of this machine's name and the root's path."""
        import hashlib

        return hashlib.sha256(os.fsencode(f"{this_client().name}\0{os.path.realpath(self.root)}")).hexdigest()[:16]

    @property
    def remote_dir(self) -> str:
        """Where it goes if no setting says it: no two projects meet there."""
        name = re.sub(r"[^\w.+-]+", "_", os.path.basename(self.root), flags=re.ASCII).lstrip(".-") or "project"
        return f"sshrun/{name}-{self.id[:8]}"

    @property
    def items(self) -> tuple[Item, ...]:
        return self.selected.items if self.selected is not None else ()

    @property
    def stays(self) -> tuple[KeptBack, ...]:
        """What does not go, and why: it takes a look at everything, which only a dry run is worth."""
        return () if self.selected is None else (*self.selected.kept_back, *left_out(self.root, self.selected))

    @property
    def mirror(self) -> Mirror:
        return Mirror(self.id, self.items)

    def beneath(self, path: str) -> str:
        """The name beneath the root of a local path, "" where it is elsewhere, or the root."""
        for above, below in ((self.root, path), (os.path.realpath(self.root), os.path.realpath(path))):
            if below.startswith(above.rstrip("/") + "/"):
                return os.path.relpath(below, above)
        return ""

    def hint(self, log_end: bytes) -> str:
        """What to write where the log of a job that failed names something that did not go; "" where it does not."""
        from sshrun.project.hints import missing

        return missing(log_end, self.root, self.start, {item.name for item in self.items}) if self.selected else ""

    def word_for(self, script: str) -> str:
        """The script's path as its command names it."""
        return os.path.relpath(os.path.realpath(script), os.path.join(os.path.realpath(self.root), self.start))

    @property
    def results_directory(self) -> str:
        return self.root if os.access(self.root, os.W_OK) else os.getcwd()

    @property
    def notices(self) -> Iterator[str]:
        """What stays here although nothing says so."""
        if self.results_directory != self.root:
            yield f"{self.root} is not writable: results go to {self.results_directory}"
        if self.selected is not None:
            for why, names in _shown_by_reason(self.selected.kept_back):
                yield f"not sent: {names} ({why})"
        if self.environment is not None:
            yield from self.environment.notes

    def settings(self, settings: Settings, *, makes_venv: bool) -> Settings:
        """The same with this project's own directory on the host, unless a setting names one.

        Without `makes_venv` no virtual environment is made by default where there is nothing to install.
        """
        origin = Origin("default", key="project")
        values: dict[str, Sourced[str] | Sourced[bool]] = {}
        if settings.remote_dir.origin.layer == "default":
            values["remote_dir"] = Sourced(self.remote_dir, origin)
        is_needed = makes_venv or settings.requirements or (self.environment and self.environment.kind)
        if settings.create_venv.origin.layer == "default" and not is_needed:
            values["create_venv"] = Sourced(False, origin)
        return settings.with_values(**values)

    def with_environment(self, script_directory: str, settings: Settings) -> Project:
        """This project with what its files say of the environment. Raises UsageError for what they say wrongly."""
        if self.selected is None or not settings.create_venv.value:
            return self
        names = frozenset(item.name for item in self.items)
        lines = [line.value for line in settings.requirements]
        environment = of_project(self.root, script_directory, names, lines)
        if environment is not None:
            refuse_wheels(environment, settings.wheels)
        return self._replace(environment=environment)

    def with_uploads(self, files: Files) -> tuple[Project, Files]:
        """This project and the files that settings name, each in its place beneath the root, and each file once.

        A file that a setting gives another place replaces the project's own there.
        """
        placed = tuple(dict.fromkeys(self._placed(item) for item in files.uploads))
        if self.selected is None:
            return self, files
        own = {item.name: item.source for item in self.items}
        others = tuple(item for item in placed if item.root != "." or own.get(item.name) != item.source)
        replaced = {item.name for item in others if item.root == "."}
        items = tuple(item for item in self.items if item.name not in replaced)
        return self._replace(selected=self.selected._replace(items=items)), files._replace(uploads=others)

    def _placed(self, item: Item) -> Item:
        """An item of `upload_files` in its place beneath the root, where no other is asked for."""
        name = self.beneath(item.source) if item.root == "." and item.name == item.path else ""
        return item._replace(name=name) if name else item


def project_of(script: str, words: Sequence[str], *, uploads: bool) -> Project:
    """The project of a script, or with "" of the current directory, for a command with these words.

    Without `uploads` nothing is selected. Raises UsageError where it is too large to be sent unasked, SettingsError.
    """
    moment = time.time_ns() - _CLOCK_TICK
    current = os.getcwd()
    directory = os.path.dirname(script) if script else current
    root = find_root(directory, of_script=bool(script))
    whole = root is not None
    project = Project(root.path, root.reason, "") if root else Project(directory, "only what is named goes along", "")
    beneath = project.beneath(current)
    if not beneath and os.path.realpath(current) != os.path.realpath(project.root):
        beneath = project.beneath(directory)  # called from elsewhere
    project = project._replace(start=beneath)
    if not uploads:
        return project
    named = [name for word in words if (name := _named(project, word))]
    if script:
        named.append(project.beneath(script) or os.path.basename(script))
    selected = select(project.root, named) if whole else _only(project.root, named)
    limits.check(project.root, selected.items)
    return project._replace(selected=selected, moment=moment)


def _only(root: str, named: Sequence[str]) -> Selected:
    """What is named, where there is no project around it."""
    items = tuple(local_item(os.path.join(root, name), name) for name in sorted(dict.fromkeys(named)))
    return Selected(items, (), "named")


def _shown_by_reason(kept_back: Sequence[KeptBack]) -> Iterator[tuple[str, str]]:
    """Each reason, with the first few names."""
    groups: dict[str, list[str]] = {}
    for one in kept_back:
        groups.setdefault(one.why, []).append(visible(one.path))
    for why, names in groups.items():
        more = [f"{len(names) - 5} more"] if len(names) > 5 else []
        yield why, ", ".join([*names[:5], *more])


def _named(project: Project, word: str) -> str:
    """The file beneath the root that a word of the command line names, alone or behind a "="."""
    for text in (word, word.partition("=")[2]):
        if text and "\0" not in text and os.path.isfile(text):
            return project.beneath(os.path.abspath(text))
    return ""
