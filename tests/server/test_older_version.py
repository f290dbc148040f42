"""What an earlier version left, on the client and on the host, is still read.

states/version_0_1_0.tar.gz holds the records of a client and the state of a host as that version wrote them, with other
names of users, machines and directories: of a job that is retrieved, and of one that has ended and is not.
"""

from __future__ import annotations

import json
import os
import re
import tarfile
from pathlib import Path

import pytest

from sshrun.sandbox import Sandbox
from support.installed import Sshrun
from support.specs import HostSide, write_spec

STATE = Path(__file__).parent / "states" / "version_0_1_0.tar.gz"
RETRIEVED, OPEN = "20261125-173727-29aed598", "20261125-173729-0580da07"

STATUS = f"""\
host     sandbox
job      {OPEN}
command  train my_model --epochs 2
from     joe@laptop:PROJECT/my_model.py
state    exit 3, not retrieved
age      AGE
  | training
"""


@pytest.fixture
def host(sandbox: Sandbox, home: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> HostSide:
    host = HostSide(sandbox)
    kept = tmp_path_factory.mktemp("kept")
    with tarfile.open(STATE) as archive:
        archive.extractall(kept, filter="fully_trusted")  # named pipes among it
    for file in kept.rglob("*"):
        if file.is_file() and file.name in ("facts", "folder", "directories"):
            text = file.read_text().replace("/home/joe/project", os.path.realpath(tmp_path))
            file.write_text(text.replace("/home/joe\n", f"{sandbox.home}\n"))
    (home / ".sshrun").mkdir(exist_ok=True)
    (kept / "records").rename(home / ".sshrun" / "jobs")
    host.jobs.parent.parent.mkdir(parents=True, exist_ok=True)
    (kept / "state").rename(host.jobs.parent)
    (sandbox.home / "metrics.json").write_text("{}\n")
    (sandbox.home / "my_model.zip").write_text("archive\n")
    write_spec(tmp_path, "true", download_files=["metrics.json"])
    return host


def test_its_jobs_are_listed_and_described(sshrun: Sshrun, host: HostSide, tmp_path: Path) -> None:
    listed = [json.loads(line) for line in sshrun("--json", "jobs").stdout.splitlines()]
    assert [(job["id"], job["state"], job["code"], job["where"], job["command"]) for job in listed] == [
        (OPEN, "finished", 3, "both", "train my_model --epochs 2"),
        (RETRIEVED, "finished", 3, "both", "train my_model"),
    ]
    shown = sshrun("status").stdout.decode()
    assert re.sub(r"(?m)^age .*", "age      AGE", shown) == STATUS.replace("PROJECT", os.path.realpath(tmp_path))
    assert sshrun("logs", RETRIEVED).stdout == b"training\n"


@pytest.mark.parametrize("words", [("--resume", "train", "my_model"), ("--resume",), ("retrieve",)], ids=" ".join)
def test_its_job_is_finished(sshrun: Sshrun, host: HostSide, tmp_path: Path, words: tuple[str, ...]) -> None:
    finished = sshrun(*words)
    assert (finished.status, finished.stdout) == (3, b"" if words[0] == "retrieve" else b"training\n"), finished.stderr
    assert (tmp_path / "metrics.json").read_text() == "{}\n"
    assert (tmp_path / "my_model.zip").read_text() == "archive\n"
    assert (host.jobs / OPEN / "retrieved").exists()
    again = sshrun(*words)
    assert again.status == 3 and "retrieved already" in again.stderr
