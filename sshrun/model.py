"""Finds a model specification and reads its settings."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from sshrun.errors import SettingsError, UsageError
from sshrun.settings import Layer
from sshrun.settings_files import load_project_file, load_script_block
from sshrun.settings_reader import Node, Reader
from sshrun.sources import Origin, Sourced
from sshrun.spec_source import SpecSource, read_source
from sshrun.spelling import nearest

TEST_SUFFIX = "-test"  # of a model's name: mltk's way to ask for its test mode


class Spec(NamedTuple):
    """A model specification (a plain script with `run`), read but not run.

    `path` is absolute; `folder` holds it; `home` is where results come to: `folder`, or the current folder where that
    is not writable (a line in `warnings` says so). `layers` stand strongest first: attributes, script block, project
    file.
    `unread` is not empty where the syntax tree is not enough, one line each: say them, then call `imported`.
    """

    path: str
    name: str
    folder: str
    home: str
    imports_mltk: bool
    imports_sshrun: bool
    layers: tuple[Layer, ...]
    source: SpecSource
    log_dir: str | None = None
    unread: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def find_spec(model: str, model_paths: Sequence[Sourced[str]] = ()) -> str:
    """The absolute path of a model's spec, by name or by path; `NAME-test` finds NAME. Raises UsageError."""
    if os.sep in model or model.endswith(".py"):
        return _existing_script(model)
    folders: list[str] = []
    for name in dict.fromkeys((model, model.removesuffix(TEST_SUFFIX))):
        file_name = f"{name}.py"
        if os.path.isfile(file_name):
            return os.path.abspath(file_name)
        folders = folders or list(_folders(model_paths))  # an installed mltk is among them, which takes time to find
        for folder in folders:
            found = _search(folder, file_name)
            if found:
                return found
    searched = ", ".join(["the current folder", *folders])
    guess = nearest(f"{model}.py", _scripts_in("."))
    hint = f"do you mean {guess.removesuffix('.py')}?" if guess else "give a path: sshrun COMMAND PATH/TO/MODEL.py"
    raise UsageError(f"there is no {model}.py in {searched}", hint)


def find_script(path: str) -> str:
    """The absolute path of the SCRIPT of `sshrun run`. Raises UsageError."""
    return _existing_script(path)


def read_spec(path: str) -> Spec:
    """Reads a spec from its syntax tree. Raises SettingsError where it cannot be read."""
    try:
        with open(path, "rb") as file:
            text = file.read()
        source = read_source(text, os.path.basename(path))
    except SyntaxError as error:
        raise SettingsError([f"{Origin('spec', path, error.lineno or 0)}: is not Python: {error.msg}"]) from error
    except ValueError as error:  # a NUL, which became a SyntaxError in Python 3.11.4
        raise SettingsError([f"{Origin('spec', path)}: is not Python: {error}"]) from error
    except OSError as error:
        raise SettingsError([f"{Origin('spec', path)}: {error.strerror}"]) from error
    folder = os.path.dirname(path)
    attributes = _attributes(path, source, source.settings)
    script_block = load_script_block(path, text.decode("utf-8", "replace")) if b"# /// script" in text else Layer()
    home = folder
    warnings: tuple[str, ...] = ()
    if not os.access(folder, os.W_OK):
        home = os.getcwd()
        warnings = (f"{folder} is not writable: results come to {home}",)
    return Spec(
        path=path,
        name=os.path.basename(path).removesuffix(".py"),
        folder=folder,
        home=home,
        imports_mltk="mltk" in source.modules,
        imports_sshrun="sshrun" in source.modules,
        layers=(attributes, script_block, load_project_file(folder)),
        source=source,
        log_dir=source.log_dir,
        unread=tuple(_line(path, note) for note in source.unread),
        warnings=warnings,
    )


def read_script(path: str) -> Spec:
    """Reads the SCRIPT of `sshrun run`, which is never imported: SettingsError names the lines that would need it."""
    spec = read_spec(path)
    if spec.unread:
        raise SettingsError(
            list(spec.unread), "a script that is run is not imported to find out: write a literal there"
        )
    return spec


