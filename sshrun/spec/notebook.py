"""What is known of a notebook before it is executed on the host, by remote/notebook.py."""

from __future__ import annotations

import os

MODULE = "sshrun_notebook"  # what remote/notebook.py is called on the host
PACKAGES = ("nbclient", "ipykernel")


def is_notebook(path: str) -> bool:
    return path.endswith(".ipynb")


def program() -> bytes:
    """What is sent along to execute a notebook."""
    directory = os.path.join(os.path.dirname(os.path.dirname(__file__)), "remote")
    with open(os.path.join(directory, "notebook.py"), "rb") as file:
        return file.read()


def code_of(text: bytes) -> bytes:
    """The code cells, one below the other. Raises ValueError where there are none to be found.

    As Jupyter writes notebooks, with a line of code on a line of the file, a script block keeps its place in the file.
    """
    import json

    document = json.loads(text)
    cells = document.get("cells") if isinstance(document, dict) else None
    if not isinstance(cells, list):
        raise ValueError("it has no cells")
    sources = [cell.get("source", "") for cell in cells if isinstance(cell, dict) and cell.get("cell_type") == "code"]
    code = "\n".join("".join(source) for source in sources).encode("utf-8", "replace")
    block = b"# /// script"
    above = text.partition(block)[0].count(b"\n") - code.partition(block)[0].count(b"\n")
    return b"\n" * above + code if block in code else code
