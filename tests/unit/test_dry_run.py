"""All that `--dry-run` prints, where something is set in every place."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.installed import Sshrun

USER_FILE = """\
ssh:
  connection: {hostname: gpu1, port: 2222, username: joe}
  remote_dir: ~/work
  environment: [TOKEN=hunter2]
  startup_cmds: [module load cuda]
  upload_files: [notes.txt]
  stop_grace: 60
"""
PROJECT_FILE = """\
[tool.sshrun]
upload_files = ["data", "!data/two.csv"]
download_files = ["logs/*.txt"]
shutdown_cmds = ["./tell-me.sh"]
transfer = "tar"
"""
SPEC = """\
# /// script
# dependencies = ["--index-url https://joe:hunter2@index.example/simple", "numpy"]
# [tool.sshrun]
# leftovers = "wait"
# ///
class Model: pass
my_model = Model()
my_model.ssh_environment = {"SEED": 1}
my_model.ssh_startup_cmds = ["echo ready"]
my_model.ssh_archive = "out/model.bin"
"""
TEXT = """\
hostname        gpu1                                          user_settings.yaml:2 ssh.connection.hostname
port            2200                                          option --port
user            joe                                           user_settings.yaml:2 ssh.connection.username
remote_dir      work                                          user_settings.yaml:3 ssh.remote_dir
project         false                                         option --no-project
create_venv     true                                          default
requirements    --index-url https://***@index.example/simple  my_model.py:2 dependencies[0]
requirements    numpy                                         my_model.py:2 dependencies[1]
wheels          false                                         default
environment     TOKEN=***                                     user_settings.yaml:4 ssh.environment[0]
environment     SEED=***                                      my_model.py:8 ssh_environment.SEED
upload_files    notes.txt                                     user_settings.yaml:6 ssh.upload_files[0]
upload_files    data                                          pyproject.toml:2 tool.sshrun.upload_files[0]
upload_files    !data/two.csv                                 pyproject.toml:2 tool.sshrun.upload_files[1]
startup_cmds    module load cuda                              user_settings.yaml:5 ssh.startup_cmds[0]
startup_cmds    echo ready                                    my_model.py:9 ssh_startup_cmds[0]
archive         out/model.bin                                 my_model.py:10 ssh_archive
download_files  logs/*.txt                                    pyproject.toml:3 tool.sshrun.download_files[0]
results_limit   10 GB                                         default
shutdown_cmds   ./tell-me.sh                                  pyproject.toml:4 tool.sshrun.shutdown_cmds[0]
stop_grace      60                                            user_settings.yaml:7 ssh.stop_grace
leftovers       wait                                          my_model.py:4 tool.sshrun.leftovers
transfer        tar                                           pyproject.toml:5 tool.sshrun.transfer

upload    my_model.py  (297 bytes, from PROJECT/my_model.py)
upload    notes.txt  (7 bytes, from PROJECT/notes.txt)
upload    data/one.csv  (5 bytes, from PROJECT/data/one.csv)
excluded  !data/two.csv  (1 file, 3 bytes)
          3 files, 309 bytes
run       python my_model.py train --epochs 3
download  out/model.bin
download  logs/*.txt  (beneath PROJECT)
results   PROJECT
"""


@pytest.fixture
def laptop(home: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshrun]:
    (home / ".sshrun").mkdir(mode=0o700)
    (home / ".sshrun" / "user_settings.yaml").write_text(USER_FILE)
    (tmp_path / "pyproject.toml").write_text(PROJECT_FILE)
    (tmp_path / "my_model.py").write_text(SPEC)
    (tmp_path / "notes.txt").write_text("read me")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "one.csv").write_text("12345")
    (tmp_path / "data" / "two.csv").write_text("123")
    program = Sshrun(tmp_path, tmp_path_factory.mktemp("output"))
    yield program
    program.close()


def test_everything_is_shown_with_its_origin(laptop: Sshrun) -> None:
    done = laptop("--no-project", "--dry-run", "-p", "2200", "train", "my_model", "--epochs", "3")
    assert done.status == 0, done.stderr
    shown = done.stdout.decode().replace(str(laptop.folder), "PROJECT")
    assert shown == TEXT
    assert done.stderr == ""
