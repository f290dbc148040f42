"""What follows from the table of settings agrees with it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sshrun.settings.files import load_user_file
from sshrun.settings.table import JOB, KEYS, MLTK_KEYS, USER_FILE, USER_KEYS, ConnectionSettings, OutsideSettings
from sshrun.spec import stubs

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def copies(tmp_path: Path) -> Path:
    """A tree with what is written from the table, and its writer."""
    for name in ("docs/settings.py", "docs/settings.md", "sshrun/mixin.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def written(root: Path, *options: str) -> tuple[int, str]:
    program = [sys.executable, "-P", root / "docs/settings.py", *options]
    done = subprocess.run(program, capture_output=True, text=True, cwd=root)
    return done.returncode, done.stderr


def test_the_page_and_the_mixin_are_those_of_the_table(copies: Path) -> None:
    assert written(copies, "--check") == (0, "")


@pytest.mark.parametrize("name", ["docs/settings.md", "sshrun/mixin.py"])
def test_what_is_stale_is_named_and_written_anew(copies: Path, name: str) -> None:
    path = copies / name
    right = path.read_text()
    path.write_text(right.replace("virtual environment", "virtual machine"))
    status, errors = written(copies, "--check")
    assert (status, errors.splitlines()[-1]) == (1, f"{name} is stale: make docs")
    assert written(copies) == (0, "")
    assert path.read_text() == right


def test_every_example_is_a_value_that_is_accepted(home: Path) -> None:
    import yaml

    (home / ".ssh").mkdir()
    (home / ".ssh/config").touch()
    (home / ".ssh/id_gpu1").touch()
    (home / ".sshrun").mkdir()
    (home / ".sshrun/requirements.txt").touch()
    connection = {key: setting.example for key, setting in vars(ConnectionSettings).items() if key[0] != "_"}
    ssh = {setting.key: setting.example for setting in (*JOB, *USER_FILE) if setting.example}
    document = {"ssh": {**ssh, "connection": connection}, "model_paths": OutsideSettings.model_paths.example}
    (home / ".sshrun/user_settings.yaml").write_text(yaml.safe_dump(document))
    layer = load_user_file()
    assert (layer.problems, layer.warnings) == ((), ())
    assert set(layer.values) == {*ssh, "connection", "model_paths"}
    assert None not in layer.connection


def test_each_key_stands_once() -> None:
    assert len({*KEYS, *USER_KEYS}) == len(KEYS) + len(USER_KEYS)


def test_the_stub_of_mltk_has_the_settings_of_mltk() -> None:
    assert {name for name in vars(stubs.SshMixin) if name.startswith("ssh_")} == {f"ssh_{key}" for key in MLTK_KEYS}
