"""Checks what a file says, key by key, and gives it types: a tree of `Node` becomes a `Layer`.

Whatever a file is written in, it is read into the same tree first, so that every place knows the same keys and rules.
No message holds a value of the environment, or anything else that might be a secret.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

from sshrun.command_template import for_a_shell, shell_syntax
from sshrun.host import Connection, configured_user_flaw, host_flaw, parse_port, path_flaw, remote_folder
from sshrun.pass_environment import SHELL_NAMES
from sshrun.settings import Layer, Texts, Variable
from sshrun.sources import LayerName, Origin, Sourced
from sshrun.spelling import nearest

Kind = Literal["text", "number", "boolean", "nothing", "list", "mapping"]

LISTS = ("upload_files", "startup_cmds", "download_files", "shutdown_cmds", "requirements", "pass_environment")
SCALARS = (
    *("remote_dir", "create_venv", "archive", "command", "python", "wheels", "compress", "transfer"),
    *("stop_grace", "leftovers"),
)
KEYS = ("environment", *LISTS, *SCALARS)
USER_KEYS = ("config_path", "connection")
CONNECTION_KEYS = ("hostname", "port", "username", "key_filename")

# What mltk and the paramiko library behind it know, and what does the same here.
UNUSED_KEYS = {"sync_local_mltk": "send files with upload_files, and install them with startup_cmds"}
_SSH_CONFIG = "write {} in ~/.ssh/config"
UNUSED_CONNECTION_KEYS = {
    "password": "log in with a key: sshrun ssh-keygen NAME",
    "pkey": "name the key's file with key_filename",
    "passphrase": "let ssh-agent hold the key: ssh-add FILE",
    "timeout": _SSH_CONFIG.format("ConnectTimeout"),
    "banner_timeout": _SSH_CONFIG.format("ConnectTimeout"),
    "auth_timeout": _SSH_CONFIG.format("ConnectTimeout"),
    "channel_timeout": _SSH_CONFIG.format("ConnectTimeout"),
    "allow_agent": _SSH_CONFIG.format("IdentityAgent"),
    "look_for_keys": _SSH_CONFIG.format("IdentitiesOnly"),
    "compress": _SSH_CONFIG.format("Compression"),
    "sock": _SSH_CONFIG.format("ProxyJump or ProxyCommand"),
    "gss_auth": _SSH_CONFIG.format("GSSAPIAuthentication"),
    "gss_kex": _SSH_CONFIG.format("GSSAPIKeyExchange"),
    "gss_deleg_creds": _SSH_CONFIG.format("GSSAPIDelegateCredentials"),
    "gss_host": _SSH_CONFIG.format("GSSAPIServerIdentity"),
    "gss_trust_dns": _SSH_CONFIG.format("GSSAPITrustDns"),
    "disabled_algorithms": _SSH_CONFIG.format("HostKeyAlgorithms or PubkeyAcceptedAlgorithms"),
    "auth_strategy": _SSH_CONFIG.format("PreferredAuthentications"),
    "transport_factory": "remove it",
}

# What pip would look for on the host.
_PIP_OPTIONS = {
    "-c": "a file here: upload_files sends it, PIP_CONSTRAINT and UV_CONSTRAINT in environment name it",
    "-e": "a folder here: use upload_files, and pip in startup_cmds",
}

_NESTED = 10  # requirements files that name one another


class Node(NamedTuple):
    """A value as it stands in a file. `line` counts from 1, 0 where it is not known; in a mapping it is the key's.

    `text` is a scalar as it is written. `entries` are the pairs of a mapping, the same key perhaps twice.
    """

    kind: Kind
    line: int = 0
    text: str = ""
    items: tuple[Node, ...] = ()
    entries: tuple[tuple[str, Node], ...] = ()


NOTHING = Node("nothing")


class Reader:
    """Reads the settings of one file. `prefix` is what stands before a key there: "ssh.", "tool.sshrun.", "ssh_"."""

    def __init__(self, layer: LayerName, file: str, prefix: str) -> None:
        self.layer = layer
        self.file = file
        self.prefix = prefix
        self.folder = os.path.dirname(os.path.abspath(file))
        self._problems: list[tuple[int, str]] = []
        self.warnings: list[str] = []

    def read(self, mapping: Node, model_paths: Node = NOTHING) -> Layer:
        """The settings in `mapping`. Every problem is a line in the layer."""
        user = self.layer == "user file"
        known = KEYS + USER_KEYS if user else KEYS
        found = self._entries(mapping, known, UNUSED_KEYS, self.prefix)
        get = found.get
        return Layer(
            remote_dir=self._folder(get("remote_dir"), "remote_dir"),
            create_venv=self._flag(get("create_venv"), "create_venv"),
            environment=self._environment(get("environment")),
            upload_files=self._texts(get("upload_files"), "upload_files"),
            startup_cmds=self._texts(get("startup_cmds"), "startup_cmds"),
            download_files=self._texts(get("download_files"), "download_files"),
            shutdown_cmds=self._texts(get("shutdown_cmds"), "shutdown_cmds"),
            requirements=self.requirements(get("requirements"), "requirements"),
            pass_environment=self._names(get("pass_environment")),
            archive=self._archive(get("archive")),
            command=self._command(get("command")),
            python=self._line(get("python"), "python"),
            wheels=self._flag(get("wheels"), "wheels"),
            compress=self._flag(get("compress"), "compress"),
            transfer=self._choice(get("transfer"), "transfer", ("rsync", "tar", "scp")),
            stop_grace=self._seconds(get("stop_grace"), "stop_grace"),
            leftovers=self._choice(get("leftovers"), "leftovers", ("stop", "wait")),
            config_path=self._local_file(get("config_path"), "config_path"),
            connection=self._connection(get("connection")),
            model_paths=self._model_paths(model_paths),
            problems=self.problems,
            warnings=tuple(self.warnings),
        )

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
        """The entries that are set, by key. Says what is unknown, without use here, or there twice."""
        found: dict[str, Node] = {}
        seen: dict[str, int] = {}
        below = within.removeprefix(self.prefix)
        if mapping.kind not in ("mapping", "nothing"):
            self.problem(mapping.line, below.rstrip("."), "settings are needed here, as `key: value`")
        for key, node in mapping.entries:
            if key in seen:
                self.problem(node.line, below + key, f"is there twice, first in line {seen[key]}: remove one")
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
                self.problem(node.line, below + key, f"is no setting; {hint}")
        return {key: node for key, node in found.items() if not _is_unset(node)}

    def _scalar(self, node: Node | None, key: str, kind: Kind, wanted: str) -> Node | None:
        if node is None or _is_unset(node):
            return None
        if node.kind != kind:
            self.problem(node.line, key, f"{wanted} is needed, not {_described(node)}")
            return None
        if "\0" in node.text:
            self.problem(node.line, key, "holds a NUL")
            return None
        return node

    def _text(self, node: Node | None, key: str) -> Sourced[str] | None:
        scalar = self._scalar(node, key, "text", "a text")
        return scalar and self._sourced(scalar, key)

    def _line(self, node: Node | None, key: str) -> Sourced[str] | None:
        text = self._text(node, key)
        if text and "\n" in text.value:
            self.problem(text.origin.line, key, "holds a newline")
            return None
        return text

    def _flag(self, node: Node | None, key: str) -> Sourced[bool] | None:
        scalar = self._scalar(node, key, "boolean", "true or false (without quotes)")
        return scalar and Sourced(scalar.text.lower() in ("true", "yes", "on"), self._origin(scalar.line, key))

    def _seconds(self, node: Node | None, key: str) -> Sourced[int] | None:
        wanted = "a whole number of seconds, such as 60,"
        scalar = self._scalar(node, key, "number", wanted)
        if scalar and not (scalar.text.isascii() and scalar.text.isdigit() and len(scalar.text) < 7):
            self.problem(scalar.line, key, f"{wanted} is needed")
            return None
        return scalar and Sourced(int(scalar.text), self._origin(scalar.line, key))

    def _choice(self, node: Node | None, key: str, choices: Sequence[str]) -> Sourced[str] | None:
        text = self._text(node, key)
        if text and text.value not in choices:
            self.problem(text.origin.line, key, f"one of {', '.join(choices)} is needed")
            return None
        return text

    def _command(self, node: Node | None) -> Sourced[str] | None:
        text = self._text(node, "command")
        if text and (syntax := shell_syntax(text.value)):
            advice = f"write {for_a_shell(text.value)}, or quote it where it is meant literally"
            self.problem(text.origin.line, "command", f"no shell reads it, and {syntax} is for one: {advice}")
            return None
        return text

    def _folder(self, node: Node | None, key: str) -> Sourced[str] | None:
        text = self._text(node, key)
        if text and path_flaw(text.value):
            self.problem(text.origin.line, key, path_flaw(text.value))
            return None
        return text and text._replace(value=remote_folder(text.value))

    def _archive(self, node: Node | None) -> Sourced[str] | None:
        text = self._line(node, "archive")
        if text and (text.value.startswith(("/", "~")) or ".." in text.value.split("/")):
            self.problem(text.origin.line, "archive", "a path inside the working directory is needed, such as out.zip")
            return None
        return text

    def _texts(self, node: Node | None, key: str) -> Texts:
        if node is None:
            return ()
        if node.kind != "list":
            example = " (put it in [ ])" if node.kind == "text" else ""
            self.problem(node.line, key, f"a list is needed, not {_described(node)}{example}")
            return ()
        texts = (self._text(item, f"{key}[{index}]") for index, item in enumerate(node.items))
        return tuple(text for text in texts if text)

    def _names(self, node: Node | None) -> Texts:
        names = self._texts(node, "pass_environment")
        for name in names:
            key = name.origin.key.removeprefix(self.prefix)
            if "=" in name.value:  # which is not shown: a value may be a secret
                self.problem(name.origin.line, key, "holds names alone, such as HF_TOKEN; a value goes in environment")
            elif name.value in SHELL_NAMES:
                self.problem(
                    name.origin.line, key, f"{name.value} is set by the shell itself on the host: leave it out"
                )
        return names

    def requirements(self, node: Node | None, key: str) -> Texts:
        """Lines for pip, each `-r FILE` (relative to the file it stands in) replaced by what FILE holds."""
        lines: list[Sourced[str]] = []
        for text in self._texts(node, key):
            if "\n" in text.value:
                self.problem(text.origin.line, text.origin.key.removeprefix(self.prefix), "holds a newline")
            else:
                lines += self._requirement(text, self.folder, _NESTED)
        return tuple(lines)

    def _requirement(self, line: Sourced[str], folder: str, depth: int) -> list[Sourced[str]]:
        option, value = _pip_option(line.value)
        if option == "-r" and "://" in value:
            self._problem_at(line.origin, "-r names a file that is here, not an address; download it first")
            return []
        if option == "-r":
            return self._requirements_file(line, os.path.join(folder, os.path.expanduser(value)), depth)
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
        unfinished = ""
        # As pip reads it: a comment ends what goes before it, and so does the end of the file.
        for number, written in enumerate([*text.splitlines(), ""], 1):
            if written.lstrip().startswith("#"):
                written = ""
            elif written.endswith("\\"):
                unfinished += written[:-1]
                continue
            requirement = f" {unfinished}{written}".split(" #")[0].strip()
            unfinished = ""
            if requirement:
                line = Sourced(requirement, Origin(self.layer, path, number, named.origin.key))
                lines += self._requirement(line, os.path.dirname(path), depth - 1)
        return lines

    def _environment(self, node: Node | None) -> tuple[Variable, ...]:
        if node is None:
            return ()
        variables: list[Variable] = []
        if node.kind == "list":
            for index, item in enumerate(node.items):
                key = f"environment[{index}]"
                if item.kind in ("list", "mapping"):
                    self.problem(item.line, key, f"NAME=value is needed, not {_described(item)}")
                elif not _is_unset(item):
                    name, equals, value = item.text.partition("=")
                    self._add_variable(variables, name, _unquoted(value) if equals else None, item.line, key)
        elif node.kind == "mapping":
            seen: set[str] = set()
            for name, item in node.entries:
                key = f"environment.{name}"
                if name in seen:
                    self.problem(item.line, key, "is there twice: remove one")
                seen.add(name)
                if item.kind in ("list", "mapping"):
                    self.problem(item.line, key, f"a text, a number or a boolean is needed, not {_described(item)}")
                else:
                    self._add_variable(variables, name, None if item.kind == "nothing" else item.text, item.line, key)
        else:
            self.problem(node.line, "environment", f"a list of NAME=value is needed, not {_described(node)}")
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
            self.problem(line, key, f"the value of {name} holds a NUL")
        else:
            if _looks_expandable(value):
                note = f"{name} reaches the job as it stands here; to have it expanded, export it in startup_cmds"
                self.warning(line, key, note)
            variables.append(Variable(name, value, self._origin(line, key)))

    def _connection(self, node: Node | None) -> Connection:
        if node is None:
            return Connection()
        found = self._entries(node, CONNECTION_KEYS, UNUSED_CONNECTION_KEYS, f"{self.prefix}connection.")
        return Connection(
            hostname=self._name(found.get("hostname"), "connection.hostname", host_flaw),
            port=self._port(found.get("port"), "connection.port"),
            username=self._name(found.get("username"), "connection.username", configured_user_flaw),
            key_filename=self._local_file(found.get("key_filename"), "connection.key_filename", or_public_half=True),
        )

    def _name(self, node: Node | None, key: str, flaw: Callable[[str], str]) -> Sourced[str] | None:
        text = self._text(node, key)
        if text and flaw(text.value):
            self.problem(text.origin.line, key, flaw(text.value))
            return None
        return text

    def _port(self, node: Node | None, key: str) -> Sourced[int] | None:
        if node is None:
            return None
        port = parse_port(node.text) if node.kind in ("number", "text") else None
        if port is None:
            self.problem(node.line, key, f"a port of 1 to 65535 is needed, not {_described(node)}")
            return None
        return Sourced(port, self._origin(node.line, key))

    def _local_file(self, node: Node | None, key: str, *, or_public_half: bool = False) -> Sourced[str] | None:
        text = self._text(node, key)
        if text is None:
            return None
        path = os.path.join(self.folder, os.path.expandvars(os.path.expanduser(text.value)))
        if not (os.path.isfile(path) or (or_public_half and os.path.isfile(path + ".pub"))):
            self.problem(text.origin.line, key, f"{text.value}: there is no such file; correct it, or leave it empty")
            return None
        if os.path.isfile(path) and not os.access(path, os.R_OK):
            self.problem(text.origin.line, key, f"{text.value}: may not be read; try: ls -l {path}")
            return None
        return text._replace(value=os.path.normpath(path))

    def _model_paths(self, node: Node) -> Texts:
        if node.kind == "text" and node.text:
            node = Node("list", node.line, items=(node,))
        prefix, self.prefix = self.prefix, ""  # a key of the file itself, not of `ssh`
        paths = self._texts(None if _is_unset(node) else node, "model_paths")
        self.prefix = prefix
        return tuple(
            path._replace(value=os.path.join(self.folder, os.path.expandvars(os.path.expanduser(path.value))))
            for path in paths
        )


def _is_unset(node: Node) -> bool:
    """`''`, null, `[]` and `{}` mean: not set."""
    return node.kind == "nothing" or not (node.text or node.items or node.entries)


def _described(node: Node) -> str:
    article = {"text": "a text", "number": "a number", "boolean": "true or false", "list": "a list"}
    return article.get(node.kind, "a mapping")


def _unquoted(value: str) -> str:
    return value[1:-1] if len(value) >= 2 and value[0] == value[-1] and value[0] in "'\"" else value


def _looks_expandable(value: str) -> bool:
    return "`" in value or any(part[:1].isalpha() or part.startswith(("_", "{", "(")) for part in value.split("$")[1:])


def _pip_option(line: str) -> tuple[str, str]:
    """The option of a requirements line that names a file or folder of this machine, and that name."""
    for short, long in (("-r", "--requirement"), ("-c", "--constraint"), ("-e", "--editable")):
        if line.startswith(long):
            return short, line.removeprefix(long).lstrip("= ").strip()
        if line.startswith(short):
            return short, line.removeprefix(short).strip()
    return "", ""


def _reason(error: Exception) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) else "is not UTF-8 text"
