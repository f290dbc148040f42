from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sshrun.connection.login import Login
from sshrun.connection.target import Target
from sshrun.errors import SettingsError, UsageError
from sshrun.jobs.plan import RunnerLogs
from sshrun.origin import Origin, Sourced
from sshrun.settings.schema import Settings
from sshrun.spec.find import read_script, read_spec
from sshrun.spec.notebook import code_of
from sshrun.spec.runner import (
    Runner,
    runner_for_model,
    runner_for_module,
    runner_for_program,
    runner_for_script,
    stored_logs,
)
from sshrun.spec.task import Task

PLACE = Origin("spec", "/x/my_model.py", 7, "ssh_command")
MLTK = "import mltk\n"


def settings(**given: str) -> Settings:
    return Settings(Login()).with_values(**{key: Sourced(value, PLACE) for key, value in given.items()})


def runner(
    folder: Path,
    source: str,
    words: str,
    chosen: Settings | None = None,
    *,
    clean: bool = False,
    name: str = "my_model",
) -> Runner:
    path = folder / f"{name}.py"
    path.write_text(source)
    command, model, *args = words.split()
    return runner_for_model(read_spec(str(path)), command, args, chosen or settings(), model=model, clean=clean)


def test_a_spec_without_mltk_is_run_by_python(tmp_path: Path) -> None:
    found = runner(tmp_path, "import numpy", "train my_model --epochs 3")
    assert found == Runner(
        "script", ("python", "my_model.py", "train", "--epochs", "3"), "train", "my_model", "my_model.zip"
    )
    assert runner(tmp_path, "", "train my_model", settings(archive="out/x.zip")).archive == "out/x.zip"


def test_the_python_of_the_settings_counts_where_no_virtual_environment_is_made_with_it(tmp_path: Path) -> None:
    chosen = settings(python="python3.12")
    assert runner(tmp_path, "", "train my_model", chosen).argv[0] == "python"
    chosen = chosen.with_values(create_venv=Sourced(False, PLACE))
    assert runner(tmp_path, "", "train my_model", chosen).argv[0] == "python3.12"
    script = runner_for_script(read_spec(str(tmp_path / "my_model.py")), [], chosen)
    assert script.argv == ("python3.12", "my_model.py")
    by_version = chosen.with_values(python=Sourced("3.12", PLACE))
    assert runner(tmp_path, "", "train my_model", by_version).argv[0] == "python3.12"


def test_a_script_whose_name_looks_like_an_option_is_still_a_file(tmp_path: Path) -> None:
    assert runner(tmp_path, "", "train -m", name="-m").argv == ("python", "./-m.py", "train")


def script_runner(path: Path, /, *args: str, **keywords: str) -> Runner:
    path.write_text('{"cells": []}' if path.suffix == ".ipynb" else "")
    return runner_for_script(read_script(str(path)), args, settings(), **keywords)


def test_a_script_is_named_as_it_is_seen_from_where_the_command_starts(tmp_path: Path) -> None:
    assert script_runner(tmp_path / "a.py", "1") == Runner("run", ("python", "a.py", "1"), "run", "a")
    found = script_runner(tmp_path / "a.py", directory="jobs", path="../src/a.py")
    assert (found.argv, found.directory) == (("python", "../src/a.py"), "jobs")
    assert script_runner(tmp_path / "a.sh", "-v", path="src/a.sh").argv == ("bash", "src/a.sh", "-v")
    assert script_runner(tmp_path / "-a.sh", path="-d/-a.sh").argv == ("bash", "./-d/-a.sh")


def test_a_module_is_run_by_name(tmp_path: Path) -> None:
    found = runner_for_module("pkg.train", ["-m", "x"], settings(), "src")
    assert found.argv == ("python", "-m", "pkg.train", "-m", "x")
    assert (found.command, found.model, found.directory) == ("run", "-m pkg.train", "src")
    template = settings(command="torchrun -m {model} {args}")
    assert runner_for_module("pkg.train", ["x"], template).argv == ("torchrun", "-m", "pkg.train", "x")
    assert runner_for_program(["make", "train"], "src").directory == "src"


