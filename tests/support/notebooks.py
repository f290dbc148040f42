"""Notebooks as Jupyter writes them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def write_notebook(path: Path, *cells: str) -> bytes:
    """A notebook with these cells of code; returns its bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    document = {
        "cells": [
            {
                "cell_type": "code",
                "execution_count": None,
                "metadata": {},
                "outputs": [],
                "source": cell.splitlines(keepends=True),
            }
            for cell in cells
        ],
        "metadata": {},
        "nbformat": 4,
        "nbformat_minor": 4,
    }
    path.write_text(json.dumps(document, indent=1) + "\n")
    return path.read_bytes()


def outputs(path: Path) -> list[list[dict[str, Any]]]:
    """What each cell has put out."""
    return [cell["outputs"] for cell in json.loads(path.read_bytes())["cells"]]


def texts(path: Path) -> list[str]:
    """The same, as text."""
    found = []
    for cell in outputs(path):
        parts = [output.get("text") or output.get("data", {}).get("text/plain") or output["ename"] for output in cell]
        found.append("".join("".join(part) for part in parts))
    return found
