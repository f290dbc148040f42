"""The runner for mltk, with a program in its place that keeps its files where mltk 0.20.0 keeps them."""

from __future__ import annotations

from pathlib import Path

import pytest

from sshrun.sandbox import Sandbox
from support.installed import Sshrun

# It asks its environment for the folder and expands it itself (mltk/utils/path.py, create_user_dir).
MLTK = """\
#!/bin/sh
cache=${MLTK_CACHE_DIR:-~/.mltk}
case $cache in '~/'*) cache=$HOME/${cache#'~/'} ;; esac
mkdir -p "$cache/cli_logs"
echo "command-line: $*" >"$cache/cli_logs/$1.log"
[ ! -e fail_early ] || exit 255
echo "the model is $2"
logs=${LOG_DIR:-$cache/models/$2}
mkdir -p "$logs/train"
for given; do [ "$given" != --clean ] || rm -rf "$logs"/* ; done
mkdir -p "$logs/train"
echo trained >"$logs/train/log.txt"
case $1 in
train) echo "$2" >"$2.mltk.zip" ;;
evaluate) echo evaluated >>"$2.mltk.zip" ;;
update_params) cat params.json >>"$2" ;;
compile) cp "$2" "${2%.tflite}.mvp.tflite" ;;
summarize) cat "$2.mltk.zip" 2>/dev/null || cat "$2" ;;
esac
[ "$3" != --output ] || { mkdir -p "$4" && echo report >"$4/report.txt"; }
exit ${CODE:-0}
"""
SPEC = """\
import mltk
my_model = mltk.MltkModel()
my_model.ssh_create_venv = False
"""
TRAINED = {
    "train.log": "command-line: train my_model\n",
    "train/log.txt": "trained\n",
    "mltk_ssh_train_my_model.log": "the model is my_model\n",
}


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
    names = ("train.log", "train/log.txt", "mltk_ssh_train_my_model-test.log")
    assert set(files(home / ".mltk" / "models")) == {f"my_model-test/{name}" for name in names}
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
    assert files(home / ".mltk") == {
        "models/my_model/train.log": TRAINED["train.log"],
        "models/my_model/mltk_ssh_train_my_model.log": "",
    }
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
    (manifest,) = (sandbox.home / ".sshrun" / "hosts").glob("*/jobs/*/manifest")
    text = manifest.read_text()
    manifest.write_text(text.replace('"directory": "models/my_model"', f'"directory": "{kept}"'))
    assert manifest.read_text() != text
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


def test_archive_goes_along_and_comes_back_as_the_command_leaves_it(
    sshrun: Sshrun, spec: Path, home: Path, tmp_path: Path
) -> None:
    archive = tmp_path / "my_model.mltk.zip"
    archive.write_text("trained here\n")
    finished = sshrun("evaluate", "my_model")
    assert finished.status == 0, finished.stderr
    assert archive.read_text() == "trained here\nevaluated\n"
    assert files(home / ".mltk")["models/my_model/mltk_ssh_evaluate_my_model.log"] == "the model is my_model\n"
    finished = sshrun("summarize", "my_model")
    assert finished.stdout == b"the model is my_model\ntrained here\nevaluated\n"
    assert "earlier run" not in finished.stderr
    assert archive.read_text() == "trained here\nevaluated\n"


def test_archive_of_test_mode_is_its_own(sshrun: Sshrun, spec: Path, tmp_path: Path) -> None:
    (tmp_path / "my_model.mltk.zip").write_text("whole\n")
    (tmp_path / "my_model-test.mltk.zip").write_text("test\n")
    finished = sshrun("evaluate", "my_model", "--test")
    assert finished.status == 0, finished.stderr
    assert "--host" not in finished.stderr
    assert (tmp_path / "my_model-test.mltk.zip").read_text() == "test\nevaluated\n"
    assert (tmp_path / "my_model.mltk.zip").read_text() == "whole\n"


def test_archive_is_not_sent_to_a_training(sshrun: Sshrun, spec: Path, sandbox: Sandbox, tmp_path: Path) -> None:
    (tmp_path / "my_model.mltk.zip").write_text("old\n")
    (sandbox.home / "fail_early").touch()
    assert sshrun("train", "my_model").status == 255
    assert not (sandbox.home / "my_model.mltk.zip").exists()
    assert (tmp_path / "my_model.mltk.zip").read_text() == "old\n"


