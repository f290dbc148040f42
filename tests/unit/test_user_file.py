from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sshrun.settings.files import load_user_file
from sshrun.settings.schema import Layer


@pytest.fixture
def user_file(home: Path) -> Path:
    path = home / ".sshrun" / "user_settings.yaml"
    path.parent.mkdir()
    return path


def load(path: Path, text: str) -> Layer:
    path.write_text(text)
    return load_user_file()


def environment(layer: Layer) -> dict[str, str]:
    return {variable.name: variable.value for variable in layer.environment}


def values(settings: tuple[object, ...]) -> list[str]:
    return [str(setting) for setting in settings]


# -- which file


def test_the_first_file_that_is_there_counts(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    places = [
        home / ".mltk/user_settings.yaml",
        home / ".sshrun/user_settings.yaml",
        tmp_path / "mltk",
        tmp_path / "own",
    ]
    assert load_user_file() == Layer()
    monkeypatch.setenv("MLTK_USER_SETTINGS_PATH", str(tmp_path / "mltk"))
    monkeypatch.setenv("SSHRUN_USER_SETTINGS_PATH", str(tmp_path / "own"))
    for number, place in enumerate(places):
        place.parent.mkdir(exist_ok=True)
        place.write_text(f"ssh: {{remote_dir: place{number}}}")
        remote_dir = load_user_file().remote_dir
        assert remote_dir is not None
        assert remote_dir.value == f"place{number}"


def test_a_variable_that_names_no_file_is_said_and_passed_over(
    user_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSHRUN_USER_SETTINGS_PATH", "~/missing.yaml")
    layer = load(user_file, "ssh: {remote_dir: x}")
    assert layer.remote_dir is not None
    assert layer.warnings == (
        "$SSHRUN_USER_SETTINGS_PATH names ~/missing.yaml: there is no such file; correct or unset it",
    )


# -- a file of mltk, unchanged


def test_a_file_of_mltk_works_unchanged(home: Path) -> None:
    (home / ".ssh").mkdir()
    (home / ".ssh/config").touch()
    (home / ".ssh/id_gpu").touch()
    (home / ".mltk").mkdir()
    (home / ".mltk/user_settings.yaml").write_text(
        """
model_paths:
  - ~/models
commander:
  device: EFR32
ssh:
  config_path: ~/.ssh/config
  remote_dir: ~/workspace
  create_venv: false
  sync_local_mltk: false
  connection:
    hostname: ssh.example.com
    port: 456
    username: joe
    key_filename: $HOME/.ssh/id_gpu
  environment:
    - DEV=1
    - SPACED="a b"
    - EMPTY
  upload_files:
    - dataset.zip
    - config.txt
  startup_cmds:
    - sudo apt install -y p7zip-full
  download_files:
    - custom_logs/**
  shutdown_cmds:
    - "curl -X DELETE https://x/?id=`cat ~/id`"
"""
    )
    layer = load_user_file()
    assert layer.problems == ()
    advice = "send files with upload_files, and install them with startup_cmds"
    assert layer.warnings == (f"user_settings.yaml:10 ssh.sync_local_mltk: sshrun has no use for it; {advice}",)
    assert values(layer.connection) == ["ssh.example.com", "456", "joe", str(home / ".ssh/id_gpu")]
    assert str(layer.config_path) == str(home / ".ssh/config")
    assert str(layer.remote_dir) == "workspace"
    assert layer.create_venv is not None
    assert layer.create_venv.value is False
    assert environment(layer) == {"DEV": "1", "SPACED": "a b", "EMPTY": ""}
    assert values(layer.upload_files) == ["dataset.zip", "config.txt"]
    assert values(layer.startup_cmds) == ["sudo apt install -y p7zip-full"]
    assert values(layer.download_files) == ["custom_logs/**"]
    assert values(layer.shutdown_cmds) == ["curl -X DELETE https://x/?id=`cat ~/id`"]
    assert values(layer.model_paths) == [str(home / "models")]


def test_empty_values_mean_not_set(user_file: Path) -> None:
    empty = "ssh: {config_path: '', remote_dir: ~, connection: {hostname: '', port: , key_filename: '', password: ''},"
    assert (
        load(user_file, empty + " environment: {}, upload_files: [], startup_cmds: ['', null], archive: ''}") == Layer()
    )
    assert load(user_file, "ssh:\nother: 1\n") == Layer()
    assert load(user_file, "") == Layer()


# -- what is wrong


def test_all_problems_are_told_at_once_in_the_order_of_the_file(user_file: Path) -> None:
    layer = load(
        user_file,
        """ssh:
  upload_file: [a]
  remote_dir: 5
  create_venv: 'true'
  connection: {hostname: -oProxyCommand=x, port: 70000, usernme: joe, username: a b}
  config_path: missing
  upload_files: a.zip
  startup_cmds:
    - ls
    - [ls]
    - 5
  environment: [1A=1]
  remote_dir: x
  transfer: ftp
  archive: ../x.zip
  requirements: [-r missing.txt, -e .]
  stop_grace: 1.5
  leftovers: keep
""",
    )
    assert list(layer.problems) == [
        "user_settings.yaml:2 ssh.upload_file: unknown setting; do you mean ssh.upload_files?",
        "user_settings.yaml:4 ssh.create_venv: true or false (without quotes) is needed, not a string",
        "user_settings.yaml:5 ssh.connection.usernme: unknown setting; do you mean ssh.connection.username?",
        "user_settings.yaml:5 ssh.connection.hostname: HOST begins with '-'",
        "user_settings.yaml:5 ssh.connection.port: a port of 1 to 65535 is needed, not a number",
        "user_settings.yaml:5 ssh.connection.username: USER contains a space or a control character",
        "user_settings.yaml:6 ssh.config_path: missing: there is no such file; correct it, or leave it empty",
        "user_settings.yaml:7 ssh.upload_files: a list is needed, not a string (put it in [ ])",
        "user_settings.yaml:10 ssh.startup_cmds[1]: a string is needed, not a list",
        "user_settings.yaml:11 ssh.startup_cmds[2]: a string is needed, not a number: put it in quotes",
        "user_settings.yaml:12 ssh.environment[0]: a name is letters, digits and _, as in NAME=value",
        "user_settings.yaml:13 ssh.remote_dir: duplicate key, first in line 3: remove one",
        "user_settings.yaml:14 ssh.transfer: one of rsync, tar, scp is needed",
        "user_settings.yaml:15 ssh.archive: a path inside the working directory is needed, such as out.zip",
        f"user_settings.yaml:16 ssh.requirements[0]: {user_file.parent}/missing.txt: No such file or directory",
        "user_settings.yaml:16 ssh.requirements[1]: -e names a local directory: upload_files, then pip in startup_cmds",
        "user_settings.yaml:17 ssh.stop_grace: a whole number of seconds, such as 60, is needed",
        "user_settings.yaml:18 ssh.leftovers: one of stop, wait is needed",
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("ssh: [", ":1: is not YAML: did not find expected node content"),
        ("a: 1\n---\nb: 2", ":2: is not YAML: but found another document"),
        ("ssh: &a [*a]", ":1: is not YAML: an alias within what it names: remove it"),
        ("ssh: {environment: !secret x}", ":1: is not YAML: the tag !secret is not supported: remove it"),
        ("ssh: {? [a] : 1}", ":1: is not YAML: a key must be one word"),
        ("- ssh", ":1: a mapping is needed, with the settings below `ssh:`"),
        ("ssh: here", ":1 ssh: settings are needed, as `key: value`"),
        ("ssh: {}\nssh: {}", ":2 ssh: duplicate key: remove one"),
        ("x" * 2_000_000, ": is larger than 1 MiB"),
    ],
)
def test_what_is_no_settings_file_is_one_line(user_file: Path, text: str, problem: str) -> None:
    assert load(user_file, text).problems == (f"user_settings.yaml{problem}",)


@pytest.mark.parametrize("text", ["[", "- ", "{a: "])
def test_a_file_nested_beyond_reason_is_one_line(user_file: Path, text: str) -> None:
    (problem,) = load(user_file, text * 100_000).problems
    # libyaml has had a limit of its own since 0.2.6, and reads ahead of what it tells.
    assert re.fullmatch(r"user_settings\.yaml(:1)?: is .*(too deeply nested|maximum nesting depth)", problem)


def test_a_file_that_is_no_text_or_cannot_be_read_is_one_line(user_file: Path) -> None:
    user_file.write_bytes(b"ssh:\n  remote_dir: \xff\n")
    assert load_user_file().problems == ("user_settings.yaml:2: is not UTF-8 text; save it as UTF-8",)
    user_file.unlink()
    user_file.mkdir()
    assert load_user_file().problems == (f"user_settings.yaml: Is a directory; its place is {user_file}",)


def test_keys_of_other_tools_are_left_alone_whatever_they_hold(user_file: Path) -> None:
    layer = load(user_file, "other: !!python/name:os.system {}\nother: [&a 1]\n? [x]\n: y\nssh: {remote_dir: x}")
    assert (layer.problems, str(layer.remote_dir)) == ((), "x")


def test_each_key_of_mltk_without_a_use_here_is_one_warning_that_shows_no_secret(user_file: Path) -> None:
    layer = load(user_file, "ssh: {connection: {password: hunter2, timeout: 5, allow_agent: false}}")
    assert len(layer.warnings) == 3
    assert "sshrun ssh-keygen" in layer.warnings[0]
    assert "hunter2" not in repr(layer)


def test_anchors_and_merge_keys_are_followed(user_file: Path) -> None:
    text = "x: &x {remote_dir: a, archive: b}\nssh:\n  <<: *x\n  archive: c\n"
    layer = load(user_file, text + "  upload_files: &l [d]\n  download_files: *l\n")
    assert layer.problems == ()
    assert (str(layer.remote_dir), str(layer.archive)) == ("a", "c")
    assert (values(layer.upload_files), values(layer.download_files)) == (["d"], ["d"])


def test_files_are_relative_to_the_settings_file(user_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (user_file.parent / "key").touch()
    (user_file.parent / "r.txt").write_text(
        "numpy>=1 # fast\n\n# none\n-r sub/s.txt\nsci\\\npy\n--index-url https://x/#y\n"
    )
    (user_file.parent / "sub").mkdir()
    (user_file.parent / "sub/s.txt").write_text("torch")
    monkeypatch.setenv("KEY", "key")
    layer = load(user_file, "ssh: {connection: {key_filename: $KEY}, requirements: [-r r.txt, rich]}")
    assert layer.problems == ()
    assert str(layer.connection.key_filename) == str(user_file.parent / "key")
    assert values(layer.requirements) == ["numpy>=1", "torch", "scipy", "--index-url https://x/#y", "rich"]
    assert str(layer.requirements[1].origin) == "s.txt:1 ssh.requirements[0]"


def test_requirements_are_not_lost_behind_a_backslash(user_file: Path) -> None:
    (user_file.parent / "r.txt").write_text("# off \\\nrich\nnumpy \\\n  >=1\ntorch \\\n# last\nscipy \\")
    assert values(load(user_file, "ssh: {requirements: [-r r.txt]}").requirements) == [
        "rich",
        "numpy   >=1",
        "torch",
        "scipy",
    ]


def test_requirements_that_name_one_another_are_a_problem(user_file: Path) -> None:
    (user_file.parent / "r.txt").write_text("-r r.txt")
    assert "too often" in load(user_file, "ssh: {requirements: [-r r.txt]}").problems[0]


# -- environment


@pytest.mark.parametrize(
    ("item", "value"),
    [
        ("A=", ""),
        ("A", ""),
        ("A=b=c", "b=c"),
        ('A="b c"', "b c"),
        ("A='b'", "b"),
        ("A='b\"", "'b\""),
        ('A="', '"'),
        ('A="a" "b"', 'a" "b'),
        ("A= b ", " b "),
        ("A=0123", "0123"),
        ("A=on", "on"),
        ("A=ä\u2028", "ä\u2028"),
        ("A=''", ""),
    ],
)
def test_a_list_takes_one_pair_of_quotes_off(user_file: Path, item: str, value: str) -> None:
    import json

    assert environment(load(user_file, f"ssh: {{environment: [{json.dumps(item)}]}}")) == {"A": value}


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("on", "on"),
        ("yes", "yes"),
        ("0123", "0123"),
        ("1.50", "1.50"),
        ("1_000", "1_000"),
        ("0x1F", "0x1F"),
        ("True", "True"),
        ("'\"x\"'", '"x"'),
        ("2024-01-01", "2024-01-01"),
        ("null", ""),
        ("", ""),
        ("12:30", "12:30"),
        ("|\n      a\n      b\n", "a\nb\n"),
    ],
)
def test_a_mapping_keeps_what_is_written(user_file: Path, written: str, value: str) -> None:
    layer = load(user_file, f"ssh:\n  environment:\n    A: {written}\n")
    assert layer.problems == ()
    assert environment(layer) == {"A": value}


