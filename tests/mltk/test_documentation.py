"""The examples of MLTK's own documentation, typed as they stand there, with `sshrun` for `mltk ssh`.

docs/guides/model_training_via_ssh.md of MLTK shows five, all with one model, which is trained in two phases. sshrun has
an environment of its own; the MLTK here is in the one that is activated, and has no TensorFlow.
"""

from __future__ import annotations

import json
import os
import pwd
import resource
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.installed import SSHRUN, Sshrun
from support.mltk_host import TRAINING, MltkHost, files
from support.two_phases import shorten

pytestmark = pytest.mark.mltk

ON_OFF, PACMAN = "keyword_spotting_on_off_v2", "keyword_spotting_pacman_v2"


@pytest.fixture(scope="module")
def mltk(mltk_host: MltkHost, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with MLTK's specifications, and nothing that they import."""
    environment = tmp_path_factory.mktemp("activated")
    (environment / "bin").mkdir()
    (environment / "bin" / "python").symlink_to(sys.executable)
    site = environment / "lib" / "python3.10" / "site-packages"
    leave_out = shutil.ignore_patterns("__pycache__", "*.so")
    shutil.copytree(mltk_host.package, site / "mltk", ignore=leave_out)
    (metadata,) = mltk_host.package.parent.glob("silabs_mltk-*.dist-info")
    (site / metadata.name).mkdir()
    return environment


def mltk_in(environment: Path) -> Path:
    return environment / "lib" / "python3.10" / "site-packages" / "mltk"


def models_in(environment: Path) -> Path:
    return mltk_in(environment) / "models"


@pytest.fixture
def models(
    mltk_host: MltkHost, mltk: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """The directory with the documentation's models, whose training takes seconds; MLTK's own settings are there."""
    environment = tmp_path_factory.mktemp("person") / "venv"
    shutil.copytree(mltk, environment, symlinks=True)
    directory = models_in(environment) / "siliconlabs"
    for name in (ON_OFF, PACMAN):
        shorten(directory / f"{name}.py")
    home = environment.parent / "home"
    (home / ".mltk").mkdir(parents=True)
    config = home / "ssh_config"
    config.write_text(mltk_host.sandbox.config.read_text().replace(f"Host {mltk_host.sandbox.host}", "Host vast.ai"))
    (home / ".mltk" / "user_settings.yaml").write_text(
        f"ssh:\n  config_path: {json.dumps(str(config))}\n  remote_dir: ~/workspace\n"
        "  connection:\n    hostname: vast.ai\n  environment:\n  - CUDA_VISIBLE_DEVICES=-1\n"
    )
    workspace = mltk_host.sandbox.home / "workspace"
    if not workspace.exists():
        workspace.symlink_to(mltk_host.work)  # the environment there is the one that is made already
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("VIRTUAL_ENV", str(environment))
    return directory


@pytest.fixture
def sshrun(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshrun]:
    # MLTK finds its models from anywhere.
    program = Sshrun(tmp_path_factory.mktemp("anywhere"), tmp_path_factory.mktemp("output"))
    yield program
    program.close()


def test_five_examples_of_the_documentation(
    mltk_host: MltkHost, sshrun: Sshrun, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive, teacher = models / f"{ON_OFF}.mltk.zip", models / f"{ON_OFF}.teacher.h5"
    logs = Path(os.environ["HOME"]) / ".mltk" / "models" / ON_OFF

    # The first phase makes what the second one uploads.
    monkeypatch.setenv("TRAIN_TEACHER", "1")
    first = sshrun("train", ON_OFF, seconds=TRAINING)  # Example 1
    assert first.status == 0, first.stderr
    assert f"'{ON_OFF}.teacher.h5' matches nothing in {models}" in first.stderr
    assert teacher.read_bytes()[:8] == b"\x89HDF\r\n\x1a\n"
    assert teacher.read_bytes() == (logs / f"{ON_OFF}.h5").read_bytes()
    assert {f"mltk_ssh_train_{ON_OFF}.log", "train.log", "train/log.txt"} <= files(logs)

    monkeypatch.setenv("TRAIN_TEACHER", "0")
    host_option = f"{pwd.getpwuid(os.geteuid()).pw_name}@127.0.0.1/workspace"
    port, key = str(mltk_host.sandbox.port), str(mltk_host.sandbox.directory / "user_key")
    with open(Path(os.environ["HOME"]) / "ssh_config", "a") as config:
        config.write(f"\nHost 127.0.0.1\n  UserKnownHostsFile {logs}.known\n  StrictHostKeyChecking accept-new\n")
    words = ["-h", host_option, "-p", port, "-i", key, "train", ON_OFF]  # Example 2
    second = sshrun(*words, seconds=TRAINING)
    assert second.status == 0, second.stderr
    with zipfile.ZipFile(archive) as made:
        assert {f"{ON_OFF}.tflite", f"{ON_OFF}.h5", f"{ON_OFF}.teacher.h5", f"{ON_OFF}.py"} <= set(made.namelist())

    archive.unlink()
    third = sshrun("-h", "vast.ai", "train", ON_OFF, "--no-wait")  # Example 3
    assert third.status == 0, third.stderr
    hint = sshrun("-h", "vast.ai", "train", ON_OFF, "--resume", "--no-wait")
    assert (hint.status, "is " in hint.stderr) == (75, True)
    fourth = sshrun("-h", "vast.ai", "train", ON_OFF, "--resume", seconds=TRAINING)  # Example 4
    assert fourth.status == 0, fourth.stderr
    assert archive.exists()

    assert sshrun("train", ON_OFF, "--no-wait").status == 0
    refused = sshrun("train", ON_OFF)
    assert refused.status == 75
    fifth = sshrun("train", ON_OFF, "--force", seconds=TRAINING)  # Example 5
    assert fifth.status == 0, fifth.stderr
    assert "discarded" in fifth.stderr


def test_other_commands_have_what_training_left(sshrun: Sshrun, models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both phases of the other model, and then what one does with the result."""
    for phase in ("1", "0"):
        monkeypatch.setenv("TRAIN_TEACHER", phase)
        finished = sshrun("train", PACMAN, seconds=TRAINING)
        assert finished.status == 0, finished.stderr
    archive = models / f"{PACMAN}.mltk.zip"
    with zipfile.ZipFile(archive) as made:
        (sshrun.folder / "model.tflite").write_bytes(made.read(f"{PACMAN}.tflite"))
    before = archive.read_bytes()
    evaluated = sshrun("evaluate", PACMAN, "--tflite", "--count", "4", seconds=TRAINING)
    assert evaluated.status == 0, evaluated.stderr
    assert archive.read_bytes() != before
    with zipfile.ZipFile(archive) as made:
        assert made.read("eval/tflite/summary.txt").startswith(b"Name: ")
    profiled = sshrun("profile", str(archive), "--output", "report", seconds=TRAINING)
    assert profiled.status == 0, profiled.stderr
    assert any(path.stat().st_size for path in (sshrun.folder / "report").iterdir())
    (sshrun.folder / "more.json").write_text('{"written_by": "sshrun"}')
    updated = sshrun("update_params", "model.tflite", "--params", "more.json", seconds=TRAINING)
    assert updated.status == 0, updated.stderr
    assert b"written_by" in (sshrun.folder / "model.tflite").read_bytes()


def specifications(models: Path) -> list[Path]:
    """What MLTK itself lists: mltk/core/model/model_utils.py, list_mltk_models."""
    return [path for path in sorted(models.rglob("*.py")) if " @mltk_model" in path.read_text()]


# A measure of the machine: Python's start, modules of its own, and a syntax tree.
READING = "import ast, argparse, json, pathlib, tomllib; ast.parse(open(argparse.__file__).read())"


def processor_seconds(argv: list[str], directory: Path) -> float:
    """The least that a program takes of the processor in a few turns, whatever else the machine is doing."""
    seconds: list[float] = []
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(argv, cwd=directory, capture_output=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds.append(after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)
    return min(seconds)


def test_no_specification_needs_anything_to_be_read(
    mltk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each dry run is quick, starts nothing but a Python of ours, opens no connection and changes no file."""
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("VIRTUAL_ENV", str(mltk))
    monkeypatch.setenv("TRAIN_TEACHER", "1")
    found = specifications(models_in(mltk))
    assert len(found) >= 25
    # What this Python takes for a large syntax tree, in the same run: machines differ, the ratio does not.
    scale = processor_seconds([sys.executable, "-I", "-c", READING], tmp_path)
    for path in found:
        argv = [SSHRUN, "-h", "gpu1", "--dry-run", "train", path.stem]
        seconds = processor_seconds(argv, tmp_path)
        assert seconds <= 4 * scale, f"{path.name}: {seconds:.2f} s, {seconds / scale:.1f} times {scale:.2f} s"
        trace = tmp_path / "trace"
        calls = "trace=execve,socket,connect,openat,open,creat,mkdir,mkdirat,rename,renameat,renameat2,unlink,unlinkat"
        subprocess.run(["strace", "-f", "-o", trace, "-e", calls, *argv], cwd=tmp_path, capture_output=True, check=True)
        # What ssh is asked about its own configuration goes into a private directory of sshrun's.
        others = ("ENOENT", "/dev/", f"/sshrun-{os.getuid()}", "/.sshrun")
        lines = [line for line in trace.read_text().splitlines() if not any(word in line for word in others)]
        programs = {Path(line.split('"')[1]).name for line in lines if "execve(" in line and "= 0" in line}
        assert programs <= {"sshrun", "ssh", Path(sys.executable).name, "python3", Path(sys.executable).resolve().name}
        assert not [line for line in lines if "AF_INET" in line]
        assert not [line for line in lines if "O_WRONLY" in line or "O_RDWR" in line or "O_CREAT" in line]
        assert not [
            line for line in lines if any(f" {call}" in line for call in ("mkdir", "rename", "unlink", "creat"))
        ]


IMPORT = """\
import json, sys, types
import mltk.utils.python
mltk.utils.python.install_pip_package = lambda *_, **__: None  # they do not change what is asked for here
for name in ("audiomentations", "noisereduce", "pyloudnorm"):
    sys.modules[name] = types.ModuleType(name)
from mltk.core import load_mltk_model
model = load_mltk_model(sys.argv[1])
print(json.dumps([model.ssh_environment, model.ssh_upload_files, model.ssh_download_files]))
"""


@pytest.mark.parametrize("name", [ON_OFF, PACMAN])
@pytest.mark.parametrize("phase", ["1", "0"])
def test_computed_settings_are_those_of_a_real_import(
    mltk_host: MltkHost, mltk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest,
    name: str, phase: str,
) -> None:  # fmt: skip
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("VIRTUAL_ENV", str(mltk))
    monkeypatch.setenv("TRAIN_TEACHER", phase)
    spec = models_in(mltk) / "siliconlabs" / f"{name}.py"
    teachers = [
        path.with_name(f"{name}.teacher.h5") for path in (spec, mltk_host.package / spec.relative_to(mltk_in(mltk)))
    ]
    for teacher in teachers:
        teacher.touch()
        request.addfinalizer(teacher.unlink)  # the environments are those of other tests, too
    argv = [SSHRUN, "-h", "gpu1", "--json", "--dry-run", "train", name]
    told = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    ours = json.loads(told.splitlines()[-1])
    values = {key: [s["value"] for s in ours["settings"] if s["key"] == key] for key in ("upload_files", "environment")}
    done = subprocess.run(
        [mltk_host.python, "-c", IMPORT, name],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=TRAINING,
    )
    assert done.returncode == 0, done.stderr
    environment, uploads, downloads = json.loads(done.stdout.splitlines()[-1])
    assert environment == {"TRAIN_TEACHER": phase}
    assert values["environment"] == ["TRAIN_TEACHER=***"]
    assert values["upload_files"] == uploads
    assert ours["download"][1:] == (downloads or [])
