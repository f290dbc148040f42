"""Checks what a file sets, key by key, and gives it types: a tree of `Node` becomes a `Layer`.

Whatever a file is written in, it is read into the same tree first, so that every place knows the same keys and rules.
No message contains a value of the environment, or anything else that might be a secret.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

from sshrun.connection.login import ConnectionSetting
from sshrun.connection.target import configured_user_error, host_error, parse_port, path_error, remote_directory
from sshrun.origin import LayerName, Origin, Sourced
from sshrun.settings.command_template import for_a_shell, shell_syntax
from sshrun.settings.declaration import Group, Kind, Setting, Strings, Variable
from sshrun.settings.pass_environment import SHELL_NAMES
from sshrun.settings.requirements_file import logical_lines
from sshrun.settings.schema import Layer
from sshrun.settings.table import (
    JOB,
    KEYS,
    UNUSED_CONNECTION_KEYS,
    UNUSED_KEYS,
    USER_FILE,
    USER_KEYS,
    OutsideSettings,
)
from sshrun.spelling import nearest
from sshrun.units import Size, parse_size

NodeKind = Literal["string", "number", "boolean", "null", "list", "mapping"]

# What pip would install from on the host.
_PIP_OPTIONS = {
    "-c": "a local file: upload_files sends it, PIP_CONSTRAINT and UV_CONSTRAINT in environment name it",
    "-e": "a local directory: upload_files, then pip in startup_cmds",
}

_NESTED = 10  # requirements files that name one another


class Node(NamedTuple):
    """A value as it is written in a file. `line` counts from 1, 0 where it is not known; in a mapping it is the key's.

    `text` is a scalar as it is written. `entries` are the pairs of a mapping, duplicate keys among them.
    """

    kind: NodeKind
    line: int = 0
    text: str = ""
    items: tuple[Node, ...] = ()
    entries: tuple[tuple[str, Node], ...] = ()


NULL = Node("null")


class Reader:
    """Reads the settings of one file. `prefix` is what comes before a key in it: "ssh.", "tool.sshrun.", "ssh_"."""

    def __init__(self, layer: LayerName, file: str, prefix: str) -> None:
        self.layer = layer
        self.file = file
        self.prefix = prefix
        self.directory = os.path.dirname(os.path.abspath(file))
        self._problems: list[tuple[int, str]] = []
        self.warnings: list[str] = []

    def read(self, mapping: Node, model_paths: Node = NULL) -> Layer:
        """The settings in `mapping`. Every problem is a line in the layer."""
        in_user_file = self.layer == "user file"
        known = KEYS + USER_KEYS if in_user_file else KEYS
        found = self._entries(mapping, known, UNUSED_KEYS, self.prefix)
        values = self._values(JOB + USER_FILE if in_user_file else JOB, found)
        prefix, self.prefix = self.prefix, ""  # model_paths is a key of the file itself, not of `ssh`
        outside = OutsideSettings.model_paths
        values |= self._values((outside,), {} if _is_unset(model_paths) else {outside.key: model_paths})
        self.prefix = prefix
        return Layer(values, self.problems, tuple(self.warnings))

    def _values(self, settings: Sequence[Setting], found: dict[str, Node], within: str = "") -> dict[str, Any]:
        """The values of those settings that are set, by key."""
        values: dict[str, Any] = {}
        for setting in settings:
            node = found.get(setting.key)
            if node is not None and (value := _READ[setting.kind](self, node, within + setting.key, setting)):
                values[setting.key] = value
        return values

    @property
    def problems(self) -> tuple[str, ...]:
        """What is wrong, in the order of the file."""
        return tuple(text for _, text in sorted(self._problems, key=lambda problem: problem[0]))

    def problem(self, line: int, key: str, text: str) -> None:
        self._problem_at(self._origin(line, key), text)

    def _problem_at(self, origin: Origin, text: str) -> None:
        self._problems.append((origin.line, f"{origin}: {text}"))

    def warning(self, line: int, key: str, text: str) -> None:
        self.warnings.append(f"{self._origin(line, key)}: {text}")

    def _origin(self, line: int, key: str) -> Origin:
        key = (self.prefix + key).rstrip(".")
        return Origin(self.layer, self.file, line, key if key.isprintable() else repr(key))

    def _sourced(self, node: Node, key: str) -> Sourced[str]:
        return Sourced(node.text, self._origin(node.line, key))

    def _entries(self, mapping: Node, known: Sequence[str], unused: dict[str, str], within: str) -> dict[str, Node]:
        """The entries that are set, by key. Notes which keys are unknown, unused or duplicate."""
        found: dict[str, Node] = {}
        seen: dict[str, int] = {}
        below = within.removeprefix(self.prefix)
        if mapping.kind not in ("mapping", "null"):
            self.problem(mapping.line, below.rstrip("."), "settings are needed, as `key: value`")
        for key, node in mapping.entries:
            if key in seen:
                self.problem(node.line, below + key, f"duplicate key, first in line {seen[key]}: remove one")
            seen.setdefault(key, node.line)
            if key in known:
                found[key] = node
            elif key in unused:
                if not _is_unset(node):
                    self.warning(node.line, below + key, f"sshrun has no use for it; {unused[key]}")
            elif key in USER_KEYS:
                self.problem(node.line, below + key, "counts in the user file only: move it there")
            else:
                guess = nearest(key, known)
                hint = f"do you mean {within}{guess}?" if guess else f"known are {', '.join(known)}"
                self.problem(node.line, below + key, f"unknown setting; {hint}")
        return {key: node for key, node in found.items() if not _is_unset(node)}

    def _scalar(self, node: Node, key: str, kind: NodeKind, wanted: str) -> Node | None:
        if _is_unset(node):
            return None
        if node.kind != kind:
            quotes = ": put it in quotes" if kind == "string" and node.kind in ("number", "boolean") else ""
            self.problem(node.line, key, f"{wanted} is needed, not {_described(node)}{quotes}")
            return None
        if "\0" in node.text:
            self.problem(node.line, key, "contains a NUL: remove it")
            return None
        return node

    def _string(self, node: Node, key: str) -> Sourced[str] | None:
        scalar = self._scalar(node, key, "string", "a string")
        return scalar and self._sourced(scalar, key)

    def _line(self, node: Node, key: str) -> Sourced[str] | None:
        text = self._string(node, key)
        if text and "\n" in text.value:
            self.problem(text.origin.line, key, "contains a newline: write it in one line")
            return None
        return text

    def _boolean(self, node: Node, key: str) -> Sourced[bool] | None:
        scalar = self._scalar(node, key, "boolean", "true or false (without quotes)")
        return scalar and Sourced(scalar.text.lower() in ("true", "yes", "on"), self._origin(scalar.line, key))

    def _seconds(self, node: Node, key: str) -> Sourced[int] | None:
        wanted = "a whole number of seconds, such as 60,"
        scalar = self._scalar(node, key, "number", wanted)
        if scalar and not (scalar.text.isascii() and scalar.text.isdigit() and len(scalar.text) < 7):
            self.problem(scalar.line, key, f"{wanted} is needed")
            return None
        return scalar and Sourced(int(scalar.text), self._origin(scalar.line, key))

    def _size(self, node: Node, key: str) -> Sourced[Size] | None:
        size = parse_size(node.text)
        if size is None:
            self.problem(node.line, key, "a number and its unit, such as 10 GB, is needed")
        return None if size is None else Sourced(size, self._origin(node.line, key))

    def _choice(self, node: Node, key: str, choices: Sequence[str]) -> Sourced[str] | None:
        text = self._string(node, key)
        if text and text.value not in choices:
            self.problem(text.origin.line, key, f"one of {', '.join(choices)} is needed")
            return None
        return text

    def _command(self, node: Node, key: str) -> Sourced[str] | None:
        text = self._string(node, key)
        if text and (syntax := shell_syntax(text.value)):
            advice = f"write {for_a_shell(text.value)}, or quote it where it is meant literally"
            self.problem(text.origin.line, key, f"no shell reads it, and {syntax} is for one: {advice}")
            return None
        return text

    def _remote_directory(self, node: Node, key: str) -> Sourced[str] | None:
        text = self._string(node, key)
        if text and path_error(text.value):
            self.problem(text.origin.line, key, path_error(text.value))
            return None
        return text and text._replace(value=remote_directory(text.value))

    def _archive(self, node: Node, key: str) -> Sourced[str] | None:
        text = self._line(node, key)
        if text and (text.value.startswith(("/", "~")) or ".." in text.value.split("/")):
            self.problem(text.origin.line, key, "a path inside the working directory is needed, such as out.zip")
            return None
        return text

    def _strings(self, node: Node, key: str) -> Strings:
        if node.kind != "list":
            example = " (put it in [ ])" if node.kind == "string" else ""
            self.problem(node.line, key, f"a list is needed, not {_described(node)}{example}")
            return ()
        texts = (self._string(item, f"{key}[{index}]") for index, item in enumerate(node.items))
        return tuple(text for text in texts if text)

    def _variables(self, node: Node, key: str) -> Strings:
        names = self._strings(node, key)
        for name in names:
            item = name.origin.key.removeprefix(self.prefix)
            if "=" in name.value:  # which is not shown: a value may be a secret
                self.problem(name.origin.line, item, "takes names alone, such as HF_TOKEN; a value goes in environment")
            elif name.value in SHELL_NAMES:
                self.problem(
                    name.origin.line, item, f"{name.value} is set by the shell itself on the host: leave it out"
                )
        return names

    def requirements(self, node: Node, key: str) -> Strings:
        """Lines for pip, each `-r FILE` (relative to the file that names it) replaced by what FILE contains."""
        lines: list[Sourced[str]] = []
        for text in self._strings(node, key):
            if "\n" in text.value:
                item = text.origin.key.removeprefix(self.prefix)
                self.problem(text.origin.line, item, "contains a newline: make two items of it")
            else:
                lines += self._requirement(text, self.directory, _NESTED)
        return tuple(lines)

    def _requirement(self, line: Sourced[str], directory: str, depth: int) -> list[Sourced[str]]:
        option, value = _pip_option(line.value)
        if option == "-r" and "://" in value:
            self._problem_at(line.origin, "-r names a local file, not an address; download it first")
            return []
        if option == "-r":
            return self._requirements_file(line, os.path.join(directory, os.path.expanduser(value)), depth)
        if option:
            self._problem_at(line.origin, f"{option} names {_PIP_OPTIONS[option]}")
            return []
        return [line]

    def _requirements_file(self, named: Sourced[str], path: str, depth: int) -> list[Sourced[str]]:
        try:
            with open(path, encoding="utf-8-sig") as file:
                text = file.read()
        except (OSError, ValueError) as error:
            self._problem_at(named.origin, f"{path}: {_reason(error)}")
            return []
        if depth == 0:
            self._problem_at(named.origin, f"{path}: requirements files name one another too often")
            return []
        lines: list[Sourced[str]] = []
        for number, requirement in logical_lines(text):
            line = Sourced(requirement, Origin(self.layer, path, number, named.origin.key))
            lines += self._requirement(line, os.path.dirname(path), depth - 1)
        return lines

    def _environment(self, node: Node, within: str) -> tuple[Variable, ...]:
        variables: list[Variable] = []
        if node.kind == "list":
            for index, item in enumerate(node.items):
                key = f"{within}[{index}]"
                if item.kind in ("list", "mapping"):
                    self.problem(item.line, key, f"NAME=value is needed, not {_described(item)}")
                elif not _is_unset(item):
                    name, equals, value = item.text.partition("=")
                    self._add_variable(variables, name, _unquoted(value) if equals else None, item.line, key)
        elif node.kind == "mapping":
            seen: set[str] = set()
            for name, item in node.entries:
                key = f"{within}.{name}"
                if name in seen:
                    self.problem(item.line, key, "duplicate key: remove one")
                seen.add(name)
                if item.kind in ("list", "mapping"):
                    self.problem(item.line, key, f"a string, a number or a boolean is needed, not {_described(item)}")
                else:
                    self._add_variable(variables, name, None if item.kind == "null" else item.text, item.line, key)
        else:
            self.problem(node.line, within, f"a list of NAME=value is needed, not {_described(node)}")
        return tuple(variables)

    def _add_variable(self, variables: list[Variable], name: str, value: str | None, line: int, key: str) -> None:
        # Neither the value nor a name that is none is shown: it may be a secret that went astray.
        if not (name.isascii() and name.isidentifier()):
            self.problem(line, key.partition(".")[0], "a name is letters, digits and _, as in NAME=value")
        elif name in SHELL_NAMES:
            self.problem(line, key, f"{name} is set by the shell itself on the host: choose another name")
        elif value is None:
            variables.append(Variable(name, "", self._origin(line, key), bare=True))
        elif "\0" in value:
            self.problem(line, key, f"the value of {name} contains a NUL, which no variable can: remove it")
        else:
            if _looks_expandable(value):
                note = f"{name} reaches the job as it is written; to have it expanded, export it in startup_cmds"
                self.warning(line, key, note)
            variables.append(Variable(name, value, self._origin(line, key)))

    def _connection(self, node: Node, key: str, setting: Setting) -> ConnectionSetting | None:
        members = setting.members if isinstance(setting, Group) else ()
        known = tuple(member.key for member in members)
        found = self._entries(node, known, UNUSED_CONNECTION_KEYS, f"{self.prefix}{key}.")
        values = self._values(members, found, f"{key}.")
        return ConnectionSetting(**values) if values else None

    def _checked(self, node: Node, key: str, error_in: Callable[[str], str]) -> Sourced[str] | None:
        text = self._string(node, key)
        if text and (error := error_in(text.value)):
            self.problem(text.origin.line, key, error)
            return None
        return text

    def _port(self, node: Node, key: str) -> Sourced[int] | None:
        port = parse_port(node.text) if node.kind in ("number", "string") else None
        if port is None:
            self.problem(node.line, key, f"a port of 1 to 65535 is needed, not {_described(node)}")
            return None
        return Sourced(port, self._origin(node.line, key))

    def _local_file(self, node: Node, key: str, *, or_public_half: bool = False) -> Sourced[str] | None:
        text = self._string(node, key)
        if text is None:
            return None
        path = self._local_path(text.value)
        if not (os.path.isfile(path) or (or_public_half and os.path.isfile(path + ".pub"))):
            self.problem(text.origin.line, key, f"{text.value}: there is no such file; correct it, or leave it empty")
            return None
        if os.path.isfile(path) and not os.access(path, os.R_OK):
            self.problem(text.origin.line, key, f"{text.value}: cannot be read; see: ls -l {path}")
            return None
        return text._replace(value=os.path.normpath(path))

    def _directories(self, node: Node, key: str) -> Strings:
        if node.kind == "string":
            node = Node("list", node.line, items=(node,))
        return tuple(path._replace(value=self._local_path(path.value)) for path in self._strings(node, key))

    def _local_path(self, written: str) -> str:
        """A path of this machine, as settings name it: `~` and `$VAR` expanded, relative to the settings file."""
        return os.path.join(self.directory, os.path.expandvars(os.path.expanduser(written)))


_READ: dict[Kind, Callable[[Reader, Node, str, Setting], Any]] = {
    "boolean": lambda reader, node, key, _: reader._boolean(node, key),
    "seconds": lambda reader, node, key, _: reader._seconds(node, key),
    "size": lambda reader, node, key, _: reader._size(node, key),
    "choice": lambda reader, node, key, setting: reader._choice(node, key, setting.choices),
    "line": lambda reader, node, key, _: reader._line(node, key),
    "command": lambda reader, node, key, _: reader._command(node, key),
    "archive": lambda reader, node, key, _: reader._archive(node, key),
    "remote directory": lambda reader, node, key, _: reader._remote_directory(node, key),
    "environment": lambda reader, node, key, _: reader._environment(node, key),
    "strings": lambda reader, node, key, _: reader._strings(node, key),
    "variables": lambda reader, node, key, _: reader._variables(node, key),
    "requirements": lambda reader, node, key, _: reader.requirements(node, key),
    "directories": lambda reader, node, key, _: reader._directories(node, key),
    "ssh config": lambda reader, node, key, _: reader._local_file(node, key),
    "key file": lambda reader, node, key, _: reader._local_file(node, key, or_public_half=True),
    "host name": lambda reader, node, key, _: reader._checked(node, key, host_error),
    "user name": lambda reader, node, key, _: reader._checked(node, key, configured_user_error),
    "port": lambda reader, node, key, _: reader._port(node, key),
    "connection": lambda reader, node, key, setting: reader._connection(node, key, setting),
}


def _is_unset(node: Node) -> bool:
    """`''`, null, `[]` and `{}` mean: not set."""
    return node.kind == "null" or not (node.text or node.items or node.entries)


def _described(node: Node) -> str:
    article = {"string": "a string", "number": "a number", "boolean": "true or false", "list": "a list"}
    return article.get(node.kind, "a mapping")


def _unquoted(value: str) -> str:
    return value[1:-1] if len(value) >= 2 and value[0] == value[-1] and value[0] in "'\"" else value


def _looks_expandable(value: str) -> bool:
    return "`" in value or any(part[:1].isalpha() or part.startswith(("_", "{", "(")) for part in value.split("$")[1:])


def _pip_option(line: str) -> tuple[str, str]:
    """The option of a requirements line that names a file or directory of this machine, and that name."""
    for short, long in (("-r", "--requirement"), ("-c", "--constraint"), ("-e", "--editable")):
        if line.startswith(long):
            return short, line.removeprefix(long).lstrip("= ").strip()
        if line.startswith(short):
            return short, line.removeprefix(short).strip()
    return "", ""


def _reason(error: Exception) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) else "is not UTF-8 text"
