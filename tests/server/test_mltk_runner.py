"""The runner for mltk, with a program in its place that keeps its files where mltk 0.20.0 keeps them."""

from __future__ import annotations

from pathlib import Path

import pytest

from installed import Sshrun
from sshrun.sandbox import Sandbox

# It asks its environment for the folder and expands it itself (mltk/utils/path.py, create_user_dir).
MLTK = """\
#!/bin/sh
cache=${MLTK_CACHE_DIR:-~/.mltk}
case $cache in '~/'*) cache=$HOME/${cache#'~/'} ;; esac
mkdir -p "$cache/cli_logs"
echo "command-line: $*" >"$cache/cli_logs/$1.log"
[ ! -e fail_early ] || exit 255
logs=${LOG_DIR:-$cache/models/$2}
mkdir -p "$logs/train"
for given; do [ "$given" != --clean ] || rm -rf "$logs"/* ; done
mkdir -p "$logs/train"
echo trained >"$logs/train/log.txt"
echo "$2" >"$2.mltk.zip"
exit ${CODE:-0}
"""
SPEC = """\
import mltk
my_model = mltk.MltkModel()
my_model.ssh_create_venv = False
"""
TRAINED = {"train.log": "command-line: train my_model\n", "train/log.txt": "trained\n"}


@pytest.fixture
def spec(sandbox: Sandbox, tmp_path: Path) -> Path:
    """A spec of mltk's, and a host whose profile brings mltk."""
    (sandbox.home / "bin").mkdir()
    (sandbox.home / "bin" / "mltk").write_text(MLTK)
    (sandbox.home / "bin" / "mltk").chmod(0o755)
    (sandbox.home / ".bash_profile").write_text("PATH=$HOME/bin:$PATH\n")
    path = tmp_path / "my_model.py"
    path.write_text(SPEC)
    return path


def files(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("code", [0, 3])
def test_logs_come_home_after_success_and_failure(
    sshrun: Sshrun, spec: Path, home: Path, tmp_path: Path, code: int
) -> None:
    spec.write_text(f"{SPEC}my_model.ssh_environment = ['CODE={code}']\n")
    assert sshrun("train", "my_model").status == code
    assert files(home / ".mltk") == {f"models/my_model/{name}": text for name, text in TRAINED.items()}
    assert (tmp_path / "my_model.mltk.zip").read_text() == "my_model\n"


def test_test_mode_has_logs_and_archive_of_its_own(sshrun: Sshrun, spec: Path, home: Path, tmp_path: Path) -> None:
    assert sshrun("train", "my_model", "--test").status == 0
    assert set(files(home / ".mltk" / "models")) == {"my_model-test/train.log", "my_model-test/train/log.txt"}
    assert (tmp_path / "my_model-test.mltk.zip").exists()


@pytest.mark.parametrize("where", ["profile", "environment", "startup"])
@pytest.mark.parametrize("chosen", ["/data", "~/cache"])
def test_folder_that_the_job_itself_was_told_of_is_followed(
    sshrun: Sshrun, spec: Path, sandbox: Sandbox, home: Path, where: str, chosen: str
) -> None:
    value = chosen.replace("/data", f"{sandbox.home}/data")
    if where == "profile":
        with open(sandbox.home / ".bash_profile", "a") as profile:
            profile.write(f"export MLTK_CACHE_DIR='{value}'\n")
    elif where == "environment":
        spec.write_text(f"{SPEC}my_model.ssh_environment = ['MLTK_CACHE_DIR={value}']\n")
    else:
        startup = ["set -eu", f"export MLTK_CACHE_DIR='{value}'", "IFS=:_ && set -f -C"]
        spec.write_text(f"{SPEC}my_model.ssh_startup_cmds = {startup}\n")
    assert sshrun("train", "my_model").status == 0
    assert files(home / ".mltk" / "models" / "my_model") == TRAINED
    assert not (sandbox.home / ".mltk").exists()


def test_variable_that_is_not_exported_is_no_part_of_the_jobs_environment(
    sshrun: Sshrun, spec: Path, sandbox: Sandbox, home: Path
) -> None:
    spec.write_text(f"{SPEC}my_model.ssh_startup_cmds = ['MLTK_CACHE_DIR=/nowhere']\n")
    assert sshrun("train", "my_model").status == 0
    assert files(home / ".mltk" / "models" / "my_model") == TRAINED


def test_folder_of_ones_own_here_is_followed(
    sshrun: Sshrun, spec: Path, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLTK_CACHE_DIR", str(tmp_path / "here"))
    assert sshrun("train", "my_model").status == 0
    assert files(tmp_path / "here" / "models" / "my_model") == TRAINED
    assert not (home / ".mltk").exists()


def test_log_folder_that_the_spec_chooses_is_followed(
    sshrun: Sshrun, spec: Path, sandbox: Sandbox, home: Path, tmp_path: Path
) -> None:
    spec.write_text(f"{SPEC}my_model.log_dir = 'logs/mine'\nmy_model.ssh_environment = ['LOG_DIR=logs/mine']\n")
    assert sshrun("train", "my_model").status == 0
    assert files(tmp_path / "logs" / "mine") == TRAINED


def test_failure_before_there_are_logs_brings_the_commands_own(
    sshrun: Sshrun, spec: Path, sandbox: Sandbox, home: Path
) -> None:
    (sandbox.home / "fail_early").touch()
    finished = sshrun("train", "my_model")
    assert finished.status == 255
    assert files(home / ".mltk") == {"models/my_model/train.log": TRAINED["train.log"]}
    assert "matches nothing" not in finished.stderr


def test_job_that_never_began_brings_no_logs_of_earlier_ones(
    sshrun: Sshrun, spec: Path, sandbox: Sandbox, home: Path
) -> None:
    (sandbox.home / ".mltk" / "models" / "my_model").mkdir(parents=True)
    (sandbox.home / ".mltk" / "models" / "my_model" / "old").touch()
    spec.write_text(f"{SPEC}my_model.ssh_startup_cmds = ['exit 9']\n")
    assert sshrun("train", "my_model").status == 9
    assert not (home / ".mltk").exists()


@pytest.mark.parametrize("with_model", [True, False])
def test_another_client_gets_the_logs(
    sshrun: Sshrun, spec: Path, sandbox: Sandbox, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    with_model: bool,
) -> None:  # fmt: skip
    spec.write_text(f"{SPEC}my_model.ssh_environment = ['MLTK_CACHE_DIR=~/elsewhere']\n")
    assert sshrun("--no-wait", "train", "my_model").status == 0
    other = tmp_path / "other home"
    (other / ".sshrun").mkdir(parents=True)
    (other / ".sshrun" / "user_settings.yaml").write_text((home / ".sshrun" / "user_settings.yaml").read_text())
    monkeypatch.setenv("HOME", str(other))
    folder = tmp_path / "other folder"
    folder.mkdir()
    model = ["train", str(spec)] if with_model else []
    assert sshrun("--resume", *model, cwd=folder).status == 0
    assert files(other / ".mltk" / "models" / "my_model") == TRAINED
    assert not (home / ".mltk").exists()


@pytest.mark.parametrize(
    ("kept", "comes_to"),
    [
        ("models/../../planted", "home/.mltk/models/planted"),
        ("~/planted", "work/planted"),
        ("./../planted", "work/planted"),
        ("./logs/planted", "work/logs/planted"),
        ("models/..", ""),
    ],
)
def test_what_a_host_has_kept_cannot_choose_where_logs_come_to(
    sshrun: Sshrun, spec: Path, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, home: Path,
    kept: str, comes_to: str,
) -> None:  # fmt: skip
    assert sshrun("--no-wait", "train", "my_model").status == 0
    (facts,) = (sandbox.home / ".sshrun" / "hosts").glob("*/jobs/*/facts")
    text = facts.read_text()
    facts.write_text(text.replace('"folder": "models/my_model"', f'"folder": "{kept}"'))
    assert facts.read_text() != text
    for folder in (sandbox.home / "planted", sandbox.home.parent / "planted", sandbox.home / "logs" / "planted"):
        folder.mkdir(parents=True)
        (folder / "it").touch()
    settings = (home / ".sshrun" / "user_settings.yaml").read_text()
    (tmp_path / "base" / "home" / ".sshrun").mkdir(parents=True)
    (tmp_path / "base" / "home" / ".sshrun" / "user_settings.yaml").write_text(settings)
    (tmp_path / "base" / "work").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "base" / "home"))
    finished = sshrun("--resume", cwd=tmp_path / "base" / "work")
    assert finished.status == 0, finished.stderr
    base = tmp_path / "base"
    found = {str(path.relative_to(base)) for path in base.rglob("*") if path.name in ("it", "train.log")}
    assert found == ({f"{comes_to}/it", f"{comes_to}/train.log"} if comes_to else set())


