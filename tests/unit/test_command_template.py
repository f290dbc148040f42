from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

import pytest

from sshrun.settings.command_template import for_a_shell, shell_syntax
from sshrun.settings.reader import Node, Reader


@pytest.mark.parametrize(
    ("template", "syntax"),
    [
        ("python3 {model}.py {args} 2>&1 | tee log", "2>&1"),
        ("python3 x.py | tee log", "|"),
        ("a || b", "||"),
        ("a && b", "&&"),
        ("a; b", ";"),
        ("a &", "&"),
        ("a >log", ">"),
        ("a >> log", ">>"),
        ("a <in", "<"),
        ("VAR=1 python3 x.py", "VAR=1"),
        (" EMPTY= python3 x.py", "EMPTY="),
        ("a $(date)", "$("),
        ("a `date`", "`"),
        ("a --data $HOME/data", "$HOME"),
        ("a ${HOME}/data", "${"),
        ("'quoted' > log", ">"),
    ],
)
def test_what_only_a_shell_understands_is_found(template: str, syntax: str) -> None:
    assert shell_syntax(template) == syntax
    assert not shell_syntax(for_a_shell(template)), "what is proposed instead is none"


@pytest.mark.parametrize(
    "template",
    [
        "torchrun --n=2 'my {model}.py' {command} {args}",
        """sh -c 'VAR=1 python3 {model}.py "$@" 2>&1 | tee log' sh {args}""",
        'sh -c "a && b >log; c $(d) `e` $F"',
        "grep '|' file",
        r"echo \> \; \$x a\&b",
        "env VAR=1 python3 {model}.py lr=0.1 x=[1,2] *.py 5$ 'it is'\\''s'",
        'printf "%s\\"|\\"" x',
    ],
)
def test_what_is_quoted_or_none_is_left_alone(template: str) -> None:
    assert shell_syntax(template) == ""


def test_the_form_for_a_shell_does_what_was_meant(tmp_path: Path) -> None:
    words = shlex.split(for_a_shell("printf '%s,' {args} 2>&1 | tee log"))
    argv = [word for part in words for word in (["a b", "$c"] if part == "{args}" else [part])]
    assert subprocess.run(argv, cwd=tmp_path, capture_output=True, check=True).stdout == b"a b,$c,"
    assert (tmp_path / "log").read_text() == "a b,$c,"


def test_it_is_a_problem_of_the_file_that_says_what_to_write() -> None:
    text = Node("string", 3, "a {args} | b")
    layer = Reader("user file", "/f", "ssh.").read(Node("mapping", entries=(("command", text),)))
    (problem,) = layer.problems
    assert problem.startswith("f:3 ssh.command: no shell reads it, and | is for one: write ")
    assert """sh -c 'a "$@" | b' sh {args}""" in problem
