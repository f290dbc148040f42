"""Finds a model specification and reads its settings."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from sshrun.errors import SettingsError, UsageError
from sshrun.origin import Origin, Sourced
from sshrun.settings.files import load_project_file, load_script_block
from sshrun.settings.reader import Node, Reader
from sshrun.settings.schema import Layer
from sshrun.spec.local_mltk import find_mltk, local_python
from sshrun.spec.notebook import code_of, is_notebook
from sshrun.spec.source import SpecSource, read_source
from sshrun.spelling import nearest

TEST_SUFFIX = "-test"  # of a model's name: mltk's way to ask for its test mode
# What MLTK's commands take for a model besides its specification; an archive holds that, too.
ARCHIVE_SUFFIX = ".mltk.zip"
MODEL_FILES = (ARCHIVE_SUFFIX, ".tflite", ".h5")
STUB_SECONDS = 10.0  # for a spec that is run with stubs, which takes some hundredths of a second
_NOTES = 5  # lines about what a missing module may have made of a value
_IMPORTER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "importer.py")
_ADVICE = "write the settings as literals; or add --import-spec, which runs the script locally with its real modules"
_FAILED = "-v shows all of it; --import-spec runs the script locally with its real modules"


class Spec(NamedTuple):
    """A model specification (a plain script with `run`, or a file with a trained model), read but not run.

    `path` is absolute; `directory` holds it; `results_directory` is where results go: `directory`, or the current one
    where that is not writable (with a line in `warnings`). `layers`, highest rank first: attributes, script block,
    project file.
    `unread` is not empty where the syntax tree is not enough, one line each: then `computed`, or `imported`, is needed.
    """

    path: str
    name: str
    directory: str
    results_directory: str
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
    directories: list[str] = []
    for name in dict.fromkeys((model, model.removesuffix(TEST_SUFFIX))):
        file_name = f"{name}.py"
        if os.path.isfile(file_name):
            return os.path.abspath(file_name)
        # An installed mltk is among them, which takes time to find.
        directories = directories or list(_directories(model_paths))
        for directory in directories:
            found = _search(directory, file_name)
            if found:
                return found
    searched = ", ".join(["the current directory", *directories])
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
        # A shell script and a notebook have no attributes: their settings are in a script block.
        source = read_source(b"" if is_shell_script(path) or is_notebook(path) else text, os.path.basename(path))
    except SyntaxError as error:
        raise SettingsError([f"{Origin('spec', path, error.lineno or 0)}: is not Python: {error.msg}"]) from error
    except ValueError as error:  # a NUL, which became a SyntaxError in Python 3.11.4
        raise SettingsError([f"{Origin('spec', path)}: is not Python: {error}"]) from error
    except OSError as error:
        raise SettingsError([f"{Origin('spec', path)}: {error.strerror}"]) from error
    directory = os.path.dirname(path)
    unread = tuple(_line(path, note) for note in source.unread)
    warnings: tuple[str, ...] = ()
    if path.endswith(MODEL_FILES):
        warnings, unread = tuple(f"{note} in the specification within: ignored" for note in unread), ()
        computed_keys = {attribute.removeprefix("ssh_") for _, attribute, _ in source.unread}
        known = tuple((key, node) for key, node in source.settings.entries if key not in computed_keys)
        source = source._replace(settings=Node("mapping", entries=known), unread=())
    attributes = _attributes(path, source, source.settings)
    script_block = load_script_block(path, text.decode("utf-8", "replace")) if b"# /// script" in text else Layer()
    results_directory = directory
    if not os.access(directory, os.W_OK):
        results_directory = os.getcwd()
        warnings = (*warnings, f"{directory} is not writable: results go to {results_directory}")
    return Spec(
        path=path,
        name=_without_suffix(os.path.basename(path)),
        directory=directory,
        results_directory=results_directory,
        imports_mltk="mltk" in source.modules or path.endswith(MODEL_FILES),
        imports_sshrun="sshrun" in source.modules,
        layers=(attributes, script_block, load_project_file(directory)),
        source=source,
        log_dir=source.log_dir,
        unread=unread,
        warnings=warnings,
    )


def _without_suffix(file_name: str) -> str:
    suffix = next((suffix for suffix in (".py", *MODEL_FILES) if file_name.endswith(suffix)), "")
    return file_name.removesuffix(suffix)


def _content(path: str) -> bytes:
    """What a file says in Python, or in a shell's words. Raises SettingsError for a notebook that is none."""
    with open(path, "rb") as file:
        text = file.read()
    if not is_notebook(path):
        return text
    try:
        return code_of(text)
    except ValueError as error:
        raise SettingsError([f"{Origin('spec', path)}: is no notebook: {error}"]) from error


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
    """Reads the SCRIPT of `sshrun run`, which is never imported: SettingsError names the lines that would need it."""
    spec = read_spec(path)
    if spec.unread:
        raise SettingsError(list(spec.unread), "a script that is run is not imported to find out: write a literal")
    return spec


