"""Random trees with ignore files: git's own answers are the oracle."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hypothesis import example, given, settings
from hypothesis import strategies as st

from sshrun.project.root import IGNORE_FILE
from sshrun.project.rules import Rules
from sshrun.project.selection import left_out, select, why_left_out

DIRECTORIES = ("a", "b", "data", "a b ", "ü")
FILES = ("x.bin", "y.py", "data", "b", "#c", "!d", "e ", "star*")
PATTERNS = (
    *("*", "*.bin", "*.py", "data", "data/", "/data", "/data/", "a/", "a/*", "a/**", "**/b", "a/**/b", "b/data/"),
    *("x.bin", "y.py", "a/x.bin", "data/x.bin", "/b", "[ab]", "[!a]", "?", "\\#c", "#c", "\\!d", "e", "e\\ "),
    *("e ", "*/", "a b \\ /", "a b\\ /", "a b /", "a b ", "a b\\ ", "ü/", "star\\*", "a\\", "["),
    *("/", "//", "/*", "/*/", "", "data/\r"),
)  # fmt: skip

paths = st.builds(
    lambda directories, file: "/".join((*directories, file)),
    st.lists(st.sampled_from(DIRECTORIES), max_size=3),
    st.sampled_from(FILES),
)
rules = st.lists(
    st.builds(lambda sign, pattern: sign + pattern, st.sampled_from(("", "", "!")), st.sampled_from(PATTERNS)),
    max_size=6,
).map("\n".join)


@contextmanager
def tree(names: list[str]) -> Iterator[tuple[Path, list[str]]]:
    """A repository that holds those of the files that do not stand in each other's way."""
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory, "project")
        root.mkdir()
        subprocess.run(["git", "init", "-q"], cwd=root, check=True)
        made = []
        for name in names:
            try:
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                (root / name).write_text("x")
            except (FileExistsError, NotADirectoryError, IsADirectoryError):
                continue
            made.append(name)
        yield root, made


def listed(root: Path, *words: str) -> set[str]:
    output = subprocess.run(["git", "ls-files", "-z", *words], cwd=root, check=True, capture_output=True).stdout
    return {name for name in os.fsdecode(output).split("\0") if name}


def existing(root: Path, names: set[str]) -> set[str]:
    return {name for name in names if (root / name).is_file()}


@settings(max_examples=30)
@given(
    st.lists(paths, min_size=1, max_size=10, unique=True),
    st.dictionaries(st.sampled_from(DIRECTORIES), rules),
    rules,
    st.data(),
)
def test_what_goes_is_what_git_lists(names: list[str], inner: dict[str, str], top: str, data: st.DataObject) -> None:
    with tree(names) as (root, made):
        for directory, text in inner.items():
            if (root / directory).is_dir():
                (root / directory / ".gitignore").write_text(text)
        tracked = data.draw(st.lists(st.sampled_from(made), unique=True))
        subprocess.run(["git", "--literal-pathspecs", "add", "-f", "--", *tracked], cwd=root, check=True)
        expected = existing(root, listed(root, "-co", "--exclude-standard"))
        found = select(str(root), ())
        goes = {item.name for item in found.items}
        assert goes == expected
        shown = [one.path for one in left_out(str(root), found)]
        for name in made:
            # Each file that stays is named by the list, alone or with its directory, and has its rule.
            assert (name in goes) != any(
                name == path or (path.endswith("/") and name.startswith(path)) for path in shown
            )
            assert bool(why_left_out(str(root), name)) == (name not in goes)


def oracle(root: Path, names: list[str], text: str) -> tuple[set[str], set[str]]:
    """Which files `.sshrunignore` takes out and brings in: asked in a repository where it is .gitignore, on disk."""
    subprocess.run(["git", "init", "-q"], cwd=root, check=True)
    (root / ".gitignore").write_text(text, newline="")
    out = listed(root, "-o", "-i", "--exclude-standard")

    def own(path: str) -> str:
        words = ["git", "check-ignore", "-v", "-n", "-z", "--stdin"]
        answer = subprocess.run(words, cwd=root, input=f"./{path}".encode(), capture_output=True, check=False)
        return answer.stdout.split(b"\0")[2].decode()

    brought = set()
    for name in set(names) - out:
        path = name
        while path and not (pattern := own(path)):
            path = os.path.dirname(path)
        if path and pattern.startswith("!"):
            brought.add(name)
    return out & set(names), brought


@settings(max_examples=50)
@given(st.lists(paths, min_size=1, max_size=8, unique=True), rules)
@example(["data/x.bin", "data/a/y.py"], "*.bin\n!data/")
@example(["data/x.bin", "data/a/y.py"], "!data/\ndata/a/")
@example(["a b /y.py", "a/y.py"], "!a b \\ /\n!a b\\ /")
@example(["a b /y.py"], "!a b /")
@example(["a b /y.py"], "!a b\\ /")
@example(["e ", "a/e /y.py"], "!e\\ ")
def test_rules_are_judged_as_in_a_repository_that_has_no_others(names: list[str], text: str) -> None:
    with tree(names) as (root, made):
        out, brought = oracle(root, made, text)
        (root / IGNORE_FILE).write_text(text, newline="")
        verdicts = Rules(str(root / IGNORE_FILE)).judge(made)
        assert {name for name, verdict in verdicts.items() if verdict.rule.takes_out} == out
        assert {name for name, verdict in verdicts.items() if not verdict.rule.takes_out} == brought


@settings(max_examples=30)
@given(st.lists(paths, min_size=1, max_size=8, unique=True), rules, rules)
def test_both_files_together(names: list[str], ours: str, git: str) -> None:
    with tree(names) as (root, made):
        out, brought = oracle(root, made, ours)
        (root / ".gitignore").write_text(git, newline="")
        expected = (existing(root, listed(root, "-co", "--exclude-standard")) & set(made)) - out | brought
        (root / IGNORE_FILE).write_text(ours, newline="")
        found = {item.name for item in select(str(root), ()).items}
        assert found & set(made) == expected
        for name in made:
            assert bool(why_left_out(str(root), name)) == (name not in expected)
