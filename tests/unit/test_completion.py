"""What is offered to a shell that completes a command line: from the tables, the ssh config, and what is local."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from sshrun.command_line import OPTIONS, VERBS, options_of
from sshrun.completion.candidates import answer
from sshrun.connection.configured_hosts import configured_hosts
from sshrun.job import Manifest
from sshrun.jobs.records import Record


def offered(*words: str) -> list[str]:
    """The candidates for the last of the words after `sshrun`."""
    return [line.partition("\t")[0] for line in answer(words).splitlines()[1:]]


def left_to_the_shell(*words: str) -> str:
    return answer(words).splitlines()[0]


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def ssh_config(home: Path, directory: Path) -> Path:
    """A config file that the user file names; it includes others."""
    (home / ".sshrun").mkdir()
    (home / ".sshrun" / "user_settings.yaml").write_text(f"ssh:\n  config_path: {directory}/config\n")
    (directory / "config").write_text("Host gpu1 gpu2\n  User joe\nHost *.lab !bastion lab\n")
    return directory / "config"


def test_verbs_stand_first() -> None:
    assert set(offered("")) == {*(verb.name for verb in VERBS), "train"}
    assert offered("-v", "s") == offered("")


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.name)
def test_the_options_of_a_verb_are_offered(verb) -> None:
    assert set(offered(verb.name, "-")) == {name for option in options_of(verb) for name in option.names}


def test_all_options_are_offered_before_a_verb() -> None:
    assert set(offered("-")) == {name for option in OPTIONS for name in option.names}
    assert "--import-spec" in offered("train", "my_model", "--")
    assert "--version" not in offered("train", "my_model", "--")


def test_an_option_is_offered_once() -> None:
    assert "--no-wait" not in offered("--wait", "-") and "--verbose" not in offered("-v", "-")
    assert "--env" in offered("--env", "HOME", "-")


def test_what_belongs_to_another_program_is_left_alone() -> None:
    assert answer(["run", "fit.py", "--h"]) == "files\n"
    assert answer(["train", "my_model", "--", "--h"]) == "files\n"
    assert answer(["-h", "gpu1", "--", "ls", "--h"]) == "program 3\n"
    assert answer(["--", ""]) == "program 1\n"
    assert answer(["status", "--", ""]) == "none\n"


def test_hosts_are_those_of_the_config(ssh_config: Path) -> None:
    for words in (["-h", ""], ["--host", "g"], ["train", "m", "-h", ""], ["doctor", ""], ["ssh-keygen", ""]):
        assert offered(*words)[:3] == ["gpu1", "gpu2", "lab"]
    assert offered("--host=")[:2] == ["--host=gpu1", "--host=gpu2"]
    assert offered("--host", "ann@g")[:2] == ["ann@gpu1", "ann@gpu2"]


def test_hosts_of_included_files_are_offered_once(directory: Path) -> None:
    (directory / "conf.d").mkdir()
    (directory / "config").write_text(
        f'Host=one\ninclude "{directory}/with space" {directory}/conf.d/*.conf\nHost two\n'
    )
    (directory / "with space").write_text('  HOST\tthree "four" # five\nHost one\nInclude config\n')
    (directory / "conf.d" / "b.conf").write_text(f"Host six\nInclude {directory}/config\n")
    (directory / "conf.d" / "a.conf").write_text("#Host nobody\nHostName elsewhere\nHost s?ven seven\n")
    found = configured_hosts(str(directory / "config"))
    assert found[:6] == ["one", "three", "four", "seven", "six", "two"]
    assert not {"nobody", "elsewhere", "five", "s?ven"} & set(found)


def test_broken_settings_are_no_hindrance(home: Path, ssh_config: Path) -> None:
    (home / ".sshrun" / "user_settings.yaml").write_text("config_path: [")
    assert left_to_the_shell("-h", "") == "none"
    ssh_config.write_bytes(b'Host \xff\xfe\0x ok\nHost\nInclude\n=\n"\n')
    assert "ok" in configured_hosts(str(ssh_config))


def test_models_are_the_scripts_of_the_directory(directory: Path) -> None:
    for name in ("my_model.py", "other.py", "net.mltk.zip", "net.tflite", "__init__.py", "notes.txt"):
        (directory / name).touch()
    assert offered("train", "") == ["my_model", "other", "net.mltk.zip", "net.tflite"]
    assert left_to_the_shell("train", "models/") == "files py tflite h5 mltk.zip"
    assert left_to_the_shell("train", "my_model", "") == "files"
    assert left_to_the_shell("run", "") == "files py sh ipynb"


def test_modules_are_those_of_the_directory(directory: Path) -> None:
    for name in ("pkg/deep/net.py", "pkg/__main__.py", "pkg/__init__.py", "flat.py", "no-name/x.py", "env/lib/x.py"):
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).touch()
    (directory / "env" / "pyvenv.cfg").touch()
    assert offered("run", "-m", "") == ["flat", "pkg", "pkg.deep.net"]
    assert "-m" in offered("run", "-") and "-m" not in offered("-")
    assert left_to_the_shell("run", "-m", "pkg", "") == "files"


def test_job_ids_come_from_the_records_with_what_they_are() -> None:
    Record("20260101-000000-aaaaaaaa").write_manifest(Manifest(command="train", model="my_model", host="gpu1"))
    Record("20260102-000000-bbbbbbbb").make()
    assert answer(["logs", "2026"]).splitlines()[1:] == [
        "20260102-000000-bbbbbbbb\t",
        "20260101-000000-aaaaaaaa\tgpu1: train my_model",
    ]
    assert offered("logs", "20260101-000000-aaaaaaaa", "") == []


def test_values_of_options_are_offered(monkeypatch: pytest.MonkeyPatch) -> None:
    assert offered("ssh-keygen", "x", "-t", "") == ["ed25519", "rsa"]
    assert offered("completion", "") == ["bash", "zsh", "fish"]
    monkeypatch.setenv("WANDB_KEY", "secret")
    assert "WANDB_KEY" in offered("--env", "") and "secret" not in answer(["--env", ""])
    assert left_to_the_shell("-i", "") == "files" == left_to_the_shell("--identity_file=")
    assert left_to_the_shell("ssh-keygen", "-o", "") == "directories"
    assert answer(["-p", ""]) == "none\n"


def test_what_is_wrong_on_the_line_is_no_hindrance() -> None:
    assert "status" in offered("--nonsense", "--wait", "--no-wait", "--force=1", "")


def test_a_name_that_would_be_two_lines_is_not_offered(directory: Path) -> None:
    (directory / "a\nb.py").touch()
    assert offered("train", "") == []


@pytest.mark.parametrize("words", [("-h", ""), ("logs", ""), ("train", ""), ("",)])
def test_nothing_is_imported_that_connects_or_is_slow(ssh_config: Path, words: tuple[str, ...]) -> None:
    slow = ("sh", "subprocess", "socket", "rich", "sshrun.process", "sshrun.session")
    program = (
        "import sys; from sshrun.completion.candidates import answer; answer(sys.argv[1:]);"
        f"sys.exit(' '.join(name for name in {slow!r} if name in sys.modules) or None)"
    )
    finished = subprocess.run([sys.executable, "-c", program, *words], capture_output=True, text=True, check=False)
    assert (finished.stderr.strip(), finished.returncode) == ("", 0)
