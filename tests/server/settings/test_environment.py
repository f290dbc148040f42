"""Every byte of every value reaches the job, whatever file it stands in; and nothing in it is ever carried out."""

from __future__ import annotations

import json
import os
from pathlib import Path

import hypothesis
import pytest
from hypothesis import HealthCheck, Phase, given
from hypothesis import strategies as st

from support.desk import Desk

# The job writes down its environment as the kernel has it: no Python, no encoding in between.
SHOW = ["--", "cat", "/proc/self/environ"]

AS_TEXT = {
    "PLAIN": "value",
    "EMPTY": "",
    "SPACES": "  two  words ",
    "HOME_NAMED": "$HOME/${USER}/$(touch canary)/`touch canary`",
    "QUOTED": 'it\'s "so"',
    "ESCAPED": "back\\slash \\n \\\\ \\0101 \\c",
    "LINES": "one\ntwo\n\n",
    "EQUAL": "a=b=c",
    "DASH": "-n",
    "PERCENT": "%s %n %%",
    "GLOB": "* ~ ?",
    "TAB": "\ta\r",
    "ESC": "\x1b]0;x\x07",
    "UNICODE": "ä ✓ 😀 \u202e \u2028",
    "LONG": "x" * 20_000,
}


def saw(desk: Desk, *options: str) -> dict[str, str]:
    pairs = (pair.partition("=") for pair in os.fsdecode(desk(*options, *SHOW).stdout).split("\0")[:-1])
    return {name: value for name, _, value in pairs}


@pytest.mark.parametrize("form", ["list", "mapping"])
def test_the_user_file_brings_every_byte(desk: Desk, form: str) -> None:
    # One pair of quotes is taken off in a list, and only there.
    listed = [f'{name}="{value}"' if value[:1] in "'\"" else f"{name}={value}" for name, value in AS_TEXT.items()]
    desk.log_in_as(environment=listed if form == "list" else AS_TEXT)
    assert saw(desk).items() >= AS_TEXT.items()
    assert not list(desk.world.accounts["joe"].home.rglob("canary"))


@pytest.mark.parametrize("place", ["spec", "spec, as a list", "pyproject.toml"])
def test_a_spec_and_a_project_file_bring_every_byte(desk: Desk, place: str) -> None:
    values = {"spec": repr(AS_TEXT), "spec, as a list": repr([f"{name}={value}" for name, value in AS_TEXT.items()])}
    spec = f"m.ssh_environment = {values[place]}\n" if place in values else ""
    desk.write("fit.py", f"class M: pass\nm = M()\n{spec}")
    if place not in values:
        toml = "".join(f"{name} = {json.dumps(value, ensure_ascii=False)}\n" for name, value in AS_TEXT.items())
        desk.write("pyproject.toml", f"[tool.sshrun.environment]\n{toml}")
    desk.log_in_as(create_venv=False, command="cat /proc/self/environ")
    output = desk("run", "fit.py").stdout
    found = dict(os.fsdecode(pair).partition("=")[::2] for pair in output.split(b"\0")[:-1])
    assert found.items() >= AS_TEXT.items()


def test_what_yaml_would_change_reaches_the_job_as_written(desk: Desk) -> None:
    desk.log_in_as()
    path = desk.home / ".sshrun/user_settings.yaml"
    written = ["on", "yes", "No", "0123", "1_000", "0x10", "1.50", "1e3", "~x", "12:30:45", "2024-01-01", "TRUE"]
    lines = "".join(f"    V{number}: {text}\n" for number, text in enumerate(written))
    login = json.loads(path.read_text())["ssh"]
    flow = "".join(f"  {key}: {json.dumps(value)}\n" for key, value in login.items())
    path.write_text(f"ssh:\n{flow}  environment:\n{lines}    NOTHING:\n    'NULL': null\n")
    expected = {f"V{number}": text for number, text in enumerate(written)} | {"NOTHING": "", "NULL": ""}
    assert saw(desk).items() >= expected.items()


def test_a_list_takes_names_alone_and_one_pair_of_quotes(desk: Desk) -> None:
    desk.log_in_as(environment=["ALONE", "EMPTY=", "QUOTED=' a '", 'DOUBLE=""x""', "HALF='x", "EQUAL=a=b"])
    expected = {"ALONE": "", "EMPTY": "", "QUOTED": " a ", "DOUBLE": '"x"', "HALF": "'x", "EQUAL": "a=b"}
    assert saw(desk).items() >= expected.items()


def test_the_strongest_place_wins_variable_by_variable(desk: Desk) -> None:
    desk.write("fit.py", 'class M: pass\nm = M()\nm.ssh_environment = {"A": "spec"}\n')
    desk.write("pyproject.toml", '[tool.sshrun]\nenvironment = ["A=project", "B=project"]\n')
    desk.log_in_as(create_venv=False, environment=["A=user", "B=user", "C=user"], command="sh -c 'echo $A $B $C'")
    assert desk("run", "fit.py").stdout == b"spec project user\n"


def test_names_that_no_shell_can_set_are_errors_and_no_surprise(desk: Desk) -> None:
    names = ["UID", "EUID", "PPID", "SHELLOPTS", "PIPESTATUS", "RANDOM", "_"]
    desk.log_in_as(environment=dict.fromkeys(names, "1"))
    lines = desk(*SHOW, status=2).stderr.splitlines()
    for name, line in zip(names, lines, strict=True):
        assert f"ssh.environment.{name}: {name} is set by the shell itself on the host" in line
    assert desk.world.entries() == []


