"""Runs a spec in a process of its own and writes what settings it holds then, as one line of JSON, to standard output.

Started by find.py as `python importer.py REQUEST`, a JSON object: `path`, the `keys` wanted, the `objects` that are
known to hold them; with `places` also (stubs.py) the spec's modules are stubs. The answer has `settings`, or
`failure`. Whatever the spec prints goes to standard error, which may be the same pipe: the answer is the last line.
"""

from __future__ import annotations

import os
import sys

# A spec must not find our modules. (-P would do the same, but not before Python 3.11.)
sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry) != os.path.dirname(os.path.abspath(__file__))]

import json  # noqa: E402
from importlib.util import module_from_spec, spec_from_file_location  # noqa: E402
from types import ModuleType  # noqa: E402
from typing import Any  # noqa: E402

SETTINGS = (bool, int, float, str, os.PathLike, list, tuple, set, frozenset, dict)


def main(request: dict[str, Any]) -> None:
    reply = os.dup(1)
    os.dup2(2, 1)
    answer = answered(request)
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    with open(reply, "w", encoding="ascii") as file:
        file.write("\n" + json.dumps(answer))
    os._exit(0)  # threads and exit handlers of the spec are no concern of this process


def answered(request: dict[str, Any]) -> dict[str, Any]:
    path = request["path"]
    sys.argv[:] = [path]
    os.chdir(os.path.dirname(path))
    stubs = prepare_stubs(request) if "places" in request else None
    sys.path.insert(0, os.path.dirname(path))
    try:
        module = loaded(path)
        owners = owners_in(module, request["objects"], stubs)
        settings = {key: found_in(owners, key, stubs) for key in request["keys"]}
        chosen = stubs.chosen_log_dir(owners) if stubs else None
        return {
            "settings": {key: described(value, key, stubs) for key, value in settings.items() if value is not None},
            "lines": {key: stubs.watch.lines.get(f"ssh_{key}", 0) for key in settings} if stubs else {},
            "notes": list(stubs.watch.notes) if stubs else [],
            "log_dir": chosen,
        }
    except BaseException as error:  # noqa: BLE001 (whatever a spec may raise)
        return {"failure": failure(error, path, stubs)}


def prepare_stubs(request: dict[str, Any]) -> Any:
    own = os.path.dirname(os.path.abspath(__file__))
    # It is no part of a package in this process, and under this name no spec takes it for a module of its own.
    place = spec_from_file_location("sshrun spec stubs", os.path.join(own, "stubs.py"))
    assert place is not None and place.loader is not None
    stubs: Any = module_from_spec(place)
    sys.modules[place.name] = stubs
    place.loader.exec_module(stubs)
    stubs.watch.path = request["path"]
    stubs.watch.places = request["places"]
    stubs.replace_modules(os.path.join(os.path.dirname(own), "mixin.py"), request["mltk"])
    stubs.refuse_effects()
    return stubs


def loaded(path: str) -> ModuleType:
    """The spec as a module."""
    name = os.path.basename(path).removesuffix(".py")
    module = ModuleType(name)
    module.__file__ = path
    sys.modules[name] = module
    with open(path, "rb") as file:
        code = compile(file.read(), path, "exec", dont_inherit=True)
    exec(code, vars(module))
    return module


def owners_in(module: ModuleType, names: list[str], stubs: Any) -> list[Any]:
    """The objects that may hold settings, in the order in which they count: the model, those named, all others."""
    values = vars(module)
    # mltk/core/model/model_utils.py, load_mltk_model_with_path: the first one in the order of names.
    models = [values[name] for name in sorted(values) if stubs and isinstance(values[name], stubs.MltkModel)]
    named = [values[name] for name in names if name in values]
    # Some of the other objects have an attribute of every name.
    others = [value for value in values.values() if not isinstance(value, type | ModuleType)]
    return [*models[:1], *named, *others]


def found_in(owners: list[Any], key: str, stubs: Any) -> Any:
    """The setting of the first owner that has it."""
    for owner in owners:
        try:
            if stubs is None:
                value = getattr(owner, f"ssh_{key}", None)
            else:
                value = (type if isinstance(owner, type) else object).__getattribute__(owner, f"ssh_{key}")
        except AttributeError:
            continue
        if isinstance(value, SETTINGS) or (stubs and isinstance(value, stubs.Operators)):
            return value
    return None


def described(value: Any, key: str, stubs: Any) -> dict[str, Any]:
    """A value as `Node` knows it. What no setting can be is described as a string. Raises Unknown."""
    if stubs and isinstance(value, stubs.Operators):
        raise stubs.Unknown(key, stubs.watch.lines.get(f"ssh_{key}", 0), stubs.name_of(value))
    if isinstance(value, set | frozenset):
        value = sorted(value, key=str)
    if isinstance(value, dict):
        entries = [[described(name, key, stubs)["text"], described(item, key, stubs)] for name, item in value.items()]
        return {"kind": "mapping", "entries": entries}
    if isinstance(value, list | tuple):
        return {"kind": "list", "items": [described(item, key, stubs) for item in value]}
    if value is None:
        return {"kind": "null", "text": str(value)}
    if isinstance(value, bool):
        return {"kind": "boolean", "text": str(value)}
    text = str(value)
    if stubs and (cause := stubs.unknown_in(text)):
        raise stubs.Unknown(key, stubs.watch.lines.get(f"ssh_{key}", 0), cause)
    return {"kind": "number" if isinstance(value, int | float) else "string", "text": text}


def failure(error: BaseException, path: str, stubs: Any) -> dict[str, Any]:
    """What went wrong: in which line of the spec, `key` where one setting is the matter, and Python's whole account."""
    import traceback

    if stubs and isinstance(error, stubs.Unknown):
        return {"key": error.key, "line": error.line, "cause": error.cause}
    line, trace = 0, error.__traceback__
    while trace is not None:
        line = trace.tb_lineno if trace.tb_frame.f_code.co_filename == path else line
        trace = trace.tb_next
    message = f"it calls exit({error.code!r})" if isinstance(error, SystemExit) else str(error)
    title = "" if isinstance(error, SystemExit) else type(error).__name__
    return {
        "key": "",
        "line": line,
        "cause": f"{title}: {message}" if title and message else title or message,
        "account": "".join(traceback.format_exception(error)),
    }


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
