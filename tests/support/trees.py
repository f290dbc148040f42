"""Trees of files, and which of them a pattern means: Python's glob is the judge."""

from __future__ import annotations

import glob
import os
from pathlib import Path


def contents(folder: Path) -> dict[str, bytes]:
    return {
        os.path.relpath(os.path.join(top, name), folder): Path(top, name).read_bytes()
        for top, _, names in os.walk(folder)
        for name in names
    }


def globbed(folder: Path, pattern: str) -> set[str]:
    """The files that glob finds; and where there is no wildcard, all files of the folder that it finds.

    Asked by the name as glob gives it: before Python 3.11.4, `a/**` gives `a/` for a file too, which is none.
    """
    files = set()
    for found in glob.glob(pattern, root_dir=folder, recursive=True):
        if os.path.isfile(os.path.join(folder, found)):
            files.add(found)
        elif not glob.has_magic(pattern):
            walk = os.walk(os.path.join(folder, found))
            files |= {os.path.relpath(os.path.join(top, name), folder) for top, _, names in walk for name in names}
    return {os.path.normpath(name) for name in files if os.path.isfile(os.path.join(folder, name))}