def test_clean_clears_both_sides_once_the_host_has_the_job(
    sshrun: Sshrun, spec: Path, sandbox: Sandbox, home: Path
) -> None:
    for side in (home, sandbox.home):
        (side / ".mltk" / "models" / "my_model" / "old").mkdir(parents=True)
    assert sshrun("--clean", "train", "my_model").status == 0
    assert files(home / ".mltk" / "models" / "my_model") == {
        **TRAINED,
        "train.log": "command-line: train my_model --clean\n",
    }
    for side in (home, sandbox.home):
        assert not (side / ".mltk" / "models" / "my_model" / "old").exists()


def test_clean_that_is_refused_clears_nothing(sshrun: Sshrun, spec: Path, home: Path) -> None:
    assert sshrun("--no-wait", "train", "my_model").status == 0
    old = home / ".mltk" / "models" / "my_model" / "old"
    old.mkdir(parents=True)
    assert sshrun("--clean", "train", "my_model").status == 75
    assert old.exists()
    assert sshrun("--resume", "--clean", "train", "my_model").status == 0
    assert old.exists()


@pytest.mark.parametrize("log_dir", [".", "..", "~"])
def test_clean_spares_a_log_folder_that_holds_everything_else(
    sshrun: Sshrun, spec: Path, sandbox: Sandbox, home: Path, tmp_path: Path, log_dir: str
) -> None:
    spec.write_text(f"{SPEC}my_model.log_dir = '{log_dir}'\nmy_model.ssh_environment = ['LOG_DIR=logs']\n")
    (home / "precious").touch()
    assert sshrun("--no-wait", "--clean", "train", "my_model").status == 0
    assert spec.exists()
    assert (home / "precious").exists()


def test_where_mltk_cannot_be_installed_a_line_tells_what_it_fits(sshrun: Sshrun, spec: Path, home: Path) -> None:
    spec.write_text(SPEC.replace("False", "True") + "my_model.ssh_environment = ['PIP_NO_INDEX=1', 'UV_OFFLINE=1']\n")
    finished = sshrun("train", "my_model")
    assert finished.status == 1
    assert "silabs-mltk 0.20.0 has packages for Python 3.10 to 3.12 on x86-64 Linux only" in finished.stderr
    assert not (home / ".mltk").exists()
