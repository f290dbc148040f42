"""Executes a notebook on the host, in place: `python -m sshrun_notebook NOTEBOOK`.

It is sent with the job, as a module at the end of its PYTHONPATH, and imports nothing of sshrun. What NOTEBOOK was
before is NOTEBOOK.orig. NOTEBOOK itself is written whole after each cell, so that a failure or a stop leaves what was
executed until then, with the outputs of the cell that it ended in. What the cells print is printed, as text.

The exit status is 1 where a cell fails, the kernel dies or there is nothing to execute with; 130 after a SIGINT.
"""

from __future__ import annotations

import asyncio
import importlib.util
import os
import re
import shutil
import signal
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

NEEDED = ("nbclient", "ipykernel")
BEFORE = ".orig"
PARTIAL = ".sshrun-part"  # whatever begins with this is nobody's file
STARTUP_SECONDS = 600  # a first import from a network file system takes minutes

_COLOURS = re.compile(r"\x1b\[[0-9;]*m")  # hide from a search of the log what an error is


def main(path: str) -> int:
    """Returns the exit status."""
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        return _fail(
            f"{missing[0]} is not installed for {sys.executable}: pip install {' '.join(NEEDED)}, or create_venv: true"
        )
    import nbformat

    warnings.filterwarnings("ignore", module="nbformat")  # what it finds old-fashioned, it mends
    notebook = Path(path).resolve()
    try:
        document = nbformat.read(notebook, as_version=4)
    except OSError as error:
        return _fail(f"{path}: {error.strerror}")
    except Exception as error:  # noqa: BLE001 (NotJSONError, ValidationError, and what else versions of it raise)
        return _fail(f"{path} is no notebook: {str(error).splitlines()[0]}")
    try:
        _replace(Path(f"{notebook}{BEFORE}"), lambda new: shutil.copy2(notebook, new))
    except OSError as error:
        return _fail(f"{path} is not executed, since {path}{BEFORE} cannot be written: {error.strerror}")
    for cell in document.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None  # of an earlier execution

    def save() -> None:
        def write(new: Path) -> None:
            nbformat.write(document, new)
            shutil.copymode(notebook, new)

        _replace(notebook, write)

    try:
        with tempfile.TemporaryDirectory(prefix="sshrun-") as private:
            return _execute(document, str(notebook.parent), private, save)
    finally:
        save()


def _execute(document: Any, directory: str, private: str, save: Callable[[], None]) -> int:
    """Executes the cells in `directory`; the kernel is spoken to by sockets in `private`. Returns the exit status."""
    from jupyter_client import AsyncKernelManager
    from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, DeadKernelError
    from traitlets import default

    class OwnPython(KernelSpecManager):
        """One kernel: this Python, whatever a kernel of the person's own is called or made of."""

        def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
            argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
            return KernelSpec(argv=argv, display_name="Python 3", language="python", name=kernel_name)

    class Kernel(AsyncKernelManager):
        @default("kernel_spec_manager")
        def _own_python(self) -> KernelSpecManager:
            return OwnPython()

        # Over TCP, the default, everybody on the host could try to speak to it.
        @default("transport")
        def _by_sockets(self) -> str:
            return "ipc"

        @default("ip")
        def _beginning_of_their_names(self) -> str:
            return f"{private}/kernel"

        @default("connection_file")
        def _beside_them(self) -> str:
            return f"{private}/kernel.json"

    class Client(NotebookClient):
        at_line_start = True
        interrupted = False
        last_cell = 0

        def output(self, outs: Any, msg: Any, display_id: Any, cell_index: int) -> Any:
            text = _text(msg["msg_type"], msg["content"])
            if text:
                if msg["msg_type"] != "stream" and not self.at_line_start:
                    text = f"\n{text}"
                _print(text)
                self.at_line_start = text.endswith("\n")
            return super().output(outs, msg, display_id, cell_index)

        async def async_start_new_kernel(self, **kwargs: Any) -> None:
            """Before it, nbclient has made signals end the kernel, by which the cell's own end would be lost."""
            loop = asyncio.get_running_loop()
            loop.add_signal_handler(signal.SIGINT, self.interrupt)
            loop.add_signal_handler(signal.SIGTERM, terminate)
            await super().async_start_new_kernel(**kwargs)

        def interrupt(self) -> None:
            """As in a terminal: the cell gets it, and may end in its own way."""
            self.interrupted = True
            if self.last_cell:
                self.interruption = asyncio.ensure_future(self.km.interrupt_kernel())

        def begin(self, cell_index: int, **_: Any) -> None:
            if self.interrupted:  # the cell before took no notice of it
                raise Interrupted
            self.last_cell = cell_index + 1

    class Interrupted(Exception):
        pass

    def terminate() -> None:
        """As a program without a handler ends; the kernel gets the signal as well, or ends when it is alone."""
        save()
        shutil.rmtree(private, ignore_errors=True)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTERM)

    kernelspec = document.metadata.get("kernelspec", {})
    is_python = kernelspec.get("language", "python") == "python"
    client = Client(
        document,
        startup_timeout=STARTUP_SECONDS,
        resources={"metadata": {"path": directory}},
        on_cell_executed=lambda **_: save(),
        **({"kernel_manager_class": Kernel} if is_python else {}),
    )
    client.on_cell_start = client.begin
    count = len(document.cells)
    try:
        client.execute()
    except Interrupted:
        return 130
    except CellExecutionError:  # the output of the cell ends in it
        if client.interrupted:
            return 130
        return _fail(f"cell {client.last_cell} of {count} failed")
    except DeadKernelError:
        return _fail(f"the kernel died in cell {client.last_cell} of {count}")
    except (RuntimeError, OSError) as error:
        return _fail(f"the kernel does not start: {error}")
    return 0


def _text(kind: str, content: Any) -> str:
    """What a message of the kernel's is as text: https://jupyter-client.readthedocs.io/en/stable/messaging.html."""
    if kind == "stream":
        return str(content["text"])
    if kind == "error":
        return _COLOURS.sub("", "\n".join(content["traceback"])) + "\n"
    text = content.get("data", {}).get("text/plain", "")
    return f"{text}\n" if text else ""


def _replace(path: Path, write: Callable[[Path], object]) -> None:
    """Writes a file whole: nobody ever sees half of it."""
    new = path.with_name(f"{PARTIAL}-{os.getpid()}-{path.name}")
    try:
        write(new)
        new.replace(path)
    finally:
        if new.exists():
            new.unlink()


def _print(text: str) -> None:
    sys.stdout.buffer.write(text.encode("utf-8", "backslashreplace"))
    sys.stdout.buffer.flush()


def _fail(message: str) -> int:
    _print(f"sshrun: {message}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