def test_a_list_keeps_what_is_written_even_where_yaml_sees_a_boolean(user_file: Path) -> None:
    assert environment(load(user_file, "ssh: {environment: [on, yes]}")) == {"on": "", "yes": ""}


@pytest.mark.parametrize("value", ["$HOME/x", "a`id`", "${X}", "$(id)", "x$_"])
def test_a_value_that_looks_expandable_gets_a_note_without_the_value(user_file: Path, value: str) -> None:
    layer = load(user_file, f"ssh:\n  environment:\n    - A={value}\n")
    assert environment(layer) == {"A": value}
    note = "user_settings.yaml:3 ssh.environment[0]: A reaches the job as it is written; to have it expanded, export it"
    assert layer.warnings == (note + " in startup_cmds",)


@pytest.mark.parametrize("value", ["100$", "$ x", "$5", "a$"])
def test_a_dollar_alone_needs_no_note(user_file: Path, value: str) -> None:
    assert load(user_file, f"ssh: {{environment: ['A={value}']}}").warnings == ()


@pytest.mark.parametrize(
    "text",
    [
        "[hunter2!]",
        "['A B=hunter2']",
        "{'hunter2 ': x}",
        "{A: [hunter2]}",
        "[{A: hunter2}]",
        '["A=hunter2\\0"]',
        "hunter2",
        "{A: 1, A: hunter2}",
    ],
)
def test_a_wrong_entry_of_the_environment_is_told_without_its_text(user_file: Path, text: str) -> None:
    layer = load(user_file, f"ssh: {{environment: {text}}}")
    assert len(layer.problems) == 1
    assert "hunter2" not in repr(layer)


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=60))
def test_every_value_arrives_byte_for_byte(tmp_path_factory: pytest.TempPathFactory, value: str) -> None:
    path = tmp_path_factory.mktemp("settings") / "settings.yaml"
    escaped = "".join(f"\\U{ord(character):08X}" for character in value)
    path.write_text(f'ssh: {{environment: {{A: "{escaped}"}}}}')
    os.environ["SSHRUN_USER_SETTINGS_PATH"] = str(path)
    try:
        assert environment(load_user_file()) == {"A": value}
    finally:
        del os.environ["SSHRUN_USER_SETTINGS_PATH"]


