"""Finds a model specification and reads its settings."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from sshrun.errors import SettingsError, UsageError
from sshrun.local_mltk import find_mltk, local_python
from sshrun.settings import Layer
from sshrun.settings_files import load_project_file, load_script_block
from sshrun.settings_reader import Node, Reader
from sshrun.sources import Origin, Sourced
from sshrun.spec_source import SpecSource, read_source
from sshrun.spelling import nearest

TEST_SUFFIX = "-test"  # of a model's name: mltk's way to ask for its test mode
# What MLTK's commands take for a model besides its specification; an archive holds that, too.
ARCHIVE_SUFFIX = ".mltk.zip"
MODEL_FILES = (ARCHIVE_SUFFIX, ".tflite", ".h5")
STUB_SECONDS = 10.0  # for a spec that is run with stubs, which takes some hundredths of a second
_NOTES = 5  # lines about what a missing module may have made of a value
_IMPORTER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "spec_import.py")
_ADVICE = "write the settings as literals; or add --import-spec, which runs the script here with its real modules"
_FAILED = "-v shows all of it; --import-spec runs the script here with its real modules"


class Spec(NamedTuple):
    """A model specification (a plain script with `run`, or a file with a trained model), read but not run.

    `path` is absolute; `folder` holds it; `home` is where results come to: `folder`, or the current folder where that
    is not writable (a line in `warnings` says so). `layers` stand strongest first: attributes, script block, project
    file.
    `unread` is not empty where the syntax tree is not enough, one line each: then `computed`, or `imported`, is needed.
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

    @property
    def is_model_file(self) -> bool:
        return self.path.endswith(MODEL_FILES)


def find_spec(model: str, model_paths: Sequence[Sourced[str]] = ()) -> str:
    """The absolute path of a model's spec, by name or by path; `NAME-test` finds NAME. Raises UsageError.

    Or of a file with a trained model, by its path.
    """
    if os.sep in model or model.endswith((".py", *MODEL_FILES)):
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
        text = _source_of_model(path) if path.endswith(MODEL_FILES) else _content(path)
        # A shell script has no attributes: its settings stand in a script block.
        source = read_source(b"" if is_shell_script(path) else text, os.path.basename(path))
    except SyntaxError as error:
        raise SettingsError([f"{Origin('spec', path, error.lineno or 0)}: is not Python: {error.msg}"]) from error
    except ValueError as error:  # a NUL, which became a SyntaxError in Python 3.11.4
        raise SettingsError([f"{Origin('spec', path)}: is not Python: {error}"]) from error
    except OSError as error:
        raise SettingsError([f"{Origin('spec', path)}: {error.strerror}"]) from error
    folder = os.path.dirname(path)
    unread = tuple(_line(path, note) for note in source.unread)
    warnings: tuple[str, ...] = ()
    if path.endswith(MODEL_FILES):
        warnings, unread = tuple(f"{note} in the specification within: left alone" for note in unread), ()
        computed_keys = {attribute.removeprefix("ssh_") for _, attribute, _ in source.unread}
        known = tuple((key, node) for key, node in source.settings.entries if key not in computed_keys)
        source = source._replace(settings=Node("mapping", entries=known), unread=())
    attributes = _attributes(path, source, source.settings)
    script_block = load_script_block(path, text.decode("utf-8", "replace")) if b"# /// script" in text else Layer()
    home = folder
    if not os.access(folder, os.W_OK):
        home = os.getcwd()
        warnings = (*warnings, f"{folder} is not writable: results come to {home}")
    return Spec(
        path=path,
        name=_without_suffix(os.path.basename(path)),
        folder=folder,
        home=home,
        imports_mltk="mltk" in source.modules or path.endswith(MODEL_FILES),
        imports_sshrun="sshrun" in source.modules,
        layers=(attributes, script_block, load_project_file(folder)),
        source=source,
        log_dir=source.log_dir,
        unread=unread,
        warnings=warnings,
    )