def test_names_that_are_none_are_errors_that_do_not_show_them(desk: Desk) -> None:
    names = ["1A", "A-B", "A B", "", "Ä", "A$(touch canary)", "BASH_FUNC_ls%%", "hunter2 and no name"]
    desk.log_in_as(environment=[f"{name}=hunter2" for name in names])
    finished = desk(*SHOW, status=2)
    assert finished.stderr.count(": a name is letters, digits and _") == len(names)
    assert "hunter2" not in finished.stderr
    assert desk.world.entries() == []


def test_what_bash_would_run_on_its_start_is_a_value_like_any_other(desk: Desk, tmp_path: Path) -> None:
    values = {"PS1": "$(touch ~/canary)", "PROMPT_COMMAND": "touch ~/canary", "IFS": "a", "CDPATH": "/", "PS4": "$(x)"}
    desk.log_in_as(environment=values)
    found = saw(desk)
    assert {name: found.get(name) for name in values} == values
    assert not (desk.world.accounts["joe"].home / "canary").exists()


def test_a_value_that_looks_as_if_it_were_to_be_expanded_gets_a_note(desk: Desk) -> None:
    desk.log_in_as(environment=["OUT=$HOME/out", "PRICE=5$"])
    finished = desk("--", "sh", "-c", 'echo "$OUT"')
    assert finished.stdout == b"$HOME/out\n"
    (note,) = [line for line in finished.stderr.splitlines() if "startup_cmds" in line]
    assert "ssh.environment[0]: OUT" in note


names = st.from_regex(r"X[A-Za-z0-9_]{0,8}", fullmatch=True)
values = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=30) | st.lists(
    st.sampled_from(["$(touch canary)", "`touch canary`", "; touch canary", "'", '"', "\\", "\n", "$", "\\n", "&"]),
    max_size=6,
).map("".join)


# Each example is a whole run, so each tries many values, and none is made smaller afterwards.
@hypothesis.settings(
    max_examples=3, phases=[Phase.generate], suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.dictionaries(names, values, min_size=30, max_size=60))
def test_any_value_arrives_and_none_is_carried_out(desk: Desk, wanted: dict[str, str]) -> None:
    desk.log_in_as(environment=wanted)
    assert saw(desk).items() >= wanted.items()
    assert not list(desk.world.accounts["joe"].home.rglob("canary"))
    assert not (desk.folder / "canary").exists()


def test_variables_of_this_machine_are_passed_on_by_name_and_by_pattern(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    passed = {"HF_TOKEN": "it's $HOME\nso", "WANDB_KEY": "w", "WANDB_MODE": "", "TYPED": "t", "VALUE": "local"}
    for name, value in {**passed, "STAYS": "s", "wandb_x": "x"}.items():
        monkeypatch.setenv(name, value)
    desk.log_in_as(environment=["VALUE=file"], pass_environment=["HF_TOKEN", "WANDB_*", "VALUE", "NOWHERE"])
    found = saw(desk, "--env", "TYPED", "--env=HF_*")
    assert found.items() >= (passed | {"VALUE": "file"}).items(), "a value that was written counts"
    assert not {"STAYS", "wandb_x", "NOWHERE"} & found.keys()
    finished = desk("--env", "VALUE", *SHOW)
    assert b"VALUE=local\0" in finished.stdout, "what is typed counts most"
    assert "pass_environment[3]: NOWHERE is not set on this machine" in finished.stderr


def test_a_pattern_passes_on_nothing_that_tells_of_this_machine(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PATH", "LD_LIBRARY_PATH", "SSH_AUTH_SOCK", "UID", "XDG_RUNTIME_DIR"):
        monkeypatch.setenv(name, f"{os.environ.get(name, '')}:/of/this/machine")
    desk.log_in_as(pass_environment=["*"])
    assert not [value for value in saw(desk).values() if "/of/this/machine" in value]


def test_a_spec_passes_variables_on_and_none_shows_its_value(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hunter2")
    desk.write("fit.py", 'class M: pass\nm = M()\nm.ssh_pass_environment = ["HF_*"]\n')
    desk.log_in_as(create_venv=False, command="sh -c 'test \"$HF_TOKEN\" = hunter2'")
    for words in (("--dry-run",), ("--json", "--dry-run"), ("-v",)):
        finished = desk(*words, "run", "fit.py")
        assert "hunter2" not in finished.stdout.decode().replace("= hunter2", "") + finished.stderr
    assert b"HF_TOKEN=***" in desk("--dry-run", "run", "fit.py").stdout


def test_a_name_without_value_that_is_set_here_is_noted(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hunter2")
    for environment in (["HF_TOKEN"], {"HF_TOKEN": None}):
        desk.log_in_as(environment=environment)
        finished = desk(*SHOW)
        assert b"HF_TOKEN=\0" in finished.stdout
        assert "reaches the job empty" in finished.stderr and "pass_environment: [HF_TOKEN]" in finished.stderr
        desk.log_in_as(environment=environment, pass_environment=["HF_TOKEN"])
        finished = desk(*SHOW)
        assert b"HF_TOKEN=hunter2\0" in finished.stdout and finished.stderr.count("warning") == 0
    desk.log_in_as(environment=["HF_TOKEN="])
    assert "reaches the job empty" not in desk(*SHOW).stderr, "that is what was written"


@pytest.mark.parametrize("word", ["TOKEN=hunter2", "CartPole-v1", "UID", ""])
def test_what_cannot_be_passed_on_is_an_error_before_anything_connects(desk: Desk, word: str) -> None:
    desk.log_in_as()
    finished = desk("--env", word, *SHOW, status=2)
    assert "hunter2" not in finished.stderr and finished.stderr.count("\n") == 1
    desk.log_in_as(pass_environment=["TOKEN=hunter2", "UID"])
    finished = desk(*SHOW, status=2)
    assert "hunter2" not in finished.stderr and finished.stderr.count("\n") == 2
    assert desk.world.entries() == []
