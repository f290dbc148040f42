"""A real model, trained by the mltk of the package index on a real server; and the same by `mltk ssh` itself."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import subprocess
import time
import zipfile
from pathlib import Path

import pytest

from support.installed import Sshrun
from support.mltk_host import EXAMPLE, TRAINING, MltkHost, desk, files

pytestmark = pytest.mark.mltk


def test_model_is_trained_and_comes_home_with_its_logs(sshrun: Sshrun, models: Path, tmp_path: Path) -> None:
    began = time.monotonic()
    finished = sshrun("train", "waves", seconds=TRAINING)
    print(f"\ntrained in {time.monotonic() - began:.0f} s")
    assert finished.status == 0, finished.stderr
    with zipfile.ZipFile(models / "waves.mltk.zip") as archive:
        assert archive.testzip() is None
        assert archive.read("waves.tflite")[4:8] == b"TFL3"  # a FlatBuffers file identifier
        assert EXAMPLE.read_bytes() in archive.read("waves.py")  # mltk notes its version in it
    accuracy = re.findall(rb"Overall accuracy: ([\d.]+)%", finished.stdout)
    assert len(accuracy) == 2 and all(float(figure) > 90 for figure in accuracy)
    logs = tmp_path / "home" / ".mltk" / "models" / "waves"
    assert {
        "waves.h5",
        "waves.tflite",
        "mltk_ssh_train_waves.log",
        "train/log.txt",
        "train/weights/BEST",
        "eval/h5/summary.txt",
    } <= files(logs)
    assert "Command-line: train waves" in (logs / "train.log").read_text()
    assert (logs / "mltk_ssh_train_waves.log").read_bytes() == finished.stdout
    (record,) = (tmp_path / "home" / ".sshrun" / "jobs").iterdir()
    assert (record / "log").read_bytes() == finished.stdout


def test_error_in_a_spec_gives_the_message_and_the_code_of_mltk(sshrun: Sshrun, models: Path, tmp_path: Path) -> None:
    source = EXAMPLE.read_text().replace('"sine": lambda', "sine: lambda")
    (models / "waves.py").write_text(source)
    finished = sshrun("--json", "train", "waves", seconds=TRAINING)
    log = b"".join(path.read_bytes() for path in (tmp_path / "home" / ".sshrun" / "jobs").glob("*/log"))
    assert b"name 'sine' is not defined" in log
    assert finished.status == 255
    assert "Traceback" in (tmp_path / "home" / ".mltk" / "models" / "waves" / "train.log").read_text()
    assert not (models / "waves.mltk.zip").exists()


def test_beside_mltk_ssh_the_same_comes_home_and_sooner(
    mltk_host: MltkHost, sshrun: Sshrun, models: Path, tmp_path: Path
) -> None:
    """In test mode: what is compared is not the training."""
    # Where a spec has its SshMixin and does not say so, `mltk ssh` makes no virtual environment and uses none.
    source = EXAMPLE.read_text() + "waves.ssh_create_venv = True\n"
    (models / "waves.py").write_text(source)
    times = mltk_host.time_commands()
    began = time.monotonic()
    finished = sshrun("train", "waves-test", seconds=TRAINING)
    ours = time.monotonic() - began - spent(times)
    assert finished.status == 0, finished.stderr
    shutil.rmtree(mltk_host.sandbox.home / ".mltk" / "models" / "waves-test")
    (mltk_host.work / "waves-test.mltk.zip").unlink()

    subprocess.run([mltk_host.python, "-m", "pip", "install", "-q", "paramiko", "cryptography"], check=True)
    theirs_at = tmp_path / "theirs"
    theirs_at.mkdir()
    their_models = desk(theirs_at, mltk_host.sandbox)
    (their_models / "waves.py").write_text(source)
    server = f"{pwd.getpwuid(os.geteuid()).pw_name}@127.0.0.1:{mltk_host.sandbox.port}"
    argv = [
        "ssh",
        "--host",
        server,
        "-i",
        str(mltk_host.sandbox.directory / "user_key"),
        "--force",
        "train",
        "waves-test",
    ]
    for _ in range(5):  # it may miss what a command printed just before its end, and gives up then
        times = mltk_host.time_commands()
        began = time.monotonic()
        done = subprocess.run(
            [mltk_host.python.with_name("mltk.itself"), *argv],
            cwd=their_models,
            env={**os.environ, "HOME": str(theirs_at / "home")},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=TRAINING,
            check=False,
        )
        theirs = time.monotonic() - began
        if (their_models / "waves-test.mltk.zip").exists():
            break
    else:
        pytest.fail(done.stdout.decode(errors="replace"))
    theirs -= spent(times)

    print(f"\noverhead: sshrun {ours:.2f} s, mltk ssh {theirs:.1f} s")
    for below in ("models", "home/.mltk/models/waves-test"):
        assert files(tmp_path / below) == files(theirs_at / below)
    assert ours <= 2
    assert theirs > ours


def spent(times: Path) -> float:
    """Seconds that the command itself took."""
    begin, end = (float(line) for line in times.read_text().split())
    return end - begin
