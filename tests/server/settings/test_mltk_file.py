"""A settings file written for MLTK, word for word, under ~/.mltk."""

from __future__ import annotations

from pathlib import Path

from support.desk import Desk, Entry

FILE = """\
# MLTK user settings
model_paths:
  - ~/my_models
commander: '{home}/no/such/commander'

ssh:
  config_path: ~/ssh_config
  remote_dir: ~/workspace
  create_venv: false
  sync_local_mltk: false
  connection:
    hostname: gpu
    port: {near}
    username: {joe}
    key_filename: {key}
  environment:
    - DEV=1
    - CUDA_VISIBLE_DEVICES=0
    - TITLE='two words'
  upload_files:
    - dataset.zip
    - config.txt
  startup_cmds:
    - sudo apt install -y p7zip-full
    - export UNPACKED=yes
  download_files:
    - custom_logs/**
  shutdown_cmds:
    - echo "ended at `date +%Y` with $DEV" > done.txt
"""
SPEC = """
import os
os.makedirs("custom_logs/sub")
for name in ("custom_logs/one.txt", "custom_logs/sub/two.txt"):
    open(name, "w").write(name)
print(os.environ["DEV"], os.environ["CUDA_VISIBLE_DEVICES"], os.environ["TITLE"], os.environ["UNPACKED"],
      sorted(os.listdir(".")), os.environ.get("VIRTUAL_ENV"))
"""


def lay(desk: Desk, key: str) -> Path:
    """The file, the spec where `model_paths` says, and what the file wants to send; returns the spec's folder."""
    desk.ssh_config(f"Host gpu\n  HostName 127.0.0.1\n  IdentityFile {desk.words['copper']}\n")
    path = desk.home / ".mltk/user_settings.yaml"
    path.parent.mkdir()
    path.write_text(FILE.format(home=desk.home, key=key, **desk.words))
    models = desk.home / "my_models/vision"
    models.mkdir(parents=True)
    (models / "my_model.py").write_text(SPEC)
    (models / "dataset.zip").write_bytes(b"PK")
    (models / "config.txt").write_text("x")
    joe = desk.world.accounts["joe"]
    # What stands for the real sudo is found first after a login.
    (joe.home / "bin").mkdir()
    (joe.home / "bin/sudo").write_text('#!/bin/sh\necho "$@" >>~/installed\n')
    (joe.home / "bin/sudo").chmod(0o755)
    (joe.home / ".bash_profile").write_text("PATH=$HOME/bin:$PATH\n")
    joe.own(joe.home)
    return models


def test_a_file_of_mltk_works_unchanged(desk: Desk) -> None:
    models = lay(desk, desk.words["gold"])
    finished = desk("train", "my_model")
    names = "['config.txt', 'custom_logs', 'dataset.zip', 'my_model.py']"
    assert finished.stdout.decode() == f"1 0 two words yes {names} None\n"
    assert desk.world.entries() == [Entry("near", "joe", "gold")]
    joe = desk.world.accounts["joe"].home
    assert (joe / "installed").read_text() == "apt install -y p7zip-full\n"
    assert (models / "custom_logs/sub/two.txt").read_text() == "custom_logs/sub/two.txt"
    done = (joe / "workspace/done.txt").read_text().split()
    assert done[:2] == ["ended", "at"]
    assert done[2].isdecimal()
    assert done[3:] == ["with", "1"]


def test_an_empty_key_filename_leaves_the_key_to_the_ssh_config(desk: Desk) -> None:
    lay(desk, "''")
    desk("train", "my_model")
    assert desk.world.entries() == [Entry("near", "joe", "copper")]


def test_what_has_no_use_here_gets_one_warning_and_the_rest_works(desk: Desk) -> None:
    lay(desk, desk.words["gold"])
    path = desk.home / ".mltk/user_settings.yaml"
    text = path.read_text().replace("sync_local_mltk: false", "sync_local_mltk: true")
    path.write_text(text.replace("  connection:\n", "  connection:\n    password: hunter2\n"))
    finished = desk("train", "my_model")
    warnings = [line for line in finished.stderr.splitlines() if "no use for it" in line]
    assert len(warnings) == 2
    assert "user_settings.yaml:10 ssh.sync_local_mltk" in warnings[0]
    assert "user_settings.yaml:12 ssh.connection.password" in warnings[1]
    assert "hunter2" not in finished.stderr


def test_a_file_of_sshruns_own_comes_before_mltks(desk: Desk) -> None:
    lay(desk, desk.words["gold"])
    desk.log_in_as("jane", "silver")
    desk("--", "true")
    assert desk.world.entries() == [Entry("near", "jane", "silver")]
