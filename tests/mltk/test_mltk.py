"""A real model, trained by the mltk of the package index on a real server; and the same by `mltk ssh` itself."""

from __future__ import annotations

import json
import os
import pwd
import re
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from installed import Sshrun
from sshrun import sandbox as sandboxes
from sshrun.sandbox import Sandbox

pytestmark = pytest.mark.mltk

EXAMPLE = Path(__file__).parents[2] / "examples" / "mltk" / "waves.py"
INSTALLATION = 1500.0  # seconds; TensorFlow alone is 560 MB
TRAINING = 900.0  # seconds, on a slow machine with neighbours; half a minute on a fast one

CACHES = Path(pwd.getpwuid(os.getuid()).pw_dir) / ".cache"


class Host(NamedTuple):
    """A server, and where it keeps what the example's jobs make."""

    sandbox: Sandbox
    work: Path

    @property
    def python(self) -> Path:
        """The environment that sshrun has made, mltk in it."""
        return self.work / ".venv" / "bin" / "python"

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


@pytest.fixture(scope="session")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """A server on which a command of mltk's that needs no training has run: the environment is there."""
    if not (3, 10) <= sys.version_info[:2] <= (3, 12):
        pytest.fail(f"mltk has no wheel for Python {sys.version_info[0]}.{sys.version_info[1]}: use 3.10 to 3.12")
    scratch = tmp_path_factory.mktemp("host")
    environment = {
        "PIP_CACHE_DIR": str(CACHES / "pip"),
        "UV_CACHE_DIR": str(CACHES / "uv"),
        "MLTK_TEMP_DIR": str(scratch / "temporary"),
    }
    # A terminal is what `mltk ssh` insists on.
    with (
        sandboxes.start(extra=["PermitTTY yes"], environment=environment) as server,
        pytest.MonkeyPatch.context() as own,
    ):
        # The "python3" of this machine may be one that mltk has no package for.
        python = Path(sys.executable).resolve().parent
        (server.home / ".bash_profile").write_text(f"PATH={python}:$PATH\n")
        folder = desk(scratch, server)
        own.setenv("HOME", str(scratch / "home"))
        sshrun = Sshrun(folder, scratch, "--host", server.host)
        try:
            began = time.monotonic()
            finished = sshrun("summarize", "waves", "--build", seconds=INSTALLATION)
            print(f"\nenvironment with mltk made in {time.monotonic() - began:.0f} s")
            assert finished.status == 0, finished.stdout.decode(errors="replace")[-4000:] + finished.stderr
        finally:
            sshrun.close()
        yield Host(server, server.home / "sshrun-waves")


@pytest.fixture
def models(host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the example; HOME, empty but for settings, is beside it."""
    folder = desk(tmp_path, host.sandbox)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return folder


@pytest.fixture
def sshrun(host: Host, models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshrun]:
    program = Sshrun(models, tmp_path_factory.mktemp("output"), "--host", host.sandbox.host)
    yield program
    program.close()


def files(folder: Path) -> set[str]:
    """Names in a folder; the best weights are named after how good they are."""
    names = (str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    return {re.sub(r"weights/weights-[\d.-]+\.h5$", "weights/BEST", name) for name in names}


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
    assert {"waves.h5", "waves.tflite", "train/log.txt", "train/weights/BEST", "eval/h5/summary.txt"} <= files(logs)
    assert "Command-line: train waves" in (logs / "train.log").read_text()
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
    host: Host, sshrun: Sshrun, models: Path, tmp_path: Path
) -> None:
    """In test mode: what is compared is not the training."""
    # Where a spec has its SshMixin and does not say so, `mltk ssh` makes no virtual environment and uses none.
    source = EXAMPLE.read_text() + "waves.ssh_create_venv = True\n"
    (models / "waves.py").write_text(source)
    times = host.time_commands()
    began = time.monotonic()
    finished = sshrun("train", "waves-test", seconds=TRAINING)
    ours = time.monotonic() - began - spent(times)
    assert finished.status == 0, finished.stderr
    shutil.rmtree(host.sandbox.home / ".mltk" / "models" / "waves-test")
    (host.work / "waves-test.mltk.zip").unlink()

    subprocess.run([host.python, "-m", "pip", "install", "-q", "paramiko", "cryptography"], check=True)
    theirs_at = tmp_path / "theirs"
    theirs_at.mkdir()
    their_models = desk(theirs_at, host.sandbox)
    (their_models / "waves.py").write_text(source)
    server = f"{pwd.getpwuid(os.geteuid()).pw_name}@127.0.0.1:{host.sandbox.port}"
    argv = ["ssh", "--host", server, "-i", str(host.sandbox.folder / "user_key"), "--force", "train", "waves-test"]
    for _ in range(5):  # it may miss what a command printed just before its end, and gives up then
        times = host.time_commands()
        began = time.monotonic()
        done = subprocess.run(
            [host.python.with_name("mltk.itself"), *argv],
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
    # What the command printed it keeps beside the logs; here that is `sshrun logs`.
    its_log = {"mltk_ssh_train_waves-test.log"}
    for below in ("models", "home/.mltk/models/waves-test"):
        assert files(tmp_path / below) == files(theirs_at / below) - its_log
    assert ours <= 2
    assert theirs > ours


def spent(times: Path) -> float:
    """Seconds that the command itself took."""
    begin, end = (float(line) for line in times.read_text().split())
    return end - begin
