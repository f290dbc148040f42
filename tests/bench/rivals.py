"""The same whole run by the library that people take for this: fabric, from the package index.

remote-exec and ansible read ~/.ssh/config of the account and no other, and nothing here touches that; `mltk ssh` stands
beside sshrun in tests/mltk.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from measure import Row, by_turns, call
from whole_run import Run

from sshrun import sandbox

TURNS = 5

FABRIC = """
import sys
from fabric import Config, Connection
host, config = sys.argv[1:]
with Connection(host, config=Config(runtime_ssh_path=config)) as there:
    there.run("mkdir -p rival")
    there.put("tiny.py", "rival/")
    there.run("cd rival && python3 tiny.py train")
    there.get("rival/tiny.zip", "tiny.zip")
"""


def rows() -> Iterator[Row]:
    with sandbox.start() as server, tempfile.TemporaryDirectory() as folder:
        run = Run(server, Path(folder))
        python = f"{folder}/venv/bin/python"
        call([sys.executable, "-m", "venv", f"{folder}/venv"])
        if subprocess.run([python, "-m", "pip", "install", "-q", "fabric"], check=False).returncode != 0:
            print("fabric cannot be installed here", file=sys.stderr)
            return

        def theirs() -> None:
            call([python, "-c", FABRIC, server.host, str(run.config)], run.folder)

        yield Row("whole run on loopback / fabric", *by_turns(run.ours, theirs, TURNS))
