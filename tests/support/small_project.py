"""A project that is built without an index: its build backend (PEP 517, PEP 660) is part of it."""

from __future__ import annotations

from pathlib import Path

_BACKEND = """\
import os, tomllib, zipfile
with open("pyproject.toml", "rb") as file:
    project = tomllib.load(file)["project"]
NAME = project["name"]
INFO = f"{NAME}-{project['version']}.dist-info"

def metadata():
    lines = ["Metadata-Version: 2.1", f"Name: {NAME}", f"Version: {project['version']}"]
    lines += [f"Requires-Dist: {line}" for line in project.get("dependencies", [])]
    for extra, names in project.get("optional-dependencies", {}).items():
        lines += [f"Provides-Extra: {extra}", *(f"Requires-Dist: {line}; extra == '{extra}'" for line in names)]
    return "\\n".join(lines) + "\\n"

def wheel(directory, files):
    name = f"{NAME}-{project['version']}-py3-none-any.whl"
    files[f"{INFO}/METADATA"] = metadata()
    files[f"{INFO}/WHEEL"] = "Wheel-Version: 1.0\\nGenerator: test\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n"
    if "scripts" in project:
        lines = [f"{name} = {place}\\n" for name, place in project["scripts"].items()]
        files[f"{INFO}/entry_points.txt"] = "".join(["[console_scripts]\\n", *lines])
    if "MARK" in os.environ:
        files[f"{NAME}_mark.py"] = f"mark = {os.environ['MARK']!r}\\n"
    files[f"{INFO}/RECORD"] = "".join(f"{path},,\\n" for path in [*files, f"{INFO}/RECORD"])
    with zipfile.ZipFile(os.path.join(directory, name), "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
    return name

def build_wheel(directory, settings=None, metadata_directory=None):
    with open(f"src/{NAME}.py") as file:
        return wheel(directory, {f"{NAME}.py": file.read()})

def build_editable(directory, settings=None, metadata_directory=None):
    return wheel(directory, {f"_{NAME}.pth": os.path.abspath("src") + "\\n"})
"""


def write_project(directory: Path, name: str, version: str, more: str = "", *, code: str = "") -> None:
    """A package of one module in src/, with `version` as its `version`; `more` follows in the table `[project]`."""
    (directory / "src").mkdir(parents=True, exist_ok=True)
    (directory / "backend.py").write_text(_BACKEND)
    (directory / "src" / f"{name}.py").write_text(code or f"version = {version!r}\n")
    (directory / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
        f'[project]\nname = "{name}"\nversion = "{version}"\n{more}\n'
    )
