"""Reads the settings files: the user's YAML, the project's TOML, the block of a script (PEP 723)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from sshrun import dirs
from sshrun.origin import LayerName, Origin, Sourced
from sshrun.settings.reader import NULL, Node, Reader
from sshrun.settings.schema import Layer

if TYPE_CHECKING:
    import yaml

USER_FILE_VARIABLES = ("SSHRUN_USER_SETTINGS_PATH", "MLTK_USER_SETTINGS_PATH")

_LARGEST = 1 << 20  # bytes; a settings file is far smaller
_DEEPEST = 50  # lists and mappings within one another


def user_file() -> str | None:
    """The first that exists of $SSHRUN_USER_SETTINGS_PATH, $MLTK_USER_SETTINGS_PATH and the two fixed places."""
    named = [os.environ.get(variable, "") for variable in USER_FILE_VARIABLES]
    for path in (*named, dirs.user_settings(), "~/.mltk/user_settings.yaml"):
        if path and os.path.exists(os.path.expanduser(path)):
            return os.path.abspath(os.path.expanduser(path))
    return None


def load_user_file() -> Layer:
    """The user file's settings; an empty layer (and no import of yaml) where there is none."""
    path = user_file()
    missing = tuple(
        f"${variable} names {os.environ[variable]}: there is no such file; correct or unset it"
        for variable in USER_FILE_VARIABLES
        if os.environ.get(variable) and not os.path.exists(os.path.expanduser(os.environ[variable]))
    )
    layer = Layer() if path is None else _user_layer(path)
    return layer.with_lines(warnings=missing)


def load_project_file(directory: str) -> Layer:
    """`[tool.sshrun]` of the nearest pyproject.toml that has it, from `directory` up; an empty layer where none has."""
    directory = os.path.abspath(directory)
    while True:
        layer = _project_layer(os.path.join(directory, "pyproject.toml"))
        if layer is not None:
            return layer
        if directory == os.path.dirname(directory):
            return Layer()
        directory = os.path.dirname(directory)


def load_requires_python(script: str) -> Sourced[str] | None:
    """`requires-python` of a script's block, else of the nearest pyproject.toml whose `[project]` has it."""
    with open(script, "rb") as file:
        source = file.read()
    directory = os.path.dirname(os.path.abspath(script))
    blocks = _script_blocks(source.decode("utf-8", "replace").splitlines()) if b"# /// script" in source else iter(())
    for line_before, text in blocks:
        reader = Reader("script block", script, "")
        if found := _requires_python(text, reader, line_before, ()):
            return found
    while True:
        path = os.path.join(directory, "pyproject.toml")
        project = _text(path, "project file") if os.path.isfile(path) else ""
        if isinstance(project, str):
            found = _requires_python(project, Reader("project file", path, ""), 0, ("project",))
            if found or directory == os.path.dirname(directory):
                return found
        directory = os.path.dirname(directory)


def _requires_python(text: str, reader: Reader, line_before: int, table: tuple[str, ...]) -> Sourced[str] | None:
    if "requires-python" not in text:
        return None
    document: Any = _toml_document(text, reader, line_before)
    for key in (*table, "requires-python"):
        document = document.get(key) if isinstance(document, dict) else None
    if not isinstance(document, str):
        return None
    line = _key_lines(text, line_before).get((*table, "requires-python"), 0)
    return Sourced(document, Origin(reader.layer, reader.file, line, ".".join((*table, "requires-python"))))


def _project_layer(path: str) -> Layer | None:
    """The settings of one pyproject.toml; None where there is no such file, or no `[tool.sshrun]` in it."""
    if not os.path.isfile(path):
        return None
    text = _text(path, "project file")
    if isinstance(text, Layer):
        return text
    if "sshrun" not in text:
        return None  # as in most projects, and reading TOML takes its time
    reader = Reader("project file", path, "tool.sshrun.")
    document = _toml_document(text, reader, 0)
    if isinstance(document, Layer):
        return document
    table = _toml_table(document)
    return None if table is None else _toml_layer(table, text, reader, 0)


def load_script_block(path: str, source: str) -> Layer:
    """The `# /// script` block of a script: its dependencies and its `[tool.sshrun]` table. Format: PEP 723."""
    blocks = list(_script_blocks(source.splitlines()))
    if len(blocks) > 1:
        second = Origin("script block", path, blocks[1][0])
        return Layer(problems=(f"{second}: a second `# /// script` block: PEP 723 allows one",))
    if not blocks:
        return Layer()
    line_before, text = blocks[0]
    reader = Reader("script block", path, "tool.sshrun.")
    document = _toml_document(text, reader, line_before)
    if isinstance(document, Layer):
        return document
    table = _toml_table(document)
    layer = _toml_layer({} if table is None else table, text, reader, line_before)
    if "dependencies" not in document:
        return layer
    of_block = Reader(reader.layer, path, "")
    line = _key_lines(text, line_before).get(("dependencies",), 0)
    requirements = of_block.requirements(_toml_node(document["dependencies"], line, {}), "dependencies")
    requirements += layer.requirements
    values = {**layer.values, "requirements": requirements} if requirements else layer.values
    return Layer(values, of_block.problems + layer.problems, layer.warnings)