# -- anything at all

yaml_pieces = st.sampled_from(
    [
        "ssh:",
        "\n",
        "  ",
        "- ",
        "{",
        "}",
        "[",
        "]",
        ",",
        ": ",
        "environment",
        "connection",
        "port",
        "&a",
        "*a",
        "<<",
        "|",
        "'",
        '"',
        "~",
        "!!set",
        "on",
        "1.5",
        "\t",
        "#",
        "? ",
        "---",
        "%",
        "requirements",
        "-r x",
        "$A",
        "\x00",
        "é",
        "upload_files",
    ]
)


@given(st.lists(yaml_pieces, max_size=30).map("".join) | st.text(max_size=60))
@example("ssh: {environment: {<<: 1}}")
@example("ssh: {<<: [1, {a: b}]}")
@example("ssh: !!set {environment}")
@example("ssh: !!binary x")
def test_any_text_gives_settings_or_problems_of_one_line(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.mktemp("settings") / "settings.yaml"
    path.write_text(text, encoding="utf-8", newline="")
    os.environ["SSHRUN_USER_SETTINGS_PATH"] = str(path)
    try:
        layer = load_user_file()
    finally:
        del os.environ["SSHRUN_USER_SETTINGS_PATH"]
    for line in (*layer.problems, *layer.warnings):
        assert line.startswith("settings.yaml")
        assert "\n" not in line