def computed(spec: Spec, timeout: float = STUB_SECONDS) -> Spec:
    """The spec with the settings that it computes, learned by running it with stubs in the place of its modules.

    Nothing that has an effect is carried out (stubs.py). What the source shows stays as it is written. Lines
    in `warnings` report that it was run, and what may be wrong because a module was missing. Raises SettingsError where
    the settings cannot be learned that way.
    """
    from sshrun.process import capture

    request = {**_request(spec), "places": spec.source.places, "mltk": _mltk_values(spec.directory)}
    # -I, -S: neither the environment nor installed packages change what a spec means.
    argv = [sys.executable, "-I", "-S", "-B", _IMPORTER, _json(request)]
    try:
        status, output = capture(argv, timeout=timeout)
    except TimeoutError as error:
        raise SettingsError([f"{spec.unread[0]}; running it took longer than {timeout:g} s"], _ADVICE) from error
    answer = _answer(spec, status, output, "running it with stubs for its modules")
    names = dict.fromkeys(f"ssh_{key}" for key in _unread_keys(spec))
    first_line = min(line for line, _, _ in spec.source.unread)
    note = f"{Origin('spec', spec.path, first_line)}: {', '.join(names)}: computed; learned with stubs for its modules"
    notes = [_line(spec.path, (line, "", text)) for line, text in answer["notes"]]
    found = _with_settings(spec, answer, [note, *notes[:_NOTES]])
    return found._replace(log_dir=answer["log_dir"] or spec.log_dir)


def imported(spec: Spec) -> Spec:
    """The spec with the settings that a real import of it leaves, in a process of its own, for as long as that takes.

    It is imported where its modules are: by the Python of the activated environment, of a `.venv`, or ours. Raises
    SettingsError where it fails.
    """
    from sshrun.process import run

    argv = [local_python(spec.directory), "-B", _IMPORTER, _json(_request(spec))]
    completed = run(argv)
    answer = _answer(spec, completed.status, completed.stderr + completed.stdout, "importing it")
    notes = [f"{note}; {os.path.basename(spec.path)} was imported to find out" for note in spec.unread]
    return _with_settings(spec, answer, notes)


def _request(spec: Spec) -> dict[str, Any]:
    return {"path": spec.path, "keys": _unread_keys(spec), "objects": spec.source.objects}


def _unread_keys(spec: Spec) -> tuple[str, ...]:
    return tuple(dict.fromkeys(attribute.removeprefix("ssh_") for _, attribute, _ in spec.source.unread))


def _json(data: object) -> str:
    import json

    return json.dumps(data)


def _mltk_values(directory: str) -> dict[str, str]:
    """What a spec may ask of the mltk module itself (mltk/__init__.py), as far as an installed one shows."""
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
    """What importer.py has found. Raises SettingsError with the first and the last line of what went wrong."""
    import json

    printed, _, last_line = output.rstrip(b"\n").rpartition(b"\n")
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
    account = printed.decode("utf-8", "replace") + "\n" + failure["account"]
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
    attributes = Layer(attributes.values, attributes.problems, attributes.warnings + unset)
    return spec._replace(layers=(attributes, *spec.layers[1:]), unread=(), warnings=(*spec.warnings, *warnings))


def _attributes(path: str, source: SpecSource, settings: Node) -> Layer:
    layer = Reader("spec", path, "ssh_").read(settings)
    return layer.with_lines(
        problems=tuple(_line(path, note) for note in source.problems),
        warnings=tuple(_line(path, note) for note in source.warnings),
    )


def _line(path: str, note: tuple[int, str, str]) -> str:
    line, attribute, text = note
    return f"{Origin('spec', path, line, attribute)}: {text}"


def _node(value: dict[str, Any], line: int) -> Node:
    """What importer.py writes for a value."""
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
    directory = os.path.dirname(path)
    guess = nearest(os.path.basename(path), _scripts_in(directory or "."))
    hint = f"do you mean {os.path.join(directory, guess)}?" if guess else f"it is looked for from {os.getcwd()}"
    raise UsageError(f"there is no file {path}", hint)


def _scripts_in(directory: str) -> list[str]:
    try:
        return [name for name in os.listdir(directory) if name.endswith(".py")]
    except OSError:
        return []


def _directories(model_paths: Sequence[Sourced[str]]) -> Iterator[str]:
    yield from (path.value for path in model_paths)
    for path in os.environ.get("MLTK_MODEL_PATHS", "").split(os.pathsep):
        if path:
            yield os.path.abspath(os.path.expanduser(path))
    mltk = find_mltk(os.getcwd())
    if mltk and os.path.isdir(os.path.join(mltk.package, "models")):
        yield os.path.join(mltk.package, "models")


def _search(directory: str, file_name: str) -> str:
    """The first file of that name in a directory or its subdirectories, in the order of names."""
    for parent, subdirectories, names in os.walk(directory):
        if file_name in names:
            return os.path.abspath(os.path.join(parent, file_name))
        visible = [name for name in subdirectories if not name.startswith(".") and name != "__pycache__"]
        subdirectories[:] = sorted(visible)
    return ""
