"""What a project's own files say of its virtual environment, and what makes it another one.

The first that is there counts: uv.lock, the `[project]` of pyproject.toml, requirements.txt. Formats: PEP 621
(project), PEP 735 (dependency groups), pip's requirements file format, uv's project layout.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from sshrun.errors import UsageError
from sshrun.origin import Origin, Sourced
from sshrun.settings.requirements_file import logical_lines

Kind = Literal["uv.lock", "pyproject.toml", "requirements.txt", ""]

_BUILD_FILES = ("pyproject.toml", "setup.py", "setup.cfg")
_CONDA_FILES = ("environment.yml", "environment.yaml")
_ARCHIVES = (".whl", ".zip", ".tar.gz", ".tar.bz2", ".tgz")
# Of [tool.uv]: what decides where packages come from, or which. pip knows none of it.
_OF_UV = (
    "constraint-dependencies",
    "default-index",
    "extra-index-url",
    "find-links",
    "index",
    "index-url",
    "no-build-isolation-package",
    "override-dependencies",
    "pip",
    "sources",
)
_UNKNOWN_VERSION = "0.0.0"  # of a project that takes its version from git, whose history does not go along


class ProjectEnvironment(NamedTuple):
    """What the environment on the host is made from. `kind` "" is nothing, and only `notes` are of use.

    `file` is relative to the root, for requirements.txt perhaps in the script's directory. `lines` stand for the
    project itself, and `requirements` are further lines, both for pip. `extras` and `groups` are named as PEP 685 has
    it. `options` are words for the host: see `venv_project` in remote/environment.sh. `key` changes with any of the
    files that decide what is installed; an editable installation needs no other when sources change.
    """

    kind: Kind
    file: str = ""
    key: str = ""
    lines: tuple[str, ...] = ()
    requirements: tuple[str, ...] = ()
    extras: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    requires_python: Sourced[str] | None = None
    notes: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """`uv.lock (extra train, group dev), and 2 packages`: for a person. No line for pip: it may hold a password."""
        names = [f"extra {name}" for name in self.extras] + [f"group {name}" for name in self.groups]
        more = sum(not line.startswith("-") or line.startswith("-e") for line in self.requirements)
        behind = f", and {more} {'package' if more == 1 else 'packages'}" if more else ""
        named = f" ({', '.join(names)})" if names else ""
        return f"{self.file}{named}{behind}" if self.kind else ""

    def kept(self) -> tuple[str, ...]:
        """The lines that are kept with the job, without `requirements`: the first one is a comment to pip."""
        if not self.kind:
            return ()
        return " ".join(("#", self.kind, self.key, *self.options)), *self.lines


def is_local(requirement: str) -> bool:
    """Whether a line for pip names a directory of the project: `.`, `.[train]`, `./pkg`, `-e .`, `-e pkg`."""
    return _directory(requirement) is not None


def of_project(
    root: str, script_directory: str, names: Collection[str], requirements: Sequence[str]
) -> ProjectEnvironment | None:
    """Reads what the files of the project at `root` say; `names` are those that go to the host, relative to it.

    `requirements` are the lines of the settings. Where they name packages and no directory of the project, they say
    all that there is to install: None. Also where no file says anything.

    Raises UsageError for a file that cannot be read, and for an extra or a group that does not exist.
    """
    named = [directory for line in requirements if (directory := _directory(line))]
    if requirements and not named:
        return None
    files = _Files(root, frozenset(names))
    further = tuple(line for line in requirements if not is_local(line))
    if named:
        # The root, where it is named; else the first directory. The others are installed beside it.
        main = "." if any(path == "." for path, _ in named) else named[0][0]
        extras = tuple(dict.fromkeys(name for path, names in named for name in names if path == main))
        further += tuple(_editable(path, names) for path, names in named if path != main)
        for path, _ in named:
            files.note_build(path)
        found = _of_directory(files, main, extras, explicit=True)
        if found is None:
            file = "requirements.txt"
            raise UsageError(
                f"requirements: {main} names a directory that holds no pyproject.toml with [project], and no setup.py",
                f'name the file: requirements: ["-r {file}"]' if file in files.names else "name packages instead",
            )
    else:
        found = _of_directory(files, ".", (), explicit=False)
        found = found or _of_requirements_file(files, _relative(root, script_directory))
        found = found or _of_nothing(files, _relative(root, script_directory))
        if found is None:
            return None
    return found._replace(
        key=files.key(), requirements=(*found.requirements, *further), notes=(*found.notes, *files.notes)
    )


def refuse_wheels(project: ProjectEnvironment, wheels: Sourced[bool]) -> None:
    """Wheels are collected on this machine from lines for pip, not from a project's files. Raises UsageError."""
    if not (wheels.value and project.kind):
        return
    hint = 'set requirements: ["-r requirements.txt"]'
    if project.kind == "uv.lock":
        hint = f"uv export --no-emit-project -o requirements.txt, and {hint}"
    elif project.kind == "pyproject.toml":
        hint = "name the packages in requirements"
    elif project.file != "requirements.txt":
        hint = f'set requirements: ["-r {project.file}"]'
    raise UsageError(f"{wheels.origin}: wheels are collected for what requirements says, not for {project.file}", hint)