def test_the_host_is_told_where_the_command_starts() -> None:
    for directory, kept in (("src/a b", ("src/a b",)), ("", None)):
        chosen = settings().with_login(Login(Target("gpu1")))
        task = Task(runner_for_program(["make"], directory), chosen, "/results")
        assert task.start("id", discard=False, clean=False).files.get("start") == kept


def test_a_notebook_is_executed_and_is_its_own_result(tmp_path: Path) -> None:
    path = tmp_path / "a[1].ipynb"
    found = script_runner(path, directory="jobs", path="../src/a[1].ipynb")
    assert found.argv == ("python", "-m", "sshrun_notebook", "../src/a[1].ipynb")
    assert found.requirements == ("nbclient", "ipykernel")
    assert (found.outputs, found.rewrites) == (("src/a[[]1].ipynb*",), str(path))
    pinned = settings().with_values(requirements=(Sourced("NbClient==0.10", PLACE),))
    assert runner_for_script(read_script(str(path)), [], pinned).requirements == ("ipykernel",)
    template = runner_for_script(read_script(str(path)), ["x"], settings(command="papermill {model} - {args}"))
    assert template == Runner("run", ("papermill", "a[1].ipynb", "-", "x"), "run", "a[1].ipynb")
    with pytest.raises(UsageError, match="takes no arguments"):
        script_runner(path, "x")


def test_the_script_block_of_a_notebook_keeps_its_place_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.ipynb"
    cells = [
        {"cell_type": "markdown", "source": ["# /// script"]},
        {"cell_type": "code", "source": ["# /// script\n", "# [tool.sshrun]\n", "# nosuch = 1\n", "# ///"]},
        {"cell_type": "code", "source": "import x"},
    ]
    path.write_text(json.dumps({"cells": cells[1:]}, indent=1))
    layer = read_script(str(path)).layers[1]
    (line,) = [number for number, text in enumerate(path.read_text().splitlines(), 1) if "nosuch" in text]
    assert layer.problems[0].startswith(f"a.ipynb:{line} "), layer.problems
    assert code_of(json.dumps({"cells": cells}).encode()).endswith(b"# ///\nimport x")


def test_mltk_runs_a_spec_that_imports_it(tmp_path: Path, home: Path) -> None:
    found = runner(tmp_path, MLTK, "train sub/my_model.py --epochs 3")
    assert found.name == "mltk"
    assert found.argv == ("mltk", "train", "my_model", "--epochs", "3")
    assert (found.command, found.model, found.archive) == ("train", "my_model", "my_model.mltk.zip")
    assert found.logs == RunnerLogs(
        f"{home}/.mltk/models/my_model", "models/my_model", "cli_logs/train.log", "MLTK_CACHE_DIR", "~/.mltk"
    )
    assert found.logs.remote == "~/.mltk/models/my_model"
    assert found.requirements == ("silabs-mltk", "typer==0.12.5", "click==8.1.7")


@pytest.mark.parametrize("words", ["train my_model-test", "train my_model --test"])
def test_test_mode_of_mltk_has_its_own_archive_and_logs(tmp_path: Path, home: Path, words: str) -> None:
    found = runner(tmp_path, MLTK, words)
    assert found.argv[:3] == ("mltk", "train", "my_model-test")
    assert found.archive == "my_model-test.mltk.zip"
    assert found.logs is not None
    assert found.logs.local == f"{home}/.mltk/models/my_model-test"
    literal = runner(tmp_path, MLTK + "m.log_dir = 'logs/x'", words)
    assert literal.logs is not None
    assert (literal.logs.remote, literal.logs.local) == ("./logs/x-test", f"{tmp_path}/logs/x-test")


