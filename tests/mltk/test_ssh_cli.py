"""MLTK's own tests of `mltk ssh` (mltk/cli/tests/test_ssh_cli.py of 0.20.0), typed with sshrun.

Each has the settings of its original. What differs: the model is the example of this project, whose data needs no
download; and where a virtual environment is made or filled by hand, the one that is there is used.
"""

from __future__ import annotations

import json
import os
import pwd
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from support.installed import Finished, Sshrun
from support.mltk_host import EXAMPLE, TRAINING, MltkHost, files

pytestmark = pytest.mark.mltk

ACCOUNT = pwd.getpwuid(os.geteuid()).pw_name
LOGS = {"waves.h5.summary.txt", "waves.tflite.summary.txt", "train/training-history.json", "train/training-history.png"}


class Desk(NamedTuple):
    """A person's directories, and what is to be found where once a training is over."""

    host: MltkHost
    sshrun: Sshrun
    folder: Path

    @property
    def models(self) -> Path:
        return self.folder / "models"

    @property
    def results(self) -> Path:
        return self.folder / "results"

    @property
    def login(self) -> list[str]:
        """As the first of the tests has made it: with a key of one's own."""
        where = f"{ACCOUNT}@127.0.0.1/{self.host.work.name}"
        return ["-h", where, "-p", str(self.host.sandbox.port), "-i", str(self.results / "id_utest")]

    def settings(self, **settings: Any) -> None:
        path = self.folder / "user_settings.yaml"
        path.write_text(json.dumps({"ssh": settings}))  # JSON is YAML, too

    def commands(self, number: str = "") -> dict[str, Any]:
        variable = f"TEST{number}"
        return {
            "startup_cmds": [f"echo ${variable} > ./test_startup_cmd{number}.txt"],
            "download_files": [f"./test_startup_cmd{number}.txt|{self.results}/startup{number}.txt"],
            "shutdown_cmds": [f'echo "shutting down ..." > {self.results}/shutdown{number}.txt'],
        }

    @property
    def uploads(self) -> list[str]:
        return [f"{__file__}|{self.results}/uploaded.py", "other_model.py"]

    def verify(self, finished: Finished, model: str, *, numbers: tuple[str, ...] = ("",)) -> None:
        assert finished.status == 0, finished.stderr
        for number in numbers:
            assert (self.results / f"startup{number}.txt").read_text() == f"This is a test{number}\n"
            assert (self.results / f"shutdown{number}.txt").read_text() == "shutting down ...\n"
        assert (self.models / f"{model}.mltk.zip").exists()
        assert (self.results / "uploaded.py").read_bytes() == Path(__file__).read_bytes()
        infix = ".test" if model.endswith("-test") else ""
        logs = files(Path(os.environ["HOME"]) / ".mltk" / "models" / model)
        assert LOGS | {f"waves{infix}.h5", f"waves{infix}.tflite", f"mltk_ssh_train_{model}.log"} <= logs