class _Files:
    """The files of the project that decide what is installed: whatever is read here is part of the key."""

    def __init__(self, root: str, names: frozenset[str]) -> None:
        self.root = root
        self.names = names
        self.contents: dict[str, bytes] = {}
        self.notes: list[str] = []

    def read(self, name: str) -> bytes | None:
        """None where there is no such file, or where it does not go to the host. Raises UsageError."""
        if name not in self.contents:
            if name not in self.names:
                return None
            try:
                with open(os.path.join(self.root, name), "rb") as file:
                    self.contents[name] = file.read()
            except OSError as error:
                raise UsageError(f"{os.path.join(self.root, name)}: {error.strerror}") from None
        return self.contents[name]

    def text(self, name: str) -> str | None:
        data = self.read(name)
        return None if data is None else data.decode("utf-8-sig", "replace")

    def document(self, name: str) -> dict[str, Any] | None:
        """A TOML file. Raises UsageError."""
        text = self.text(name)
        if text is None:
            return None
        import tomllib

        try:
            return tomllib.loads(text)
        except (tomllib.TOMLDecodeError, RecursionError) as error:
            raise UsageError(f"{name} is not TOML: {str(error) or 'too deeply nested'}", "correct it") from None

    def note_build(self, directory: str) -> None:
        """What a directory's build goes by is part of the key."""
        for name in _BUILD_FILES:
            self.read(_join(directory, name))

    def key(self) -> str:
        import hashlib

        digest = hashlib.sha256()
        for name in sorted(self.contents):
            digest.update(b"%s\0%d\0" % (os.fsencode(name), len(self.contents[name])))
            digest.update(self.contents[name])
        return digest.hexdigest()[:32]


# -- uv.lock and pyproject.toml


