"""Why a job's Python missed a module, where a file beside the script names the packages that it needs."""

from __future__ import annotations

import json
import os
import re
import tomllib

_MISSED = re.compile(rb"^ModuleNotFoundError: No module named '([^'\n]*)'", re.MULTILINE)


def hint(log_end: bytes, directory: str, *, create_venv: bool) -> str:
    """One line that says what to write; "" where no module was missing at the log's end, or no file names packages."""
    missed = _MISSED.search(log_end)
    if missed is None:
        return ""
    if os.path.isfile(os.path.join(directory, "requirements.txt")):
        source, setting = "requirements.txt", "requirements: [-r requirements.txt]"
    elif dependencies := _project_dependencies(os.path.join(directory, "pyproject.toml")):
        source, setting = "[project] of pyproject.toml", f"requirements: {json.dumps(dependencies)}"
    else:
        return ""
    setting += "" if create_venv else ", and create_venv: true"
    module = missed[1].decode("utf-8", "replace")
    return f"no module {module!r}: nothing that {source} names was installed; write in the settings: {setting}"


def _project_dependencies(path: str) -> list[str]:
    try:
        with open(path, "rb") as file:
            dependencies = tomllib.load(file).get("project", {}).get("dependencies", [])
    except (OSError, ValueError, AttributeError):
        return []
    return [item for item in dependencies if isinstance(item, str)] if isinstance(dependencies, list) else []