@pytest.fixture
def desk(mltk_host: MltkHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    for name in ("home/.ssh", "models", "results", "output"):
        (tmp_path / name).mkdir(parents=True)
    shutil.copy(EXAMPLE, tmp_path / "models")
    (tmp_path / "models" / "other_model.py").write_text("import mltk\n")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MLTK_USER_SETTINGS_PATH", str(tmp_path / "user_settings.yaml"))
    for name in ("other_model.py", "test_startup_cmd.txt", "test_startup_cmd2.txt", "waves-test.mltk.zip"):
        (mltk_host.work / name).unlink(missing_ok=True)
    program = Sshrun(tmp_path / "models", tmp_path / "output")
    # test_generate_keypair
    made = program("ssh-keygen", "utest", "--output", tmp_path / "results")
    assert made.status == 0, made.stderr
    public = (tmp_path / "results" / "id_utest.pub").read_text()
    assert public.startswith("ssh-ed25519 ")
    assert public.endswith(" utest\n")
    with open(mltk_host.sandbox.directory / "authorized_keys", "a") as keys:
        keys.write(public)
    (tmp_path / "home" / ".ssh" / "config").write_text(f"Host *\n{new_hosts(tmp_path)}")
    yield Desk(mltk_host, program, tmp_path)
    program.close()


def new_hosts(folder: Path) -> str:
    """Lines of an ssh config, for a server that has never been met before."""
    return f"  UserKnownHostsFile {folder}/known_hosts\n  StrictHostKeyChecking accept-new\n"


def config_path(desk: Desk) -> str:
    return str(Path(os.environ["HOME"]) / ".ssh" / "config")


def test_parameters_in_the_command_with_a_virtual_environment(desk: Desk) -> None:
    desk.settings(
        config_path=config_path(desk),
        create_venv=True,
        upload_files=desk.uploads,
        environment=['TEST="This is a test"', "FOO", "BAR=this is a string without quotes", "CUDA_VISIBLE_DEVICES=-1"],
        **desk.commands(),
    )
    words = [*desk.login, "train", "waves-test", "--verbose", "--clean", "--force"]
    desk.verify(desk.sshrun(*words, seconds=TRAINING), "waves-test")
    assert (desk.host.work / "other_model.py").exists()


def test_parameters_in_settings_without_a_virtual_environment(desk: Desk) -> None:
    commands = desk.commands()
    commands["startup_cmds"].append(". ./.venv/bin/activate")
    desk.settings(
        config_path=config_path(desk),
        create_venv=False,
        remote_dir=str(desk.host.work),
        connection={
            "hostname": "127.0.0.1",
            "port": desk.host.sandbox.port,
            "key_filename": str(desk.results / "id_utest"),
            "username": ACCOUNT,
        },
        upload_files=desk.uploads,
        environment={"TEST": "This is a test", "CUDA_VISIBLE_DEVICES": "-1"},
        **commands,
    )
    desk.verify(desk.sshrun("train", "waves-test", "--verbose", "--clean", "--force", seconds=TRAINING), "waves-test")
    assert (desk.host.work / "other_model.py").exists()


def test_mixin_and_config(desk: Desk) -> None:
    first = desk.commands()
    settings = {
        "ssh_create_venv": True,
        "ssh_environment": {"TEST": "This is a test", "CUDA_VISIBLE_DEVICES": "-1"},
        "ssh_upload_files": [desk.uploads[0]],
        **{f"ssh_{key}": value for key, value in first.items()},
    }
    with open(desk.models / "waves.py", "a") as spec:
        spec.writelines(f"waves.{name} = {value!r}\n" for name, value in settings.items())
    config = desk.results / "ssh_config.txt"
    config.write_text(
        f"Host utest_host\n  Hostname 127.0.0.1\n  Port {desk.host.sandbox.port}\n  User {ACCOUNT}\n"
        f"  IdentityFile {desk.results}/id_utest\n{new_hosts(desk.folder)}"
    )
    desk.settings(
        config_path=str(config),
        connection={"hostname": "127.0.0.1", "port": 22, "key_filename": "", "username": ACCOUNT},
        upload_files=[],
        environment={"TEST2": "This is a test2"},
        **desk.commands("2"),
    )
    path = str(desk.models / "waves.py")
    words = ["-h", "utest_host", "train", path, "--test", "--verbose", "--clean", "--force"]
    finished = desk.sshrun(*words, cwd=desk.folder, seconds=TRAINING)
    desk.verify(finished, "waves-test", numbers=("", "2"))
    assert "--test goes to the command" not in finished.stderr


def test_no_wait_and_resume(desk: Desk) -> None:
    desk.settings(
        config_path=config_path(desk),
        create_venv=True,
        upload_files=desk.uploads,
        environment=['TEST="This is a test"', "CUDA_VISIBLE_DEVICES=-1"],
        **desk.commands(),
    )
    words = [*desk.login, "train", "waves-test", "--verbose", "--clean"]
    started = desk.sshrun(*words, "--force", "--no-wait")
    assert started.status == 0, started.stderr
    assert not (desk.results / "shutdown.txt").exists()
    desk.verify(desk.sshrun(*words, "--resume", seconds=TRAINING), "waves-test")
    assert (desk.host.work / "other_model.py").exists()
