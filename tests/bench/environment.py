"""What an unchanged virtual environment costs a run, beside one that asks for none."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from measure import SSHRUN, Row, call, settings

from sshrun import sandbox

# "pip" is there as soon as the environment is: a requirement that takes no package index.
WITH = {"requirements": ["pip"]}
WITHOUT = {"create_venv": False}
TURNS = 25


def rows() -> Iterator[Row]:
    with sandbox.start() as server, tempfile.TemporaryDirectory() as folder:
        settings(server.config)
        _write(Path(folder, "with_it.py"), WITH)
        _write(Path(folder, "without.py"), WITHOUT)
        figures: dict[str, list[float]] = {"with_it": [], "without": []}
        for turn in range(TURNS + 1):
            for model, seconds in figures.items():
                began = time.perf_counter()
                call([SSHRUN, "-q", "-h", f"{server.host}/work", "train", model], Path(folder))
                if turn:  # the first one makes it
                    seconds.append(time.perf_counter() - began)
    # The best of each: what is looked for is a small part of a run, and neighbours only ever add to it.
    with_it, without = min(figures["with_it"]), min(figures["without"])
    note = f"{with_it * 1000:.0f} ms, without one {without * 1000:.0f} ms"
    yield Row("an unchanged environment adds to a run", with_it - without, None, 0.05, note=note)


def _write(path: Path, spec: dict[str, object]) -> None:
    """A spec whose job does nothing."""
    lines = [f"model.ssh_{key} = {value!r}" for key, value in {**spec, "command": "true"}.items()]
    path.write_text("\n".join(["class Model: pass", "model = Model()", *lines, ""]))