def imported(spec: Spec, timeout: float = 60) -> Spec:
    """The spec with the settings that an import of it leaves, in a process of its own, within `timeout` seconds.

    What the source tells stays as it is written there. A line in `warnings` names each place that made the import
    necessary. Raises SettingsError where it fails or takes longer.
    """
    import json

    from sshrun.process import run

    program = os.path.join(os.path.dirname(os.path.abspath(__file__)), "spec_import.py")
    keys = tuple(dict.fromkeys(attribute.removeprefix("ssh_") for _, attribute, _ in spec.source.unread))
    # -P: the folder of sshrun's own modules is no place for the spec to import from.
    argv = [sys.executable, "-P", program, spec.path, ",".join(keys), ",".join(spec.source.objects)]
    advice = "write the settings as literals, or make the import work here"
    try:
        completed = run(argv, cwd=spec.folder, timeout=timeout)
    except TimeoutError as error:
        raise SettingsError([f"{spec.unread[0]}; importing it took longer than {timeout:g} s"], advice) from error
    found: dict[str, Any] = {}
    try:
        if completed.status == 0:
            found = json.loads(completed.stdout)
    except ValueError:
        completed = completed._replace(status=1)
    if completed.status != 0:
        last_lines = completed.stderr.decode("utf-8", "replace").strip().splitlines()[-1:]
        reason = last_lines[0] if last_lines else f"exit status {completed.status}"
        printable = reason if reason.isprintable() else repr(reason)
        raise SettingsError([f"{spec.unread[0]}; importing it failed: {printable}"], advice)
    lines = spec.source.lines
    read = tuple((key, node) for key, node in spec.source.settings.entries if key not in keys)
    entries = tuple((key, _node(value, lines.get(key, 0))) for key, value in found.items())
    attributes = _attributes(spec.path, spec.source, Node("mapping", entries=read + entries))
    unset = tuple(
        _line(spec.path, (lines[key], f"ssh_{key}", "is not set by importing the script, and has no effect"))
        for key in keys
        if key not in found
    )
    attributes = attributes._replace(warnings=attributes.warnings + unset)
    said = tuple(f"{note}; {os.path.basename(spec.path)} was imported to find out" for note in spec.unread)
    return spec._replace(layers=(attributes, *spec.layers[1:]), unread=(), warnings=spec.warnings + said)


def _attributes(path: str, source: SpecSource, settings: Node) -> Layer:
    layer = Reader("spec", path, "ssh_").read(settings)
    return layer._replace(
        problems=tuple(_line(path, note) for note in source.problems) + layer.problems,
        warnings=tuple(_line(path, note) for note in source.warnings) + layer.warnings,
    )


def _line(path: str, note: tuple[int, str, str]) -> str:
    line, attribute, text = note
    return f"{Origin('spec', path, line, attribute)}: {text}"


def _node(value: dict[str, Any], line: int) -> Node:
    """What spec_import.py writes for a value."""
    return Node(
        value["kind"],
        line,
        value.get("text", ""),
        tuple(_node(item, line) for item in value.get("items", ())),
        tuple((key, _node(item, line)) for key, item in value.get("entries", ())),
    )


def _existing_script(path: str) -> str:
    if os.path.isfile(path):
        return os.path.abspath(path)
    folder = os.path.dirname(path)
    guess = nearest(os.path.basename(path), _scripts_in(folder or "."))
    hint = f"do you mean {os.path.join(folder, guess)}?" if guess else f"it is looked for from {os.getcwd()}"
    raise UsageError(f"there is no file {path}", hint)


def _scripts_in(folder: str) -> list[str]:
    try:
        return [name for name in os.listdir(folder) if name.endswith(".py")]
    except OSError:
        return []


def _folders(model_paths: Sequence[Sourced[str]]) -> Iterator[str]:
    yield from (path.value for path in model_paths)
    for path in os.environ.get("MLTK_MODEL_PATHS", "").split(os.pathsep):
        if path:
            yield os.path.abspath(os.path.expanduser(path))
    yield from _installed_models()


def _installed_models() -> Iterator[str]:
    """The `models` folder of an installed mltk: its module is looked for, not imported."""
    import importlib.util

    try:
        found = importlib.util.find_spec("mltk")
    except (ImportError, ValueError):
        return
    for location in (found and found.submodule_search_locations) or ():
        if os.path.isdir(os.path.join(location, "models")):
            yield os.path.join(location, "models")


def _search(folder: str, file_name: str) -> str:
    """The first file of that name in a folder or its subfolders, in the order of names."""
    for parent, subfolders, names in os.walk(folder):
        if file_name in names:
            return os.path.abspath(os.path.join(parent, file_name))
        subfolders[:] = sorted(name for name in subfolders if not name.startswith(".") and name != "__pycache__")
    return ""