def _text(path: str, layer: LayerName) -> str | Layer:
    """The text of a settings file, or a layer with the reason why it cannot be read."""
    try:
        with open(path, "rb") as file:
            data = file.read(_LARGEST + 1)
        if len(data) > _LARGEST:
            return Layer(problems=(f"{Origin(layer, path)}: is larger than {_LARGEST >> 20} MiB",))
        return data.decode("utf-8-sig")
    except OSError as error:
        return Layer(problems=(f"{Origin(layer, path)}: {error.strerror}; its place is {path}",))
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        return Layer(problems=(f"{Origin(layer, path, line)}: is not UTF-8 text; save it as UTF-8",))


# -- the user's YAML


def _user_layer(path: str) -> Layer:
    import yaml

    text = _text(path, "user file")
    if isinstance(text, Layer):
        return text
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    reader = Reader("user file", path, "ssh.")
    try:
        if _too_deep(yaml.parse(text, Loader=loader)):
            return Layer(problems=(f"{Origin('user file', path)}: is too deeply nested",))
        # Composed, not loaded: a scalar keeps its text in the file (on, 0123), and everything its line.
        root = yaml.compose(text, Loader=loader)
        document = NULL if root is None else _Conversion(foreign_keys=True).node(root)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = min(mark.line, text.count("\n")) + 1 if mark else 0
        reason = error.problem or error.context
        return Layer(problems=(f"{Origin('user file', path, line)}: is not YAML: {reason}",))
    except (yaml.YAMLError, ValueError) as error:
        reason = getattr(error, "reason", "") or "it contains characters that are not allowed: remove them"
        return Layer(problems=(f"{Origin('user file', path)}: is not YAML: {reason}",))
    return _from_document(document, reader)


def _too_deep(events: Iterator[yaml.Event]) -> bool:
    """The C library's composer calls itself for every level, and crashes Python at some ten thousand."""
    import yaml

    depth = 0
    for event in events:
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > _DEEPEST:
            return True
    return False


def _from_document(document: Node, reader: Reader) -> Layer:
    if document.kind not in ("mapping", "null"):
        where = Origin("user file", reader.file, document.line)
        return Layer(problems=(f"{where}: a mapping is needed, with the settings below `ssh:`",))
    settings = [node for key, node in document.entries if key == "ssh"]
    model_paths = [node for key, node in document.entries if key == "model_paths"]
    layer = reader.read(settings[0] if settings else NULL, model_paths[0] if model_paths else NULL)
    duplicates = tuple(
        f"{Origin('user file', reader.file, nodes[1].line, key)}: duplicate key: remove one"
        for key, nodes in (("ssh", settings), ("model_paths", model_paths))
        if len(nodes) > 1
    )
    return layer.with_lines(duplicates)


class _Conversion:
    """Makes `Node`s of the nodes of a YAML document, each alias once. Raises yaml.MarkedYAMLError."""

    def __init__(self, *, foreign_keys: bool) -> None:
        self.foreign_keys = foreign_keys  # at the top, where most keys are other tools'
        self.done: dict[int, Node] = {}
        self.open: set[int] = set()

    def node(self, node: yaml.Node) -> Node:
        if id(node) in self.done:
            return self.done[id(node)]
        if id(node) in self.open:
            raise _marked(node, "an alias within what it names: remove it")
        self.open.add(id(node))
        converted = self._converted(node)
        self.open.discard(id(node))
        self.done[id(node)] = converted
        return converted

    def _converted(self, node: yaml.Node) -> Node:
        import yaml

        line = node.start_mark.line + 1
        kind = node.tag.removeprefix("tag:yaml.org,2002:")
        if kind.startswith(("!", "tag:")):
            raise _marked(node, f"the tag {kind} is not supported: remove it")
        if isinstance(node, yaml.SequenceNode):
            return Node("list", line, items=tuple(self.node(item) for item in node.value))
        if isinstance(node, yaml.MappingNode):
            return Node("mapping", line, entries=tuple(self._entries(node)))
        if kind == "bool":
            return Node("boolean", line, node.value)
        if kind == "null":
            return Node("null", line, node.value)
        return Node("number" if kind in ("int", "float") else "string", line, node.value)

    def _entries(self, mapping: yaml.MappingNode) -> Iterator[tuple[str, Node]]:
        foreign_keys, self.foreign_keys = self.foreign_keys, False
        merged: list[tuple[str, Node]] = []
        own: set[str] = set()
        for key, value in mapping.value:
            if foreign_keys and key.value not in ("ssh", "model_paths"):
                continue
            if not isinstance(key.value, str):
                raise _marked(key, "a key must be one word")
            if key.tag == "tag:yaml.org,2002:merge":
                for source in value.value if isinstance(value.value, list) and value.tag.endswith(":seq") else [value]:
                    merged += self.node(source).entries
                continue
            own.add(key.value)
            yield key.value, self.node(value)._replace(line=key.start_mark.line + 1)
        for name, node in merged:
            if name not in own:
                own.add(name)
                yield name, node


