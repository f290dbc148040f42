"""`--dry-run` tells all, and speaks to nobody."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from support.desk import Desk

SPEC = """# /// script
# dependencies = ["--index-url https://joe:hunter2@index.example/simple", "numpy"]
# ///
from sshrun import SshMixin
class Model(SshMixin): pass
my_model = Model()
my_model.ssh_environment = {"TOKEN": "hunter2"}
my_model.ssh_upload_files = ["data/**", "data/one.csv|~/elsewhere/"]
my_model.ssh_archive = "out/model.bin"
"""


@pytest.fixture
def laid(desk: Desk) -> Desk:
    """Something in every place."""
    desk.ssh_config(f"Host alias\n  HostName 127.0.0.1\n  User {desk.words['joe']}\n")
    desk.user_file(
        connection={"port": desk.world.near.port, "key_filename": desk.words["gold"]},
        environment=["PASSWORD=hunter2"],
        startup_cmds=["module load cuda"],
    )
    desk.write("my_model.py", SPEC)
    desk.write("pyproject.toml", '[tool.sshrun]\nremote_dir = "work"\ndownload_files = ["logs/*.txt"]\n')
    desk.write("data/one.csv", "12345")
    desk.write("data/sub/two.csv", "123")
    return desk


def assert_nobody_came(desk: Desk) -> None:
    assert desk.world.near.met_nobody() and desk.world.far.met_nobody()


def test_every_setting_is_shown_with_its_place(laid: Desk) -> None:
    finished = laid("-h", "alias", "--dry-run", "train", "my_model", "--epochs", "3")
    text = finished.stdout.decode()
    table = [re.sub("  +", "  ", line) for line in text.partition("\n\n")[0].splitlines()]
    for row in (
        "hostname  127.0.0.1  ssh config HostName",
        f"port  {laid.world.near.port}  user_settings.yaml:5 ssh.connection.port",
        f"user  {laid.words['joe']}  ssh config User",
        f"identity  {laid.words['gold']}  user_settings.yaml:6 ssh.connection.key_filename",
        f"config_path  {laid.home}/ssh_config  user_settings.yaml:3 ssh.config_path",
        "remote_dir  work  pyproject.toml:2 tool.sshrun.remote_dir",
        "create_venv  true  default",
        "archive  out/model.bin  my_model.py:9 ssh_archive",
        "environment  PASSWORD=***  user_settings.yaml:9 ssh.environment[0]",
        "environment  TOKEN=***  my_model.py:7 ssh_environment.TOKEN",
        "startup_cmds  module load cuda  user_settings.yaml:12 ssh.startup_cmds[0]",
        "requirements  --index-url https://***@index.example/simple  my_model.py:2 dependencies[0]",
        "requirements  numpy  my_model.py:2 dependencies[1]",
    ):
        assert row in table
    assert "hunter2" not in text + finished.stderr
    after = text.partition("\n\n")[2]
    assert f"upload    data/one.csv  (5 bytes, from {laid.folder}/data/one.csv)" in after
    assert f"upload    ~/elsewhere/one.csv  (5 bytes, from {laid.folder}/data/one.csv)" in after
    assert f"{4} files, {5 + 5 + 3 + len(SPEC)} bytes" in after
    assert "run       python my_model.py train --epochs 3" in after
    assert "download  out/model.bin" in after
    assert "download  logs/*.txt" in after
    assert_nobody_came(laid)


def test_the_same_comes_as_data(laid: Desk) -> None:
    finished = laid("-h", "alias", "--dry-run", "--json", "train", "my_model", "--epochs", "3")
    (shown,) = [json.loads(line) for line in finished.stdout.splitlines() if b'"dry-run"' in line]
    page = (Path(__file__).parents[3] / "docs" / "json.md").read_text()
    (example,) = [json.loads(line) for line in page.splitlines() if line.startswith("{") and '"dry-run"' in line]
    assert list(shown) == list(example)
    settings = {(row["key"], row["value"]): row["origin"] for row in shown["settings"]}
    assert settings["hostname", "127.0.0.1"] == {"layer": "ssh config", "key": "HostName"}
    assert settings["environment", "TOKEN=***"] == {
        "layer": "spec",
        "file": str(laid.folder / "my_model.py"),
        "line": 7,
        "key": "ssh_environment.TOKEN",
    }
    assert settings["create_venv", "true"] == {"layer": "default"}
    assert {(row["to"], row["bytes"]) for row in shown["upload"]} == {
        ("my_model.py", len(SPEC)),
        ("data/one.csv", 5),
        ("data/sub/two.csv", 3),
        ("~/elsewhere/one.csv", 5),
    }
    assert shown["run"] == ["python", "my_model.py", "train", "--epochs", "3"]
    assert shown["download"] == ["out/model.bin", "logs/*.txt"]
    assert shown["results"] == str(laid.folder)
    assert b"hunter2" not in finished.stdout
    assert_nobody_came(laid)


def test_what_is_left_out_is_shown_and_files_of_the_project_are_its_own(laid: Desk) -> None:
    laid.write("pyproject.toml", '[tool.sshrun]\nupload_files = ["data", "!data/s*"]\ndownload_files = ["out/*.txt"]\n')
    laid.write("src/deep/pyproject.toml", '[project]\nname = "hides-nothing"\n')
    laid.write("src/deep/fit.py", "print()\n")
    finished = laid("-h", "alias", "--no-project", "--dry-run", "run", "src/deep/fit.py")
    text = finished.stdout.decode()
    assert f"upload    data/one.csv  (5 bytes, from {laid.folder}/data/one.csv)\n" in text
    assert "excluded  !data/s*  (1 file, 3 bytes)\n" in text
    assert f"download  out/*.txt  (beneath {laid.folder})\n" in text
    assert "two.csv" not in text and not finished.stderr
    data = json.loads(laid("-h", "alias", "--json", "--dry-run", "run", "src/deep/fit.py").stdout)
    assert data["excluded"] == [{"by": "!data/s*", "files": 1, "bytes": 3}]
    assert_nobody_came(laid)


def test_options_are_a_place_too(laid: Desk) -> None:
    words = laid.words
    options = ["-h", f"{words['jane']}@alias/there", "-p", words["far"], "-i", words["silver"]]
    lines = laid(*options, "--dry-run", "--", "true").stdout.decode().splitlines()
    origins = {line.split()[0]: line.split("  ")[-1].strip() for line in lines if "  option " in line}
    assert origins == {
        "port": "option --port",
        "user": "option --host",
        "identity": "option -i",
        "remote_dir": "option --host",
    }
    assert_nobody_came(laid)


def test_no_name_of_a_file_reaches_the_terminal_raw(laid: Desk) -> None:
    laid.write("fit\x1b]0;x\a.py", "class M: pass\nm = M()\nm.ssh_archive = 'x'\n")
    finished = laid("-h", "alias", "--dry-run", "run", "fit\x1b]0;x\a.py")
    assert b"fit\\x1b]0;x\\x07.py:3 ssh_archive" in finished.stdout
    assert b"\x1b" not in finished.stdout


def test_a_script_is_neither_run_nor_sent(laid: Desk) -> None:
    laid.write("fit.py", "open('canary', 'w')\n")
    laid("-h", "alias", "--dry-run", "run", "fit.py")
    assert not (laid.folder / "canary").exists()
    assert_nobody_came(laid)
