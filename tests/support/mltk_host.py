"""A server with the mltk of the package index, and what tests that use it share."""

from __future__ import annotations

import json
import os
import pwd
import re
import shutil
from pathlib import Path
from typing import NamedTuple

from sshrun.sandbox import Sandbox

EXAMPLE = Path(__file__).parents[2] / "examples" / "mltk" / "waves.py"
INSTALLATION = 1500.0  # seconds; TensorFlow alone is 560 MB
TRAINING = 900.0  # seconds, on a slow machine with neighbours; half a minute on a fast one

CACHES = Path(pwd.getpwuid(os.getuid()).pw_dir) / ".cache"


class MltkHost(NamedTuple):
    """A server, and where it keeps what the example's jobs make."""

    sandbox: Sandbox
    work: Path

    @property
    def python(self) -> Path:
        """The environment that sshrun has made, mltk in it."""
        return self.work / ".venv" / "bin" / "python"

    @property
    def package(self) -> Path:
        """The mltk that is installed there."""
        (found,) = (self.work / ".venv" / "lib").glob("python3*/site-packages/mltk")
        return found

    def time_commands(self) -> Path:
        """From now on "mltk" notes in the file returned when it began and when it ended."""
        program = self.python.with_name("mltk")
        times = self.work / "times"
        if not times.exists():
            program.rename(program.with_name("mltk.itself"))
            program.write_text(
                f'#!/bin/sh\ndate +%s.%N >>"{times}"\n"$0.itself" "$@"\ncode=$?\ndate +%s.%N >>"{times}"\nexit $code\n'
            )
            program.chmod(0o755)
        times.write_text("")
        return times


def desk(folder: Path, host: Sandbox) -> Path:
    """A home of a person with the example before her; returns the folder with the example."""
    settings = folder / "home" / ".sshrun" / "user_settings.yaml"
    settings.parent.mkdir(mode=0o700, parents=True)
    settings.write_text(f"ssh:\n  config_path: {json.dumps(str(host.config))}\n")
    (folder / "models").mkdir()
    shutil.copy(EXAMPLE, folder / "models")
    return folder / "models"


def files(folder: Path) -> set[str]:
    """Names in a folder; the best weights are named after how good they are."""
    names = (str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    return {re.sub(r"weights/weights-[\d.-]+\.h5$", "weights/BEST", name) for name in names}
