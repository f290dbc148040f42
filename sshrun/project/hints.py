"""Why a job missed a file or a module that is here: it did not go along, and a line says by which rule."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Collection, Iterator

from sshrun.errors import SshrunError
from sshrun.project.root import IGNORE_FILE
from sshrun.project.selection import why_left_out
from sshrun.terminal import visible

_LINES = 60  # of the log's end, in which an error counts
_LONGEST = 4096  # bytes of a line, and of a path on Linux

_QUOTED = r"""b?(?:'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*")"""
_MODULE = re.compile(r"^(?:ModuleNotFoundError|ImportError): No module named (['\"]?)([\w.]+)\1")
_NO_MODULE = re.compile(r"\bpython[\d.]*: (?:Error while finding module specification for '|No module named )([\w.]+)")
# Programs that quote a name (Python, cp, ls, make, h5py), in a line that speaks of a file which is not there.
_ABSENT = re.compile(
    r"No such file|[Nn]ot found|not exist|[Cc]annot (?:stat|access|open|find)|[Uu]nable to (?:open|find)"
)
_PYTHON = re.compile(r"(?:FileNotFoundError|RuntimeError|OSError|can't open file|cannot \w+|No rule to make target)\b")
_NAMED = re.compile(_QUOTED)
# dash: `cannot open NAME: No such file`; bash, cat and others: `NAME: No such file or directory`; TensorFlow: `NAME;`.
_SHELL = re.compile(r"(?:^|: )(?:cannot open )?([^:;]+)[:;] No such file")
_NOT_FOUND = re.compile(r"^FileNotFoundError: (?:File )?(\S+) (?:not found|does not exist)")
_MOST = 10  # names of a log that are looked up, since each asks git


def missing(log_end: bytes, root: str, directory: str, selected: Collection[str]) -> str:
    """What to write where the end of a log names something that is beneath `root` and did not go; "" otherwise.

    `directory` is where the command began, relative to the root; `selected` are the names of the files that went.
    """
    went = _with_directories(selected)
    directory = os.path.normpath(directory)
    try:
        for kind, words in itertools.islice(_missed(log_end), _MOST):
            candidates = _modules if kind == "module" else _files
            for name in candidates(words, root, directory, went):
                if line := _line(root, name, went):
                    return line
    except SshrunError:
        pass  # a hint, no more
    return ""


def as_rule(name: str) -> str:
    """A line of an ignore file that means one file or directory (`/` at its end) beneath its own directory."""
    escaped = re.sub(r"([\\*?\[])", r"\\\1", name)
    escaped = re.sub(r" (?= *$)", r"\\ ", escaped)
    return visible(escaped if "/" in name.rstrip("/") else f"/{escaped}")


def _missed(log_end: bytes) -> Iterator[tuple[str, str]]:
    """What the last lines say is missing, the last first: ("module", its name) or ("file", its path)."""
    for raw in reversed(log_end.splitlines()[-_LINES:]):
        line = os.fsdecode(raw[:_LONGEST]).rstrip()
        if module := _MODULE.search(line):
            yield "module", module[2]
        elif module := _NO_MODULE.search(line):
            yield "module", module[1].rstrip(".")
        elif error := _PYTHON.search(line):
            named = _NAMED.search(line, error.end())
            if named and (path := _unquoted(named[0])) and (_ABSENT.search(line) or "No rule" in error[0]):
                yield "file", path
        for pattern in (_NOT_FOUND, _SHELL):
            if found := pattern.search(line):
                yield "file", found[1].strip("'\"‘’` ")


def _unquoted(text: str) -> str:
    import ast  # a job that misses nothing has no use for it

    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return ""
    return os.fsdecode(value) if isinstance(value, str | bytes) and value else ""


def _files(path: str, root: str, directory: str, went: set[str]) -> Iterator[str]:
    """The names beneath the root that a path of a job may mean and that did not go."""
    if "\0" in path:
        return
    if os.path.isabs(path):
        # There the root has another path, which ends with the root's name here, or with that and a hash.
        steps, name = path.strip("/").split("/"), os.path.basename(root)
        if path.startswith(f"{root}/"):
            return  # a path of this machine: the file would not be there under that name either
        tails = ["/".join(steps[at + 1 :]) for at, step in enumerate(steps) if step == name or _is_hashed(step, name)]
    else:
        tails = [os.path.join(directory, path), path]
    for tail in dict.fromkeys(os.path.normpath(tail) for tail in tails if tail):
        if tail in went:
            return
        if _is_inside(tail) and os.path.lexists(os.path.join(root, tail)):
            yield tail


def _modules(module: str, root: str, directory: str, went: set[str]) -> Iterator[str]:
    steps = module.replace(".", "/")
    beside = sorted(os.path.dirname(name) for name in went if name.endswith(".py"))
    places = dict.fromkeys((directory, ".", os.path.join(directory, "src"), "src", *beside))
    found = []
    for place in places:
        for end in (".py", "/__init__.py", ""):
            name = os.path.normpath(os.path.join(place, steps + end))
            if name in went:
                return  # it went, and Python looked elsewhere
            path = os.path.join(root, name)
            if _is_inside(name) and (os.path.isfile(path) if end else _holds_python(path)):
                found.append(os.path.dirname(name) if end == "/__init__.py" else name)
    yield from found


def _holds_python(path: str) -> bool:
    try:
        return any(name.endswith(".py") for name in os.listdir(path))
    except OSError:
        return False


def _line(root: str, name: str, went: set[str]) -> str:
    target = os.path.relpath(os.path.realpath(os.path.join(root, name)), os.path.realpath(root))
    if _is_inside(target) and target not in went:
        name = target  # what a link within the project leads to: the rule is about that
    why = why_left_out(root, name)
    if not why:
        return ""  # made since, or gone for a reason that no rule has: silence is better than wrong advice
    is_directory = os.path.isdir(os.path.join(root, name))
    shown = visible(name) + "/" * is_directory
    if why.startswith(f"{IGNORE_FILE}:"):
        advice = "change that line"
    elif why.startswith("a link") or " is a link " in why:
        advice = "name what it leads to in upload_files"
    elif why.endswith(("cache", "virtual environment")) or why.startswith(".git "):
        return ""
    else:
        advice = f"write !{as_rule(name + '/' * is_directory)} into {IGNORE_FILE}"
    return f"{shown} is here, but did not go to the host ({visible(why)}): {advice}"


def _with_directories(names: Collection[str]) -> set[str]:
    found = set(names)
    for name in names:
        while (name := name.rpartition("/")[0]) and name not in found:
            found.add(name)
    return found


def _is_inside(name: str) -> bool:
    return name != "." and name.partition("/")[0] != ".."


def _is_hashed(step: str, name: str) -> bool:
    return step.startswith(f"{name}-") and step[len(name) + 1 :].isalnum()
