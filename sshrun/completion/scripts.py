"""The script of each shell: it asks what may come next on a line, and shows the answer."""

from __future__ import annotations

import os


def script_of(shell: str) -> str:
    """`shell` is one of SHELLS."""
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), f"sshrun.{shell}")
    with open(path, encoding="utf-8") as file:
        return file.read()