def test_clean_is_for_training_alone(sshrun: Sshrun, spec: Path, home: Path, tmp_path: Path) -> None:
    (tmp_path / "my_model.mltk.zip").write_text("trained here\n")
    (home / ".mltk" / "models" / "my_model").mkdir(parents=True)
    (home / ".mltk" / "models" / "my_model" / "my_model.h5").touch()
    finished = sshrun("--clean", "evaluate", "my_model")
    assert finished.status == 0, finished.stderr
    assert "--clean removes nothing: evaluate needs what train has made" in finished.stderr
    assert (tmp_path / "my_model.mltk.zip").read_text() == "trained here\nevaluated\n"
    assert (home / ".mltk" / "models" / "my_model" / "my_model.h5").exists()


def test_what_arguments_name_goes_along_and_comes_back(
    sshrun: Sshrun, spec: Path, sandbox: Sandbox, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "kw.tflite").write_text("model\n")
    (elsewhere / "params.json").write_text("{}\n")
    settings = elsewhere / "pyproject.toml"
    settings.write_text("[tool.sshrun]\ncreate_venv = false\n")
    finished = sshrun("update_params", "kw.tflite", "--params", "params.json", cwd=elsewhere)
    assert finished.status == 0, finished.stderr
    assert (elsewhere / "kw.tflite").read_text() == "model\n{}\n"
    assert sshrun("profile", "kw.tflite", "--output", "out/deep", cwd=elsewhere).status == 0
    assert (elsewhere / "out" / "deep" / "report.txt").read_text() == "report\n"
    # From another directory: what MLTK names relative to the current one comes there.
    assert sshrun("profile", "elsewhere/kw.tflite", "--output", str(tmp_path / "there")).status == 0
    assert (tmp_path / "there" / "report.txt").read_text() == "report\n"
    assert sshrun("compile", "elsewhere/kw.tflite", "--accelerator", "mvp").status == 0
    assert (elsewhere / "kw.mvp.tflite").read_text() == "model\n{}\n"


def test_archive_is_a_model_with_the_settings_that_it_holds(sshrun: Sshrun, spec: Path, tmp_path: Path) -> None:
    import zipfile

    archive = tmp_path / "given-test.mltk.zip"
    with zipfile.ZipFile(archive, "w") as made:
        made.writestr("given.py", f"{SPEC}my_model.ssh_environment = ['CODE=7']\nmy_model.ssh_python = str(3)\n")
    before = archive.read_bytes()
    finished = sshrun("summarize", "given-test.mltk.zip")
    assert finished.status == 7, finished.stderr
    assert finished.stdout == b"the model is given-test.mltk.zip\n" + before
    assert "ssh_python: is not a literal in the specification within: ignored" in finished.stderr
    assert archive.read_bytes() == before
    archive.write_text("no archive")
    finished = sshrun("summarize", "given-test.mltk.zip")
    assert (finished.status, "is no model archive" in finished.stderr) == (2, True)


@pytest.mark.parametrize("words", [["--password", "x", "train", "my_model"], ["train", "my_model", "--password=x"]])
def test_password_of_mltk_ssh_gets_a_hint(sshrun: Sshrun, spec: Path, words: list[str]) -> None:
    finished = sshrun(*words)
    assert finished.status == 2
    assert finished.stderr == (
        "sshrun: --password is no option of sshrun (log in with a key: sshrun ssh-keygen NAME)\n"
    )


def test_resume_elsewhere_and_retrieve_leave_the_log_as_far_as_they_have_it(
    sshrun: Sshrun, spec: Path, home: Path
) -> None:
    assert sshrun("--no-wait", "train", "my_model").status == 0
    assert sshrun("--resume", "train", "my_model").status == 0
    assert files(home / ".mltk" / "models" / "my_model") == TRAINED


def test_resume_without_what_the_settings_depend_on_says_what_to_type(
    sshrun: Sshrun, spec: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec.write_text(f"import os\n{SPEC}my_model.ssh_environment = [f'X={{os.environ[\"PHASE\"]}}']\n")
    monkeypatch.setenv("PHASE", "1")
    assert sshrun("--no-wait", "train", "my_model").status == 0
    monkeypatch.delenv("PHASE")
    finished = sshrun("--resume", "train", "my_model")
    assert finished.status == 2
    assert "failed in line 5: KeyError: 'PHASE' (sshrun --resume alone uses the settings" in finished.stderr
    finished = sshrun("-v", "train", "my_model")
    assert "Traceback" in finished.stderr
    assert "sshrun: KeyError: 'PHASE'" in finished.stderr
    assert sshrun("--resume").status == 0
    assert files(home / ".mltk" / "models" / "my_model") == TRAINED