def _of_directory(files: _Files, directory: str, extras: Sequence[str], *, explicit: bool) -> ProjectEnvironment | None:
    """Of a directory with a pyproject.toml; where the settings name it, also of one that only its build describes."""
    file = _join(directory, "pyproject.toml")
    document = files.document(file)
    if document is None:
        document = {}
        if not explicit or not any(_join(directory, name) in files.names for name in _BUILD_FILES):
            return None
        file = _join(directory, "setup.py")
    project, uv = _table(document, "project"), _table(document, "tool", "uv")
    locked = directory == "." and "uv.lock" in files.names and uv.get("managed") is not False
    locked = locked and ("project" in document or "workspace" in uv)
    if not locked and "project" not in document:
        built = "build-system" in document or any(_join(directory, name) in files.names for name in _BUILD_FILES[1:])
        if not (explicit and built):
            return None
    files.note_build(directory)
    _note_sources(files, directory, document)
    found = ProjectEnvironment(
        "pyproject.toml",
        file,
        options=(*_reinstalled(project), *_scm_version(files, document)),
        requires_python=_requires_python(files, file, project),
    )
    known_extras, groups = _named(document, extras, file)
    found = found._replace(extras=known_extras, groups=groups)
    if locked:
        files.read("uv.lock")
        words = [word for name in known_extras for word in ("--extra", name)]
        words += [word for name in groups for word in ("--group", name)]
        # A workspace without a project of its own at its root is meant as a whole.
        words += [] if "project" in document else ["--all-packages"]
        return found._replace(kind="uv.lock", file="uv.lock", options=(*found.options, *words))
    further = tuple(line for group in groups for line in _group(document, group, file))
    needs_uv = any(name in uv for name in _OF_UV)
    options: tuple[str, ...] = ("uv",) if needs_uv else ("any",)
    lines: tuple[str, ...] = ()
    if _is_package(files, directory, document):
        lines = (_editable(directory, known_extras),)
    elif needs_uv and directory == ".":
        options += ("-r", file, *(word for name in known_extras for word in ("--extra", name)))
    else:
        lines = tuple(dict.fromkeys(_dependencies(project, known_extras)))
    return found._replace(lines=lines, requirements=further, options=(*options, *found.options))


def _is_package(files: _Files, directory: str, document: Mapping[str, Any]) -> bool:
    """Whether there is something to build. uv's rule: not without a `[build-system]`, unless `tool.uv.package` says it.

    Without one setuptools would guess, and stop at a directory of data beside the modules. With src/ it guesses right.
    """
    package = _table(document, "tool", "uv").get("package")
    if isinstance(package, bool):
        return package
    if "build-system" in document or "setuptools" in _table(document, "tool"):
        return True
    dynamic = _table(document, "project").get("dynamic")
    if "project" not in document or (isinstance(dynamic, list) and "dependencies" in dynamic):
        return True
    if any(_join(directory, name) in files.names for name in _BUILD_FILES[1:]):
        return True
    source = _join(directory, "src/")
    return any(name.startswith(source) and name.endswith(".py") for name in files.names)


def _dependencies(
    project: Mapping[str, Any], extras: Sequence[str], seen: frozenset[str] = frozenset()
) -> Iterator[str]:
    """The lines of `[project]` and of its extras. An extra may name others of its project: `all = ["me[train]"]`."""
    import re

    if not seen:
        yield from _strings(project.get("dependencies"))
    optional = {_normal(name): lines for name, lines in _table(project, "optional-dependencies").items()}
    me = _normal(str(project.get("name", "")))
    for extra in extras:
        if extra in seen:
            continue
        seen |= {extra}
        for line in _strings(optional.get(extra)):
            own = re.match(r"\s*([A-Za-z0-9._-]+)\s*\[([^\]]*)\]", line)
            if own and _normal(own[1]) == me:
                yield from _dependencies(project, _extras(own[2]), seen)
            else:
                yield line


