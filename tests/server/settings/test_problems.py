"""What is wrong in files is said all at once, each with its place, before anybody is spoken to."""

from __future__ import annotations

import re

import pytest

from support.desk import Desk


def test_every_problem_of_every_file_comes_at_once(desk: Desk) -> None:
    path = desk.home / ".sshrun/user_settings.yaml"
    path.parent.mkdir()
    path.write_text(
        "commander: x\n"
        "ssh:\n"
        "  conection: {hostname: h}\n"
        "  connection: {hostname: '-oProxyCommand=touch canary', port: 99999, key_filename: ~/no/such}\n"
        "  upload_files: dataset.zip\n"
        "  environment: [1A=x]\n"
    )
    project = '[tool.other]\nx = 1\n[tool.sshrun]\nconnection = {hostname = "evil"}\ntransfer = "ftp"\n'
    desk.write("pyproject.toml", project)
    desk.write(
        "my_model.py",
        '# /// script\n# dependencies = "numpy"\n# ///\n'
        'class M: pass\nm = M()\nm.ssh_upload_file = []\nm.ssh_archive = "/x"\n',
    )
    finished = desk("train", "my_model", status=2)
    lines = finished.stderr.splitlines()
    places = (
        ("my_model.py", 6, "ssh_upload_file", "do you mean ssh_upload_files"),
        ("my_model.py", 7, "ssh_archive", "inside the working directory"),
        ("my_model.py", 2, "dependencies", "a list is needed"),
        ("pyproject.toml", 4, "tool.sshrun.connection", "user file only"),
        ("pyproject.toml", 5, "tool.sshrun.transfer", "one of rsync, tar, scp"),
        ("user_settings.yaml", 3, "ssh.conection", "do you mean ssh.connection"),
        ("user_settings.yaml", 4, "ssh.connection.hostname", "begins with '-'"),
        ("user_settings.yaml", 4, "ssh.connection.port", "1 to 65535"),
        ("user_settings.yaml", 4, "ssh.connection.key_filename", "no such file"),
        ("user_settings.yaml", 5, "ssh.upload_files", "a list is needed"),
        ("user_settings.yaml", 6, "ssh.environment", "a name is letters"),
    )
    for line, (file, number, key, text) in zip(lines, places, strict=True):
        assert line.startswith(f"sshrun: {file}:{number} {key}"), line
        assert text in line
    assert finished.stdout == b""
    assert desk.world.near.met_nobody()


def test_as_data_they_are_one_error(desk: Desk) -> None:
    desk.log_in_as(transfer="ftp", upload_files="x")
    finished = desk("--json", "--", "true", status=2)
    (line,) = finished.stdout.splitlines()
    assert b'"cause": "SettingsError"' in line
    assert line.count(b"user_settings.yaml:") == 2


def test_patterns_and_files_that_are_missing_have_their_place_too(desk: Desk) -> None:
    desk.log_in_as(upload_files=["nothing-*.csv"], download_files=["/etc/passwd"], transfer="ftp")
    desk.write("fit.py", 'class M: pass\nm = M()\nm.ssh_upload_files = [\n  "no.csv",\n  "../x",\n]\n')
    lines = desk("run", "fit.py", status=2).stderr.splitlines()
    assert len(lines) == 4
    assert any("ssh.transfer: one of" in line for line in lines)
    assert any(re.search(r"fit.py:4 ssh_upload_files\[0\]: .*no.csv.* matches nothing", line) for line in lines)
    assert any("fit.py:5 ssh_upload_files[1]: " in line for line in lines)
    assert any("ssh.download_files[0]: " in line for line in lines)
    assert desk.world.near.met_nobody()


@pytest.mark.parametrize(
    "text", ["ssh: [", "ssh: !!python/object/apply:os.system ['touch canary']", "a: &a [*a]\nssh: *a"]
)
def test_what_is_no_settings_file_is_one_line_and_no_traceback(desk: Desk, text: str) -> None:
    desk.write("settings.yaml", text)
    path = desk.home / ".sshrun/user_settings.yaml"
    path.parent.mkdir()
    path.write_text(text)
    finished = desk("--", "true", status=2)
    assert len(finished.stderr.splitlines()) == 1
    assert "user_settings.yaml" in finished.stderr
    assert not (desk.folder / "canary").exists()


def test_a_spec_that_imports_tensorflow_needs_none_here(desk: Desk) -> None:
    desk.log_in_as(create_venv=False)
    desk.write(
        "my_model.py",
        "import tensorflow as tf\nfrom no.such.package import Model\nmy_model = Model()\n"
        'my_model.ssh_environment = {"A": "1"}\nmy_model.ssh_command = "printenv A"\n'
        "my_model.layer = tf.keras.Dense(1)\n",
    )
    assert desk("train", "my_model").stdout == b"1\n"


@pytest.mark.parametrize("first", ["#", "ControlPath none"])
@pytest.mark.parametrize("options", [[], ["--dry-run"]])
def test_what_is_wrong_in_the_ssh_config_has_its_place_there(desk: Desk, first: str, options: list[str]) -> None:
    """ssh reads a copy, whose name says nothing to anybody, and which is gone by then."""
    desk.ssh_config(f"{first}\nHost gpu\n  Prot 22\n  Port twenty")
    desk.user_file()
    config = desk.home / "ssh_config"
    assert desk("-h", "gpu", *options, "--", "true", status=2).stderr.splitlines() == [
        f"sshrun: {config}: line 3: Bad configuration option: prot",
        f"sshrun: {config} line 4: Bad port 'twenty'.",
        f"sshrun: try: ssh -F {config} gpu -G",
    ]
