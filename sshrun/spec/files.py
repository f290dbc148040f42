"""The files that settings name, found, and all that is wrong with their paths: decided in this module alone."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from sshrun.origin import Origin
from sshrun.settings.declaration import Strings
from sshrun.settings.schema import Layer, in_order
from sshrun.settings.table import JobSettings
from sshrun.spec.find import Spec
from sshrun.transfer.items import Item
from sshrun.transfer.local_tree import local_item, select_local
from sshrun.transfer.patterns import Pattern, parse_download, parse_upload


class Files(NamedTuple):
    """`problems` are lines for `merge`, which reports them together with those of the settings themselves."""

    uploads: tuple[Item, ...] = ()
    downloads: tuple[Pattern, ...] = ()
    excluded: tuple[tuple[Pattern, tuple[Item, ...]], ...] = ()
    warnings: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


def files_of(spec: Spec, layers: Sequence[Layer], *, uploads: bool, may_lack: bool = False) -> Files:
    """The files to upload, the spec first, and the patterns to download. `layers`, highest rank first.

    What a spec names and does not exist is an error, unless it `may_lack` it.
    """
    # The spec is always uploaded, whatever else is named like it.
    itself = local_item(spec.path, os.path.basename(spec.path))
    return _files([itself], spec.directory, layers, uploads=uploads, may_lack=may_lack)


def files_of_module(module: str, layers: Sequence[Layer], *, uploads: bool) -> Files:
    """The same for `run -m MODULE`: of its top-level package in the current directory, every file of Python.

    One that is not there is a module of the host's own, such as `http.server`.
    """
    directory = os.getcwd()
    top = glob.escape(module.partition(".")[0])
    patterns = [parse_upload(pattern) for pattern in (f"{top}.py", f"{top}/**/*.py")]
    itself = select_local(patterns, directory).items if uploads else ()
    return _files(itself, directory, layers, uploads=uploads)


def files_of_program(layers: Sequence[Layer], *, uploads: bool) -> Files:
    """The same for `-- PROGRAM`, of which nothing goes along by itself."""
    return _files((), os.getcwd(), layers, uploads=uploads)


def _files(
    itself: Sequence[Item], directory: str, layers: Sequence[Layer], *, uploads: bool, may_lack: bool = False
) -> Files:
    problems: list[str] = []
    warnings: list[str] = []
    named = in_order(layers, JobSettings.upload_files) if uploads else ()
    parsed = list(_parsed(named, _directory, parse_upload, problems))
    origins = dict(parsed)
    selection = select_local([pattern for pattern, _ in parsed], directory)
    for pattern in selection.unmatched:
        origin = origins[pattern]
        line = f"{origin}: {pattern.text!r} matches nothing in {pattern.sender or directory}"
        is_wrong = origin.layer in ("spec", "script block") and not may_lack
        (problems if is_wrong else warnings).append(line)
    named = in_order(layers, JobSettings.download_files)
    downloads = [pattern for pattern, _ in _parsed(named, _writable_directory, parse_download, problems)]
    places = {(item.root, item.name) for item in itself}
    items = (*itself, *(item for item in selection.items if (item.root, item.name) not in places))
    return Files(items, tuple(downloads), selection.excluded, (*selection.warnings, *warnings), tuple(problems))


def _directory(origin: Origin) -> str:
    """Where the local side of a pattern begins: a project file's own directory, "" for the spec's."""
    return os.path.dirname(origin.file) if origin.layer == "project file" else ""


def _writable_directory(origin: Origin) -> str:
    """The same for results: those of a project whose directory cannot be written go where the spec's go."""
    directory = _directory(origin)
    return directory if directory and os.access(directory, os.W_OK) else ""


def _parsed(
    entries: Strings,
    directory: Callable[[Origin], str],
    parse: Callable[[str, str], Pattern],
    problems: list[str],
) -> Iterator[tuple[Pattern, Origin]]:
    for entry in entries:
        try:
            yield parse(entry.value, directory(entry.origin)), entry.origin
        except ValueError as error:
            problems.append(f"{entry.origin}: {error}")
