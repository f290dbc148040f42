"""Draws docs/run.svg from a real run of the digits example: `make picture`."""

from __future__ import annotations

import io
import os
import pty
import shlex
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

HERE = Path(__file__).parent
COMMAND = "sshrun --sandbox train digits --epochs 5"


def main() -> None:
    program, *arguments = shlex.split(COMMAND)
    argv = [str(Path(sys.executable).parent / program), *arguments]
    ours, theirs = pty.openpty()
    environment = {**os.environ, "SSHRUN_USER_SETTINGS_PATH": os.devnull, "TERM": "xterm-256color"}
    child = subprocess.Popen(
        argv, cwd=HERE.parent / "examples" / "digits", env=environment, stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    output = b""
    while chunk := _read(ours):
        output += chunk
    if child.wait() != 0:
        sys.exit(f"the run failed:\n{output.decode()}")
    console = Console(record=True, width=78, file=io.StringIO(), force_terminal=True)
    console.print(Text("$ ", style="bold green") + Text(COMMAND, style="bold"))
    console.print(Text.from_ansi(output.decode().replace("\r\n", "\n").rstrip("\n")))
    console.print(Text("$ ", style="bold green") + Text("ls digits.zip metrics.json", style="bold"))
    console.print("digits.zip  metrics.json")
    console.save_svg(str(HERE / "run.svg"), title="sshrun")


def _read(descriptor: int) -> bytes:
    """A pseudo-terminal whose other end is closed reads as EIO on Linux."""
    try:
        return os.read(descriptor, 1 << 16)
    except OSError:
        return b""


main()
