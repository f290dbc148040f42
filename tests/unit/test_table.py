"""What `jobs` and `status` look like, on a terminal and elsewhere."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from sshrun.table import Sheet, Table
from support.installed import Sshrun
from support.terminals import Terminal

RECORDS = {
    "20260105-101500-a1b2c3d4": ({"command": "train", "model": "digits", "args": ["--epochs", "30"]}, "0"),
    "20260106-090000-b1b2c3d4": ({"command": "run", "model": "fit", "runner": "run", "spec": "/p/fit.py"}, "137"),
    "20260107-120000-c1b2c3d4": ({"runner": "program", "argv": ["nvidia-smi", "-l"]}, None),
}

PLAIN = """\
20260107-120000-c1b2c3d4  gpu1  not retrieved  local  -  nvidia-smi -l
20260106-090000-b1b2c3d4  gpu1  exit 137 (SIGKILL, or the program's own code)  local  -  run fit.py
20260105-101500-a1b2c3d4  gpu1  exit 0  local  -  train digits --epochs 30
"""

DRAWN = """\
JOB                       HOST  STATE           WHERE  STARTED  COMMAND
20260107-120000-c1b2c3d4  gpu1  not retrieved   local           nvidia-smi -l
20260106-090000-b1b2c3d4  gpu1  exit 137        local           run fit.py
                                (SIGKILL, or
                                the program's
                                own code)
20260105-101500-a1b2c3d4  gpu1  exit 0          local           train digits
                                                                --epochs 30
"""


@pytest.fixture
def recorded(home: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    for job_id, (manifest, code) in RECORDS.items():
        directory = home / ".sshrun" / "jobs" / job_id
        directory.mkdir(parents=True)
        (directory / "manifest").write_text(json.dumps({"host": "gpu1", **manifest}))
        if code is not None:
            (directory / "retrieved").write_text(code)
    return tmp_path


def test_jobs_without_a_terminal_is_a_line_for_each(recorded: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    sshrun = Sshrun(recorded, tmp_path_factory.mktemp("output"))
    finished = sshrun("jobs")
    assert (finished.status, finished.stdout.decode()) == (0, PLAIN)
    sshrun.close()


def test_jobs_on_a_terminal_is_a_table(recorded: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    terminal = Terminal(recorded, "jobs", columns=80)
    terminal.wait_for(b"epochs 30")
    assert terminal.status() == 0
    text = re.sub(r"\x1b\[[0-9;]*m", "", terminal.shown.decode()).replace("\r\n", "\n")
    assert [line.rstrip() for line in text[text.index("JOB") :].splitlines()] == DRAWN.splitlines()


ROWS = [("host", "gpu1"), ("job", "20260105-101500-a1b2c3d4"), ("state", "running"), ("processes", "3")]


def test_a_sheet_is_the_same_with_and_without_a_terminal_but_for_its_style() -> None:
    sheet = Sheet(ROWS)
    assert list(sheet.plain()) == [
        "host     gpu1", "job      20260105-101500-a1b2c3d4", "state    running", "processes 3",
    ]  # fmt: skip
    drawn = re.sub(r"\x1b\[[0-9;]*m", "", sheet.drawn(80))
    assert drawn == ("host       gpu1\njob        20260105-101500-a1b2c3d4\nstate      running\nprocesses  3\n")


def test_what_a_host_sends_is_neither_markup_nor_a_way_to_drive_the_terminal() -> None:
    table = Table(("A", "B"), [("[/loss] :smile:", "\x1b]0;title\x07")])
    for text in ("\n".join(table.plain()), table.drawn(80)):
        assert "[/loss] :smile:" in text
        assert "\\x1b]0;title\\x07" in text and "\x1b]" not in text
