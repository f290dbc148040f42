from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from sshrun.errors import SettingsError
from sshrun.project.root import Root, find_root

TABLE = '[project]\nname = "p"\n[tool.sshrun]\nhost = "gpu1"\n'
GIT = "top level of its git repository"


def make(directory: Path, *names: str, text: str = "") -> Path:
    for name in names:
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return directory


def git(directory: Path, *words: str) -> None:
    author = ("-c", "user.name=Joe", "-c", "user.email=joe@example.org", "-c", "protocol.file.allow=always")
    subprocess.run(["git", *author, *words], cwd=directory, check=True, capture_output=True)


def test_settings_and_the_ignore_file_go_before_git(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    start = make(tmp_path / "a/b/c", "train.py")
    assert find_root(str(start), of_script=True) == Root(str(tmp_path), GIT)
    make(tmp_path / "a", ".sshrunignore")
    assert find_root(str(start), of_script=True) == Root(str(tmp_path / "a"), "it holds .sshrunignore")
    make(tmp_path / "a/b", "pyproject.toml", text=TABLE)
    assert find_root(str(start), of_script=False) == Root(str(tmp_path / "a/b"), "its pyproject.toml has [tool.sshrun]")


@pytest.mark.parametrize("text", ["[project]\n", "# sshrun\n[tool.ruff]\n", "tool = 3\nsshrun = 4\n", "no TOML ["])
def test_a_nearer_pyproject_without_the_table_hides_nothing(tmp_path: Path, text: str) -> None:
    make(tmp_path, "pyproject.toml", text=TABLE)
    start = make(tmp_path / "inner", "pyproject.toml", text=text)
    found = find_root(str(start), of_script=True)
    assert found is not None and found.path == str(tmp_path)


def test_without_any_of_it_a_script_has_its_directory_and_a_command_nothing(tmp_path: Path) -> None:
    assert find_root(str(tmp_path), of_script=True) == Root(str(tmp_path), "the script's directory")
    assert find_root(str(tmp_path), of_script=False) is None


def test_an_empty_git_directory_is_no_repository(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    assert find_root(str(tmp_path), of_script=False) is None


def test_the_home_directory_and_what_holds_it_are_no_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home/joe"
    project = make(home / "project", "train.py")
    monkeypatch.setenv("HOME", str(home))
    for directory in (home, home.parent):
        make(directory, ".sshrunignore")
        make(directory, "pyproject.toml", text=TABLE)
        git(directory, "init", "-q")
    assert find_root(str(project), of_script=True) == Root(str(project), "the script's directory")
    assert find_root(str(project), of_script=False) is None
    for directory in (home, home.parent, Path("/")):
        assert find_root(str(directory), of_script=True) is None
    link = tmp_path / "link"
    link.symlink_to(home)
    assert find_root(str(link), of_script=True) is None
    # What lies beside the home directory is a project like any other.
    for name in ("joe-work", "jo"):
        beside = make(home.parent / name, "train.py")
        assert find_root(str(beside), of_script=True) == Root(str(beside), "the script's directory")


def test_worktrees_and_submodules_have_a_top_level_of_their_own(tmp_path: Path) -> None:
    library = make(tmp_path / "library", "a.py")
    git(library, "init", "-q")
    git(library, "add", ".")
    git(library, "commit", "-qm", "a")
    project = make(tmp_path / "project", "train.py")
    git(project, "init", "-q")
    git(project, "submodule", "--quiet", "add", str(library), "lib/inner")
    git(project, "commit", "-qm", "a")
    git(project, "worktree", "add", "-q", str(tmp_path / "tree"))
    assert find_root(str(project / "lib/inner"), of_script=True) == Root(str(project / "lib/inner"), GIT)
    assert find_root(str(project / "lib"), of_script=True) == Root(str(project), GIT)
    assert find_root(str(tmp_path / "tree"), of_script=True) == Root(str(tmp_path / "tree"), GIT)


def test_the_path_is_as_the_person_sees_it(tmp_path: Path) -> None:
    project = make(tmp_path / "real/project", ".sshrunignore", "sub/train.py")
    (tmp_path / "link").symlink_to(project)
    start = f"{tmp_path}/link/sub/../sub/"
    found = find_root(start, of_script=True)
    assert found is not None and found.path == str(tmp_path / "link")
    # A link straight into a project hides what is above it.
    (tmp_path / "inner").symlink_to(project / "sub")
    found = find_root(str(tmp_path / "inner"), of_script=True)
    assert found is not None and found.path == os.path.realpath(project)


@pytest.mark.parametrize("text", [b"[tool.sshrun\n", b"[tool.sshrun]\nhost = '\xff'\n"])
def test_a_broken_file_with_settings_is_an_error_of_one_line(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "pyproject.toml").write_bytes(text)
    with pytest.raises(SettingsError, match=r"/pyproject\.toml: is not TOML: ") as caught:
        find_root(str(tmp_path), of_script=True)
    assert "\n" not in caught.value.message
