"""Where an MLTK is installed on this machine. It is searched for, never imported."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from typing import NamedTuple

PACKAGE = "silabs-mltk"


class LocalMltk(NamedTuple):
    """An installed MLTK: the directory of its module and its version, each "" where that is not known."""

    package: str
    version: str


class _Environment(NamedTuple):
    python: str
    directories: Sequence[str]  # where packages are installed


def find_mltk(directory: str) -> LocalMltk | None:
    """The first MLTK there is: of `$VIRTUAL_ENV`, a `.venv` in `directory` or above, or sshrun's own Python."""
    for environment in _environments(directory):
        package = next(filter(None, map(_package, environment.directories)), "")
        version = next(filter(None, map(_version, environment.directories)), "")
        if package or version:
            return LocalMltk(package, version)
    return None


def local_python(directory: str) -> str:
    """The interpreter of the first of these environments that there is, whatever is installed in it."""
    return next(_environments(directory)).python


def _environments(directory: str) -> Iterator[_Environment]:
    candidates = [os.environ.get("VIRTUAL_ENV", "")]
    below = ""
    while directory != below:
        candidates.append(os.path.join(directory, ".venv"))
        directory, below = os.path.dirname(directory), directory
    for candidate in candidates:
        python = os.path.join(candidate, "bin", "python")
        if candidate and os.access(python, os.X_OK):
            yield _Environment(python, list(_site_packages(candidate)))
    yield _Environment(sys.executable, [entry or "." for entry in sys.path])


def _site_packages(environment: str) -> Iterator[str]:
    library = os.path.join(environment, "lib")
    for name in sorted(_listed(library)):
        if name.startswith("python"):
            yield os.path.join(library, name, "site-packages")


def _package(directory: str) -> str:
    """The module's directory: in place, or named by a `.pth` file, as where it is installed to be worked on."""
    places = [directory]
    for name in _listed(directory):
        if name.endswith(".pth") and "mltk" in name.lower():
            places += _lines(os.path.join(directory, name))
    found = (os.path.join(directory, place, "mltk") for place in places)
    return next((path for path in found if os.path.isfile(os.path.join(path, "__init__.py"))), "")


def _version(directory: str) -> str:
    """From the name of its metadata's directory (PyPA, recording installed projects), without importlib's 15 ms."""
    beginning = PACKAGE.replace("-", "_") + "-"
    for name in _listed(directory):
        if name.endswith(".dist-info") and name.lower().startswith(beginning):
            return name[len(beginning) :].removesuffix(".dist-info")
    return ""


def _listed(directory: str) -> list[str]:
    try:
        return os.listdir(directory)
    except OSError:
        return []


def _lines(path: str) -> list[str]:
    try:
        with open(path, encoding="utf-8") as file:
            return [line for line in file.read().splitlines() if line and not line.startswith(("import ", "#"))]
    except (OSError, ValueError):
        return []