def _marked(node: yaml.Node, problem: str) -> yaml.MarkedYAMLError:
    import yaml

    return yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)


# -- TOML


class _Written(str):
    """A TOML float as it is written in the file."""

    __slots__ = ()


def _toml_document(text: str, reader: Reader, line_before: int) -> dict[str, Any] | Layer:
    """A TOML text whose first line is line `line_before` + 1 of the file, or a layer with what is wrong."""
    import tomllib

    try:
        return tomllib.loads(text, parse_float=_Written)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        line = line_before + _toml_line(error, text)
        return Layer(problems=(f"{Origin(reader.layer, reader.file, line)}: is not TOML: {_toml_reason(error)}",))


def _toml_table(document: dict[str, Any]) -> Any:
    """The table `tool.sshrun`, None where the file has none."""
    tool = document.get("tool")
    return tool.get("sshrun") if isinstance(tool, dict) else None


def _toml_layer(table: Any, text: str, reader: Reader, line_before: int) -> Layer:
    """The settings of a table `tool.sshrun`; `text` is the whole file."""
    lines = _key_lines(text, line_before)
    return reader.read(_toml_node(table, lines.get(("tool", "sshrun"), 0), lines))


def _toml_node(
    value: Any, line: int, lines: dict[tuple[str, ...], int], path: tuple[str, ...] = ("tool", "sshrun")
) -> Node:
    if isinstance(value, dict):
        entries = (
            (key, _toml_node(item, lines.get((*path, key), line), lines, (*path, key))) for key, item in value.items()
        )
        return Node("mapping", line, entries=tuple(entries))
    if isinstance(value, list):
        return Node("list", line, items=tuple(_toml_node(item, line, {}) for item in value))
    if isinstance(value, bool):
        return Node("boolean", line, str(value).lower())
    return Node("number" if isinstance(value, int | _Written) else "string", line, str(value))


def _key_lines(text: str, line_before: int) -> dict[tuple[str, ...], int]:
    """The line of each key that begins one plainly: tomllib knows no lines."""
    lines: dict[tuple[str, ...], int] = {}
    table: tuple[str, ...] = ()
    for number, line in enumerate(text.splitlines(), line_before + 1):
        line = line.strip()
        if line.startswith("[") and "]" in line:
            table = _dotted(line.strip("[").partition("]")[0])
            lines.setdefault(table, number)
        elif "=" in line and not line.startswith("#"):
            lines.setdefault(table + _dotted(line.partition("=")[0]), number)
    return lines


def _dotted(key: str) -> tuple[str, ...]:
    return tuple(part.strip().strip("\"'") for part in key.split("."))


def _toml_line(error: Exception, text: str) -> int:
    # "... (at line 3, column 7)", or "... (at end of document)"
    digits = str(error).partition("(at line ")[2].partition(",")[0]
    return int(digits) if digits.isdecimal() else len(text.splitlines())


def _toml_reason(error: Exception) -> str:
    return str(error).partition(" (at ")[0] if not isinstance(error, RecursionError) else "too deeply nested"


# -- PEP 723


def _script_blocks(lines: list[str]) -> Iterator[tuple[int, str]]:
    """Each `script` block as the number of the line before its text, and its text."""
    number = 0
    while number < len(lines):
        opening = number
        number += 1
        if lines[opening] != "# /// script":
            continue
        content: list[str] = []
        end = 0  # the last `# ///` of the comment counts: PEP 723
        while number < len(lines) and (lines[number] == "#" or lines[number].startswith("# ")):
            if lines[number] == "# ///":
                end = len(content)
            content.append(lines[number][2:])
            number += 1
        if end:
            yield opening + 1, "\n".join(content[:end]) + "\n"
