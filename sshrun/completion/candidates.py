"""Answers the scripts of the shells: what may come next on a command line that is being typed. Connects to nothing.

The first line of an answer names what the shell is to offer by itself: `none`, `files [SUFFIX ...]`, `directories`, or
`program N`, where N words stand before another program's command line. Each further line is a candidate for the whole
word, a tab and what it means. They are not filtered: each shell has its own idea of what matches.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence

from sshrun.arguments import Sorter
from sshrun.command_line import ANY, HOST, MODEL, OPTIONS, RUN, VERBS, Option, options_of
from sshrun.errors import UsageError

MODEL_SUFFIXES = ("py", "tflite", "h5", "mltk.zip")
SCRIPT_SUFFIXES = ("py", "sh", "ipynb")
_DEEPEST_MODULE = 4  # packages in packages that are looked into
USUAL_COMMAND = ("train", "a model's command: sshrun train MODEL")

Candidate = tuple[str, str]


def answer(words: Sequence[str]) -> str:
    """`words` are those after `sshrun`, as far as the cursor; the last one is being typed."""
    *before, current = words or [""]
    sorter = Sorter()
    for word in before:
        try:
            sorter.take(word)
        except UsageError:  # what is wrong is reported when the line is run
            pass
    shell, candidates = _next(sorter, before, current)
    lines = (f"{word}\t{text}" for word, text in candidates if word.isprintable() and text.isprintable())
    return "\n".join([shell, *lines]) + "\n"


def _next(sorter: Sorter, before: Sequence[str], current: str) -> tuple[str, Iterable[Candidate]]:
    verb = sorter.own_verb
    if sorter.awaiting:
        return _values(sorter.awaiting.completes, current)
    if sorter.verb == "program":
        return f"program {len(before) - len(sorter.words)}", ()
    if not sorter.foreign and current.startswith("-"):
        name, equals, value = current.partition("=")
        if not equals:
            return "none", _options(sorter)
        option = next((option for option in _known(sorter) if name in option.names and option.value), None)
        shell, candidates = _values(option.completes, value) if option and name.startswith("--") else ("none", ())
        return shell, ((f"{name}={word}", text) for word, text in candidates)
    if not sorter.verb:
        return "none", [*((verb.name, verb.text) for verb in VERBS), USUAL_COMMAND]
    if verb and not sorter.words and not sorter.foreign:
        return _values(verb.completes, current)
    if verb and verb.name != "run":
        return "none", ()
    return ("files", ()) if verb or sorter.words else _values("models", current)


def _known(sorter: Sorter) -> tuple[Option, ...]:
    """The options that mean something where the cursor is."""
    verb = sorter.own_verb
    if verb:
        return options_of(verb)
    return tuple(option for option in OPTIONS if not sorter.verb or option.scope in (RUN, MODEL, HOST, ANY))


def _options(sorter: Sorter) -> Iterator[Candidate]:
    for option in _known(sorter):
        if option.repeatable or option.key not in sorter.found:
            yield from ((name, option.text) for name in option.names)


def _values(kind: str | tuple[str, ...], current: str) -> tuple[str, Iterable[Candidate]]:
    if isinstance(kind, tuple):
        return "none", [(word, "") for word in kind]
    match kind:
        case "hosts":
            user, at, _ = current.rpartition("@")
            return "none", [(f"{user}{at}{host}", "") for host in _hosts()]
        case "jobs":
            return "none", _jobs()
        case "models" if "/" not in current:
            return "directories", [(name, "") for name in _models()]
        case "models":
            return f"files {' '.join(MODEL_SUFFIXES)}", ()
        case "scripts":
            return f"files {' '.join(SCRIPT_SUFFIXES)}", ()
        case "modules":
            return "none", [(name, "") for name in _modules()]
        case "variables":
            return "none", [(name, "") for name in sorted(os.environ)]
        case "files" | "directories":
            return kind, ()
    return "none", ()


def _hosts() -> list[str]:
    from sshrun.connection.configured_hosts import configured_hosts

    return configured_hosts(_config_path())


def _config_path() -> str | None:
    """The ssh config that the user file names in place of the user's own."""
    from sshrun.settings.files import load_user_file, user_file

    path = user_file()
    try:
        with open(path or os.devnull, "rb") as file:
            if b"config_path" not in file.read():  # reading YAML takes longer than all the rest
                return None
    except OSError:
        return None
    named = load_user_file().config_path
    return named.value if named else None


def _models() -> list[str]:
    """Any Python script of the directory can be a model's specification; a trained model is named by its file."""
    names = sorted(os.listdir("."))
    trained = tuple(f".{suffix}" for suffix in MODEL_SUFFIXES if suffix != "py")
    specs = [name.removesuffix(".py") for name in names if name.endswith(".py") and not name.startswith(("_", "."))]
    return [*specs, *(name for name in names if name.endswith(trained))]


def _modules() -> Iterator[str]:
    """Modules of the current directory. Whole names, since a shell puts a blank behind what it adds."""
    for directory, subdirectories, names in os.walk("."):
        steps = directory.split(os.sep)[1:]
        is_environment = "pyvenv.cfg" in names
        deeper = sorted(name for name in subdirectories if name.isidentifier() and name != "__pycache__")
        subdirectories[:] = deeper if len(steps) < _DEEPEST_MODULE and not is_environment else []
        stems = () if is_environment else sorted(name.removesuffix(".py") for name in names if name.endswith(".py"))
        if "__main__" in stems and steps:
            yield ".".join(steps)
        for stem in stems:
            if stem.isidentifier() and not stem.startswith("__"):
                yield ".".join([*steps, stem])


def _jobs() -> Iterator[Candidate]:
    from sshrun.jobs.records import records

    for record in records():
        manifest = record.manifest()
        yield record.id, ": ".join(filter(None, (manifest.host, manifest.title)))