def test_clean_is_handed_on_to_mltk_once(tmp_path: Path) -> None:
    assert runner(tmp_path, MLTK, "train my_model", clean=True).argv == ("mltk", "train", "my_model", "--clean")
    assert runner(tmp_path, MLTK, "train my_model --clean", clean=True).argv.count("--clean") == 1
    assert "--clean" not in runner(tmp_path, "", "train my_model", clean=True).argv
    # No other command of mltk's has the option.
    assert "--clean" not in runner(tmp_path, MLTK, "evaluate my_model", clean=True).argv


@pytest.mark.parametrize(("command", "meant"), [("tran", "train"), ("evalute", "evaluate"), ("sumarise", "summarize")])
def test_a_mistyped_command_of_mltk_is_an_error(tmp_path: Path, command: str, meant: str) -> None:
    with pytest.raises(UsageError, match=f"did you mean {meant}") as caught:
        runner(tmp_path, MLTK, f"{command} my_model")
    assert f"sshrun {meant} my_model" in caught.value.hint
    # Only mltk's own commands are known: a script, or a template, may have any.
    assert runner(tmp_path, "", f"{command} my_model").argv[-1] == command
    template = settings(command="launcher {command}")
    assert runner(tmp_path, MLTK, f"{command} my_model", template).argv == ("launcher", command)


def test_what_may_be_a_command_of_a_plugin_goes_to_mltk(tmp_path: Path) -> None:
    assert runner(tmp_path, MLTK, "deploy my_model").argv == ("mltk", "deploy", "my_model")


@pytest.mark.parametrize(
    ("words", "inputs", "outputs"),
    [
        ("evaluate m", [], []),
        ("train m --output x", [], []),
        ("profile m --output out/x/", [], ["out/x|{here}/out/x"]),
        ("summarize m --output=x.txt", [], ["x.txt|{here}/x.txt"]),
        ("quantize m -o /tmp/x", [], ["/tmp/x|/tmp/x"]),
        ("quantize m -o ~/x", [], ["~/x|~/x"]),
        ("quantize m -o .", [], ["my_model*.tflite"]),
        ("quantize m -o ..", [], []),
        ("quantize m -o", [], []),
        ("update_params m --params params.json", ["{here}/params.json|./params.json"], []),
        ("update_params m --params ./missing.json", [], []),
        ("evaluate m --weights best", [], []),
    ],
)
def test_files_that_arguments_name_go_along_or_come_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: str, inputs: list[str], outputs: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.json").touch()
    found = runner(tmp_path, MLTK, words)
    assert [list(found.inputs), list(found.outputs)] == [
        [text.format(here=tmp_path) for text in texts] for texts in (inputs, outputs)
    ]


