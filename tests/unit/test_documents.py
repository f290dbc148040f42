"""What the documents show is valid."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.documents import Block, blocks, each
from support.installed import Sshrun


@pytest.fixture
def laptop(home: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshrun]:
    """With the files that the documents speak of, and a host that is named and never reached."""
    (home / ".ssh").mkdir()
    (home / ".ssh" / "id_gpu1").touch()
    (home / ".sshrun").mkdir(mode=0o700)
    (home / ".sshrun" / "user_settings.yaml").write_text("ssh: {connection: {hostname: gpu1}}\n")
    (tmp_path / "fit.py").touch()
    for name in ("train.csv", "requirements.txt"):
        (tmp_path / name).touch()
    program = Sshrun(tmp_path, tmp_path_factory.mktemp("output"))
    yield program
    program.close()


@each(blocks("yaml"))
def test_settings_of_a_user_file_are_valid(block: Block, laptop: Sshrun, home: Path) -> None:
    assert "\nssh:" in f"\n{block.text}"
    (home / ".sshrun" / "user_settings.yaml").write_text(block.text)
    done = laptop("-h", "gpu1", "--dry-run", "run", "fit.py")
    assert done.status == 0, done.stderr


@each(blocks("toml"))
def test_settings_of_a_project_are_valid(block: Block, laptop: Sshrun) -> None:
    assert "[tool.sshrun]" in block.text
    (laptop.folder / "pyproject.toml").write_text(block.text)
    done = laptop("--dry-run", "run", "fit.py")
    assert done.status == 0, done.stderr


@each([block for block in blocks("python") if ".ssh_" in block.text])
def test_settings_of_a_model_are_valid(block: Block, laptop: Sshrun) -> None:
    [name] = set(re.findall(r"^(\w+)\.ssh_", block.text, re.MULTILINE))
    (laptop.folder / f"{name}.py").write_text(f"class Model: pass\n{name} = Model()\n{block.text}")
    done = laptop("--dry-run", "train", name)
    assert (done.status, done.stderr) == (0, "")


@each(blocks("sshconfig"))
def test_an_ssh_config_is_valid(block: Block, tmp_path: Path) -> None:
    (tmp_path / "config").write_text(block.text)
    for host in re.findall(r"^Host (\S+)", block.text, re.MULTILINE):
        subprocess.run(["ssh", "-G", "-F", tmp_path / "config", host], check=True, capture_output=True)
