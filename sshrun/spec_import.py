"""Imports a spec in a process of its own and writes what settings it holds then, as JSON, to standard output.

Started by model.py as `python -P spec_import.py SPEC KEY,KEY OBJECT,OBJECT`. Whatever the spec prints goes to standard
error.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from types import ModuleType
from typing import Any

SETTINGS = (bool, int, float, str, os.PathLike, list, tuple, set, frozenset, dict)


def main(path: str, keys: list[str], owners: list[str]) -> None:
    """Writes the settings `keys` of the module's objects, those named in `owners` first."""
    reply = os.dup(1)
    os.dup2(2, 1)
    name = os.path.basename(path).removesuffix(".py")
    sys.path.insert(0, os.path.dirname(path))
    sys.argv[:] = [path]
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except SystemExit as error:
        raise RuntimeError(f"it calls exit({error.code!r})") from error
    named = [vars(module)[owner] for owner in owners if owner in vars(module)]
    # Among the other objects there are such as answer to every name.
    others = [value for value in vars(module).values() if not isinstance(value, type | ModuleType)]
    found = {}
    for key in keys:
        values = [getattr(owner, f"ssh_{key}", None) for owner in named]
        values += [value for owner in others if isinstance(value := getattr(owner, f"ssh_{key}", None), SETTINGS)]
        value = next((value for value in values if value is not None), None)
        if value is not None:
            found[key] = described(value)
    with open(reply, "w", encoding="utf-8", errors="surrogateescape") as file:
        json.dump(found, file)
    os._exit(0)  # threads and exit handlers of the spec are nobody's business here


def described(value: Any) -> dict[str, Any]:
    """A value as `Node` knows it. What is no setting at all is described as its text."""
    if isinstance(value, set | frozenset):
        value = sorted(value, key=str)
    if isinstance(value, dict):
        return {"kind": "mapping", "entries": [[str(key), described(item)] for key, item in value.items()]}
    if isinstance(value, list | tuple):
        return {"kind": "list", "items": [described(item) for item in value]}
    if value is None:
        return {"kind": "nothing"}
    if isinstance(value, bool):
        return {"kind": "boolean", "text": str(value)}
    return {"kind": "number" if isinstance(value, int | float) else "text", "text": str(value)}


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2].split(","), [owner for owner in sys.argv[3].split(",") if owner])