def test_the_cache_folder_of_mltk_is_followed_here(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLTK_CACHE_DIR", "~/cache")
    logs = runner(tmp_path, MLTK, "train my_model").logs
    assert logs is not None
    assert (logs.remote, logs.local) == ("~/.mltk/models/my_model", f"{home}/cache/models/my_model")


def test_logs_of_a_stored_job_stay_in_their_place(tmp_path: Path, home: Path) -> None:
    def local(directory: str) -> str | None:
        data = {"directory": directory, "command_log": "cli_logs/train.log", "variable": "V", "cache": "~/.mltk"}
        logs = stored_logs(data, str(tmp_path))
        return logs.local if logs else None

    assert local("models/x") == local("models/../x") == f"{home}/.mltk/models/x"
    assert local("./logs/x") == f"{tmp_path}/logs/x"
    assert local("/etc/x") == local("~/x") == local("./../x") == local("./a/../../x") == f"{tmp_path}/x"
    assert local("models/..") is local("/") is local("./.") is local("~") is None
    assert stored_logs({"there": "written by another version"}, str(tmp_path)) is None


def test_a_requirement_of_the_user_replaces_the_runners_own(tmp_path: Path) -> None:
    own = tuple(Sourced(line, PLACE) for line in ("Silabs_MLTK[full]==0.19", "click>=8 ; python_version > '3'"))
    found = runner(tmp_path, MLTK, "train my_model", settings().with_values(requirements=own))
    assert found.requirements == ("typer==0.12.5",)


def test_mltk_is_taken_in_the_version_installed_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for version, extra in (("0.20.0", ("typer==0.12.5", "click==8.1.7")), ("0.19.0", ())):
        site = tmp_path / version
        (site / f"silabs_mltk-{version}.dist-info").mkdir(parents=True)
        (site / f"silabs_mltk-{version}.dist-info/METADATA").write_text(
            f"Metadata-Version: 2.1\nName: silabs-mltk\nVersion: {version}\n"
        )
        monkeypatch.syspath_prepend(str(site))
        found = runner(tmp_path, MLTK, "train my_model")
        assert found.requirements == (f"silabs-mltk=={version}", *extra)
        assert ("Python 3.10 to 3.12 on x86-64 Linux" in found.fits) is bool(extra)


def test_a_script_and_a_program_are_what_they_say(tmp_path: Path) -> None:
    path = tmp_path / "fit.py"
    path.write_text(MLTK)
    found = runner_for_script(read_spec(str(path)), ["--lr", "0.1"], settings())
    assert found == Runner("run", ("python", "fit.py", "--lr", "0.1"), "run", "fit")
    assert runner_for_script(read_spec(str(path)), [], settings(archive="a")).archive == "a"
    assert runner_for_program(["./x", "a b"]) == Runner("program", ("./x", "a b"), "--", "./x")


# -- the template


def test_a_template_replaces_the_command_of_every_runner_with_a_spec(tmp_path: Path) -> None:
    chosen = settings(command="torchrun --n=2 'my {model}.py' {command} {args}")
    words = ("torchrun", "--n=2", "my my_model.py", "train", "1", "2")
    assert runner(tmp_path, "", "train my_model 1 2", chosen).argv == words
    assert runner(tmp_path, MLTK, "train my_model 1 2", chosen).argv == words
    spec = read_spec(str(tmp_path / "my_model.py"))
    assert runner_for_script(spec, ["1"], chosen).argv == ("torchrun", "--n=2", "my my_model.py", "1")


@pytest.mark.parametrize(
    ("template", "problem"),
    [
        ("x 'y", "No closing quotation"),
        ("  ", "no program is named"),
        ("x --a={args}", "{args} must be a word of its own"),
        ("x {command}", "there is no {args} for '1 2'"),
    ],
)
def test_a_wrong_template_is_a_problem_with_its_place(tmp_path: Path, template: str, problem: str) -> None:
    with pytest.raises(SettingsError) as caught:
        runner(tmp_path, "", "train my_model 1 2", settings(command=template))
    assert caught.value.problems[0].startswith("my_model.py:7 ssh_command: ")
    assert problem in caught.value.problems[0]


wild = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12) | st.sampled_from(
    [
        "$(touch canary)",
        "`touch canary`",
        "; touch canary",
        "{args}",
        "{model}",
        "{command}",
        "'",
        '"',
        "\\",
        "-",
        "*",
        "",
    ]
)


@given(wild.filter(bool), st.lists(wild, max_size=4), st.sampled_from(["my_model", "{command}", "{args}"]))
def test_no_word_is_split_joined_expanded_or_replaced(
    tmp_path_factory: pytest.TempPathFactory, command: str, args: list[str], name: str
) -> None:
    folder = tmp_path_factory.mktemp("model")
    (folder / f"{name}.py").touch()
    spec = read_spec(str(folder / f"{name}.py"))
    template = settings(command="printf '%s\\0' {command} {model} {args}")
    found = runner_for_model(spec, command, args, template, model=name, clean=False)
    assert found.argv[2:] == (command, name, *args)
    assert runner_for_model(spec, command, args, settings(), model=name, clean=False).argv[2:] == (command, *args)
    printed = subprocess.run(found.argv, capture_output=True, check=True, cwd=folder).stdout
    assert printed.decode().split("\0")[:-1] == [command, name, *args]
    assert os.listdir(folder) == [f"{name}.py"]