def _without_suffix(file_name: str) -> str:
    suffix = next((suffix for suffix in (".py", *MODEL_FILES) if file_name.endswith(suffix)), "")
    return file_name.removesuffix(suffix)


def _content(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def _source_of_model(path: str) -> bytes:
    """The specification that an archive holds; nothing of another file. Raises SettingsError."""
    if not path.endswith(ARCHIVE_SUFFIX):
        return b""
    import zipfile

    name = _without_suffix(os.path.basename(path)).removesuffix(TEST_SUFFIX)
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.read(f"{name}.py") if f"{name}.py" in archive.namelist() else b""
    except zipfile.BadZipFile as error:
        problem = f"{Origin('spec', path)}: is no model archive: {error}"
        raise SettingsError([problem], "train the model again, or name its specification") from error


def is_shell_script(path: str) -> bool:
    return path.endswith(".sh")


def read_script(path: str) -> Spec:
    """Reads the SCRIPT of `sshrun run`, which is never imported: SettingsError names the lines that would need it.

    Raises UsageError for what cannot be run.
    """
    if path.endswith(".ipynb"):
        name = os.path.basename(path).removesuffix(".ipynb")
        raise UsageError(
            f"{path} is a notebook, which sshrun cannot run yet",
            f"jupyter nbconvert --to script {name}.ipynb, then: sshrun run {name}.py",
        )
    spec = read_spec(path)
    if spec.unread:
        raise SettingsError(
            list(spec.unread), "a script that is run is not imported to find out: write a literal there"
        )
    return spec


def computed(spec: Spec, timeout: float = STUB_SECONDS) -> Spec:
    """The spec with the settings that it computes, learned by running it with stubs in the place of its modules.

    Nothing that has an effect is carried out (spec_stubs.py). What the source tells stays as it is written there. Lines
    in `warnings` say that it was run, and what may be wrong because a module was missing. Raises SettingsError where
    the settings cannot be learned that way.
    """
    from sshrun.process import capture

    request = {**_request(spec), "places": spec.source.places, "mltk": _mltk_values(spec.folder)}
    # -I, -S: neither the environment nor installed packages change what a spec means.
    argv = [sys.executable, "-I", "-S", "-B", _IMPORTER, _json(request)]
    try:
        status, output = capture(argv, timeout=timeout)
    except TimeoutError as error:
        raise SettingsError([f"{spec.unread[0]}; running it took longer than {timeout:g} s"], _ADVICE) from error
    answer = _answer(spec, status, output, "running it with stubs for its modules")
    names = dict.fromkeys(f"ssh_{key}" for key in _unread_keys(spec))
    first_line = min(line for line, _, _ in spec.source.unread)
    told = f"{Origin('spec', spec.path, first_line)}: {', '.join(names)}: computed; learned with stubs for its modules"
    notes = [_line(spec.path, (line, "", text)) for line, text in answer["notes"]]
    found = _with_settings(spec, answer, [told, *notes[:_NOTES]])
    return found._replace(log_dir=answer["log_dir"] or spec.log_dir)


def imported(spec: Spec) -> Spec:
    """The spec with the settings that a real import of it leaves, in a process of its own, for as long as that takes.

    It is imported where its modules are: by the Python of the activated environment, of a `.venv`, or ours. Raises
    SettingsError where it fails.
    """
    from sshrun.process import run

    argv = [local_python(spec.folder), "-B", _IMPORTER, _json(_request(spec))]
    completed = run(argv)
    answer = _answer(spec, completed.status, completed.stderr + completed.stdout, "importing it")
    told = [f"{note}; {os.path.basename(spec.path)} was imported to find out" for note in spec.unread]
    return _with_settings(spec, answer, told)


def _request(spec: Spec) -> dict[str, Any]:
    return {"path": spec.path, "keys": _unread_keys(spec), "objects": spec.source.objects}


def _unread_keys(spec: Spec) -> tuple[str, ...]:
    return tuple(dict.fromkeys(attribute.removeprefix("ssh_") for _, attribute, _ in spec.source.unread))


def _json(data: object) -> str:
    import json

    return json.dumps(data)


def _mltk_values(directory: str) -> dict[str, str]:
    """What a spec may ask of the mltk module itself (mltk/__init__.py), as far as an installed one tells."""
    mltk = find_mltk(directory)
    if mltk is None:
        return {}
    package = mltk.package and {
        "MLTK_DIR": mltk.package,
        "MLTK_ROOT_DIR": os.path.dirname(mltk.package),
        "__file__": os.path.join(mltk.package, "__init__.py"),
    }
    return {**({"__version__": mltk.version} if mltk.version else {}), **(package or {})}


def _answer(spec: Spec, status: int, output: bytes, attempt: str) -> dict[str, Any]:
    """What spec_import.py has found. Raises SettingsError with the first and the last line of what went wrong."""
    import json

    said, _, last_line = output.rstrip(b"\n").rpartition(b"\n")
    answer: dict[str, Any] = {}
    try:
        if status == 0:
            answer = json.loads(last_line)
    except ValueError:
        status = 1
    if status != 0:
        account = output.decode("utf-8", "replace").strip()
        reason = account.splitlines()[-1] if account else f"exit status {status}"
        raise SettingsError([f"{spec.unread[0]}; {attempt} failed: {_printable(reason)}"], _FAILED, account)
    failure = answer.get("failure")
    if failure is None:
        return answer
    if failure["key"]:
        line = failure["line"] or spec.source.lines[failure["key"]]
        note = (line, f"ssh_{failure['key']}", f"depends on {failure['cause']}, which is not run to read settings")
        raise SettingsError([_line(spec.path, note)], _ADVICE)
    lines = [line for line in failure["cause"].splitlines() if line.strip()] or [failure["cause"]]
    cause = _printable(lines[0]) + (f" [...] {_printable(lines[-1].strip())}" if len(lines) > 1 else "")
    where = f" in line {failure['line']}" if failure["line"] else ""
    account = said.decode("utf-8", "replace") + "\n" + failure["account"]
    raise SettingsError([f"{spec.unread[0]}; {attempt} failed{where}: {cause}"], _FAILED, account)


def _printable(text: str) -> str:
    return text if text.isprintable() else repr(text)


def _with_settings(spec: Spec, answer: dict[str, Any], warnings: Sequence[str]) -> Spec:
    keys, found = _unread_keys(spec), answer["settings"]
    lines = {**spec.source.lines, **{key: line for key, line in answer["lines"].items() if line}}
    read = tuple((key, node) for key, node in spec.source.settings.entries if key not in keys)
    entries = tuple((key, _node(value, lines.get(key, 0))) for key, value in found.items())
    attributes = _attributes(spec.path, spec.source, Node("mapping", entries=read + entries))
    unset = tuple(
        _line(spec.path, (lines[key], f"ssh_{key}", "is not set by running the script, and has no effect"))
        for key in keys
        if key not in found and key in spec.source.expected
    )
    attributes = attributes._replace(warnings=attributes.warnings + unset)
    return spec._replace(layers=(attributes, *spec.layers[1:]), unread=(), warnings=(*spec.warnings, *warnings))


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
    mltk = find_mltk(os.getcwd())
    if mltk and os.path.isdir(os.path.join(mltk.package, "models")):
        yield os.path.join(mltk.package, "models")


def _search(folder: str, file_name: str) -> str:
    """The first file of that name in a folder or its subfolders, in the order of names."""
    for parent, subfolders, names in os.walk(folder):
        if file_name in names:
            return os.path.abspath(os.path.join(parent, file_name))
        subfolders[:] = sorted(name for name in subfolders if not name.startswith(".") and name != "__pycache__")
    return ""
