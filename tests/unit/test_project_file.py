from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sshrun.settings.files import load_project_file, load_script_block
from sshrun.settings.schema import Layer


def project(folder: Path, text: str) -> Layer:
    (folder / "pyproject.toml").write_text(text)
    return load_project_file(str(folder))


def test_the_nearest_file_that_has_the_table_counts(tmp_path: Path) -> None:
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    project(tmp_path, "[tool.sshrun]\nremote_dir = 'far'\n")
    assert str(load_project_file(str(inner)).remote_dir) == "far"
    project(tmp_path / "a", "[tool.sshrun]\nremote_dir = 'near'\n")
    assert str(load_project_file(str(inner)).remote_dir) == "near"
    for text in ("[tool.other]\nx = 1\n", "[project]\nname = 'sshrun-extras'\n", "tool = 'sshrun'\n"):
        project(inner, text)
        assert str(load_project_file(str(inner)).remote_dir) == "near", "one without the table hides nothing"
    assert project(inner, "[tool.sshrun]\n") == Layer(), "an empty table is one"
    assert project(inner, "[tool.sshrun\n").problems


def test_keys_have_types_origins_and_what_is_written(tmp_path: Path) -> None:
    layer = project(
        tmp_path,
        """[project]
dependencies = ["torch"]
[tool.sshrun]
create_venv = false   # a remark
upload_files = [
  "a",
  "b",
]
[tool.sshrun.environment]
A = 1.50
B = true
C = 7
""",
    )
    assert layer.problems == ()
    assert layer.create_venv is not None
    assert (layer.create_venv.value, str(layer.create_venv.origin)) == (
        False,
        "pyproject.toml:4 tool.sshrun.create_venv",
    )
    assert [str(item.origin) for item in layer.upload_files] == [
        "pyproject.toml:5 tool.sshrun.upload_files[0]",
        "pyproject.toml:5 tool.sshrun.upload_files[1]",
    ]
    assert [(v.name, v.value, v.origin.line) for v in layer.environment] == [
        ("A", "1.50", 10),
        ("B", "true", 11),
        ("C", "7", 12),
    ]
    assert layer.requirements == ()


def test_a_cloned_folder_cannot_choose_whom_we_log_in_to(tmp_path: Path) -> None:
    layer = project(tmp_path, "[tool.sshrun]\nconfig_path = 'x'\n[tool.sshrun.connection]\nhostname = 'evil'\n")
    assert (layer.connection.hostname, layer.config_path) == (None, None)
    assert layer.problems == (
        "pyproject.toml:2 tool.sshrun.config_path: counts in the user file only: move it there",
        "pyproject.toml:3 tool.sshrun.connection: counts in the user file only: move it there",
    )


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[tool.sshrun]\nx = [", "pyproject.toml:2: is not TOML: Invalid value"),
        (
            "[tool.sshrun]\nremote_dir = 'a'\nremote_dir = 'b'",
            "pyproject.toml:3: is not TOML: Cannot overwrite a value",
        ),
        (
            "[tool.sshrun]\nupload_file = []",
            "pyproject.toml:2 tool.sshrun.upload_file: unknown setting; do you mean tool.sshrun.upload_files?",
        ),
        ("tool.sshrun = 5", "pyproject.toml:1 tool.sshrun: settings are needed, as `key: value`"),
        (
            "[tool.sshrun]\nremote_dir = 5",
            "pyproject.toml:2 tool.sshrun.remote_dir: a string is needed, not a number: put it in quotes",
        ),
    ],
)
def test_what_is_wrong_is_one_line(tmp_path: Path, text: str, problem: str) -> None:
    assert project(tmp_path, text).problems == (problem,)


def test_a_broken_file_that_does_not_mention_sshrun_is_left_alone(tmp_path: Path) -> None:
    assert project(tmp_path, "[tool.other\n") == Layer()


# -- a script's own block


BLOCK = """#!/usr/bin/env python3
# /// script
# requires-python = ">=3.11"
# dependencies = [
#   "numpy<2",
# ]
#
# [tool.sshrun]
# remote_dir = "~/fit"
# requirements = ["rich"]
# ///
import numpy
"""


def test_a_script_block_gives_requirements_and_settings() -> None:
    layer = load_script_block("/x/fit.py", BLOCK)
    assert layer.problems == ()
    assert [(str(item), str(item.origin)) for item in layer.requirements] == [
        ("numpy<2", "fit.py:4 dependencies[0]"),
        ("rich", "fit.py:10 tool.sshrun.requirements[0]"),
    ]
    assert layer.remote_dir is not None
    assert (str(layer.remote_dir), str(layer.remote_dir.origin)) == ("fit", "fit.py:9 tool.sshrun.remote_dir")


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        (BLOCK + BLOCK, "fit.py:14: a second `# /// script` block: PEP 723 allows one"),
        ("# /// script\n# a = [\n# ///\n", "fit.py:2: is not TOML: Invalid value"),
        ("# /// script\n# dependencies = 5\n# ///\n", "fit.py:2 dependencies: a list is needed, not a number"),
        (
            "# /// script\n# dependencies = ['a\\nb', \"a\\nb\"]\n# ///\n",
            "fit.py:2 dependencies[1]: contains a newline: make two items of it",
        ),
    ],
)
def test_a_wrong_block_is_a_problem(source: str, problem: str) -> None:
    assert load_script_block("/x/fit.py", source).problems[0] == problem


@pytest.mark.parametrize(
    "source",
    [
        "# /// script\n# dependencies = ['a']\n",
        "# /// other\n# dependencies = ['a']\n# ///\n",
        "## /// script\n# x\n# ///\n",
        "# /// script\nx = 1\n# ///\n",
    ],
)
def test_what_is_no_closed_script_block_is_a_comment(source: str) -> None:
    assert load_script_block("/x/fit.py", source) == Layer()


def test_the_last_closing_line_of_the_comment_counts() -> None:
    source = '# /// script\n# dependencies = ["a"]\n# x = """\n# ///\n# """\n# ///\n'
    assert [str(item) for item in load_script_block("/x/fit.py", source).requirements] == ["a"]


toml_pieces = st.sampled_from(
    [
        "[tool.sshrun]",
        "\n",
        "# ",
        "=",
        "'",
        '"""',
        "[",
        "]",
        "{",
        "}",
        ",",
        "environment",
        "upload_files",
        ".",
        "1e5",
        "true",
        "x",
        "2024-01-01",
    ]
)


@given(st.lists(toml_pieces, max_size=25).map("".join))
def test_any_text_gives_settings_or_problems_of_one_line(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    block = "\n".join(f"# {line}" for line in text.splitlines())
    for layer in (
        project(tmp_path_factory.mktemp("project"), "# sshrun\n" + text),
        load_script_block("/x/fit.py", f"# /// script\n{block}\n# ///\n"),
    ):
        assert not [problem for problem in layer.problems if "\n" in problem]