def _named(document: Mapping[str, Any], names: Sequence[str], file: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Which of the names in `.[...]` are extras, and which are dependency groups. Raises UsageError."""
    project = _table(document, "project")
    optional = {_normal(name) for name in _table(project, "optional-dependencies")}
    groups = {_normal(name) for name in _table(document, "dependency-groups")}
    dynamic = project.get("dynamic")
    # What a build computes is known to nobody before it.
    unread = "project" not in document or (isinstance(dynamic, list) and "optional-dependencies" in dynamic)
    extras, chosen = [], []
    for name in names:
        if name in optional:
            extras.append(name)
        elif name in groups:
            chosen.append(name)
        elif unread:
            extras.append(name)
        else:
            from sshrun.spelling import nearest

            known = sorted(optional | groups)
            near = nearest(name, known)
            hint = f"do you mean {near}?" if near else f"known are {', '.join(known)}" if known else "it has neither"
            raise UsageError(f"requirements: {file} has no extra and no dependency group {name}", hint)
    return tuple(extras), tuple(chosen)


def _group(document: Mapping[str, Any], name: str, file: str, within: tuple[str, ...] = ()) -> Iterator[str]:
    """The lines of a dependency group (PEP 735), which pip knows only from 25.1 on. Raises UsageError."""
    groups = {_normal(group): lines for group, lines in _table(document, "dependency-groups").items()}
    if name not in groups:
        raise UsageError(
            f"{file}: the dependency group {within[-1]} includes {name}, which does not exist", "correct it"
        )
    if name in within:
        raise UsageError(f"{file}: the dependency group {name} includes itself", "correct it")
    for item in groups[name] if isinstance(groups[name], list) else ():
        if isinstance(item, str):
            yield item
        elif isinstance(item, dict) and isinstance(item.get("include-group"), str):
            yield from _group(document, _normal(item["include-group"]), file, (*within, name))


def _note_sources(files: _Files, directory: str, document: Mapping[str, Any]) -> None:
    """Reads what else a build or uv goes by: other packages of the project, and files that name dependencies."""
    uv = _table(document, "tool", "uv")
    sources = [
        source for value in _table(uv, "sources").values() for source in (value if isinstance(value, list) else [value])
    ]
    if "workspace" in uv or any(
        isinstance(source, dict) and source.keys() & {"path", "workspace"} for source in sources
    ):
        for name in sorted(files.names):
            if posixpath.basename(name) in _BUILD_FILES:
                files.read(name)
    # setuptools reads dependencies and the version from files, and so does a plugin of hatchling.
    dynamic = _table(document, "tool", "setuptools", "dynamic")
    tables = [*dynamic.values(), *_table(dynamic, "optional-dependencies").values()]
    hook = _table(document, "tool", "hatch", "metadata", "hooks", "requirements_txt")
    named = [table.get("file") for table in tables if isinstance(table, dict)] + [hook.get("files")]
    for names in named:
        for name in [names] if isinstance(names, str) else _strings(names):
            files.read(_join(directory, name))


def _reinstalled(project: Mapping[str, Any]) -> Iterator[str]:
    """uv takes a package whose pyproject.toml is as old as before for unchanged, and a build may read other files."""
    import re

    name, dynamic = str(project.get("name", "")), _strings(project.get("dynamic"))
    if {"dependencies", "optional-dependencies"}.intersection(dynamic) and re.fullmatch(r"[A-Za-z0-9._-]+", name):
        yield from ("--reinstall-package", _normal(name))


def _scm_version(files: _Files, document: Mapping[str, Any]) -> Iterator[str]:
    """A variable for a build that asks git for the version, where .git does not go: setuptools-scm, Overriding."""
    import re

    required = [
        re.split(r"[^a-z0-9-]", _normal(line), maxsplit=1)[0]
        for line in _strings(_table(document, "build-system").get("requires"))
    ]
    if any(name.startswith(".git/") for name in files.names):
        return
    if "hatch-vcs" in required:  # it does not tell the name of the project
        yield f"SETUPTOOLS_SCM_PRETEND_VERSION={_UNKNOWN_VERSION}"
    elif "setuptools-scm" in required:
        name = re.sub(r"[^a-z0-9]+", "_", _normal(str(_table(document, "project").get("name", "")))).upper()
        yield f"SETUPTOOLS_SCM_PRETEND_VERSION{f'_FOR_{name}' if name else ''}={_UNKNOWN_VERSION}"


def _requires_python(files: _Files, file: str, project: Mapping[str, Any]) -> Sourced[str] | None:
    value = project.get("requires-python")
    if not isinstance(value, str):
        return None
    lines = (files.text(file) or "").splitlines()
    line = next((number for number, text in enumerate(lines, 1) if text.lstrip().startswith("requires-python")), 0)
    return Sourced(value, Origin("project file", os.path.join(files.root, file), line, "project.requires-python"))


# -- requirements.txt


def _of_requirements_file(files: _Files, script_directory: str | None) -> ProjectEnvironment | None:
    """Of the one beside the script, else the one in the root."""
    directories = [".", *([script_directory] if script_directory else [])]
    for directory in reversed(directories):
        file = _join(directory, "requirements.txt")
        if file in files.names:
            _read_requirements(files, file, set())
            return ProjectEnvironment("requirements.txt", file, options=(file,))
    return None


def _read_requirements(files: _Files, file: str, seen: set[str]) -> None:
    """Reads a requirements file, and all that its lines name beneath the root: they decide what is installed too."""
    seen.add(file)
    for _, line in logical_lines(files.text(file) or ""):
        option, value = _file_option(line)
        if option in ("-r", "-c") and "://" not in value:
            name = posixpath.normpath(posixpath.join(posixpath.dirname(file), value))
            if name not in files.names:
                files.notes.append(f"{file}: {option} {value} names a file that does not go to the host")
            elif name not in seen:
                _read_requirements(files, name, seen)
        elif directory := _directory(line):
            files.note_build(directory[0])


def _file_option(line: str) -> tuple[str, str]:
    for short, long in (("-r", "--requirement"), ("-c", "--constraint")):
        for option in (long, short):
            if line.startswith(option):
                return short, line.removeprefix(option).lstrip("= ").strip().strip("\"'")
    return "", ""


# -- what is read of nothing else


def _of_nothing(files: _Files, script_directory: str | None) -> ProjectEnvironment | None:
    """What sshrun does not read by itself gets a hint."""
    notes = []
    built = [name for name in _BUILD_FILES if name in files.names]
    if "pyproject.toml" in built and "build-system" not in (files.document("pyproject.toml") or {}):
        built.remove("pyproject.toml")  # it is there for the settings of tools
    if built:
        notes.append(f'{built[0]} has no [project], so nothing is installed: requirements: ["."] installs it')
    for directory in dict.fromkeys((".", script_directory or ".")):
        for name in _CONDA_FILES:
            file = _join(directory, name)
            if file in files.names:
                lines = (files.text(file) or "").splitlines()
                called = next((line[5:].strip() for line in lines if line.startswith("name:")), "") or "NAME"
                notes.append(
                    f"{file} is for conda, which sshrun does not use: name the packages in requirements; or create the "
                    f'environment on the host, and set create_venv: false and startup_cmds: ["conda activate {called}"]'
                )
    return ProjectEnvironment("", notes=tuple(notes)) if notes else None


# -- words


def _directory(requirement: str) -> tuple[str, tuple[str, ...]] | None:
    """The directory, relative to the root, that a line for pip names, and the extras; None for any other line."""
    import re

    match = re.fullmatch(r"(-e\s*|--editable[\s=]\s*)?([^\[\];]+?)\s*(?:\[([\w.,\s-]*)\])?", requirement.strip())
    if match is None:
        return None
    editable, path, extras = match.groups()
    path = path.strip("\"'")
    if path.startswith(("-", "/", "~")) or ":" in path or path.endswith(_ARCHIVES):
        return None
    if not editable and path != "." and not path.startswith("./"):
        return None
    path = posixpath.normpath(path)
    return None if path == ".." or path.startswith("../") else (path, _extras(extras or ""))


def _editable(directory: str, extras: Sequence[str]) -> str:
    path = "." if directory == "." else f"./{directory}"
    return f"-e {path}[{','.join(extras)}]" if extras else f"-e {path}"


def _extras(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(_normal(name.strip()) for name in text.split(",") if name.strip()))


def _normal(name: str) -> str:
    """A name as it is compared: PEP 503, PEP 685."""
    import re

    return re.sub(r"[-_.]+", "-", name).lower()


def _join(directory: str, name: str) -> str:
    return name if directory == "." else posixpath.join(directory, name)


def _relative(root: str, directory: str) -> str | None:
    """`directory` relative to `root`, "." for itself, None outside of it."""
    relative = os.path.relpath(os.path.realpath(directory), os.path.realpath(root))
    return None if relative == ".." or relative.startswith("../") else relative


def _table(document: Mapping[str, Any], *keys: str) -> dict[str, Any]:
    """A table of a TOML document, empty where there is none."""
    found: Any = document
    for key in keys:
        found = found.get(key) if isinstance(found, dict) else None
    return found if isinstance(found, dict) else {}


def _strings(value: Any) -> list[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []
