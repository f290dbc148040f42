"""What goes along, against real repositories."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from sshrun.errors import UsageError
from sshrun.project.selection import KeptBack, Selected, left_out, select, why_left_out

NOBODY = 65534


def git(directory: Path, *words: str) -> str:
    settings = ("user.name=Joe", "user.email=joe@example.org", "protocol.file.allow=always", "init.defaultBranch=main")
    argv = ["git", *(word for setting in settings for word in ("-c", setting)), *words]
    return subprocess.run(argv, cwd=directory, check=True, capture_output=True, text=True).stdout


def make(directory: Path, *names: str) -> None:
    for name in names:
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)


def write(path: Path, *lines: str) -> None:
    path.write_text("".join(f"{line}\n" for line in lines))


@pytest.fixture
def project(tmp_path: Path) -> Path:
    directory = tmp_path / "project"
    directory.mkdir()
    git(directory, "init", "-q")
    return directory


def goes(root: Path, *named: str) -> list[str]:
    return [item.name for item in select(str(root), named).items if not item.name.startswith((".gitig", ".sshrun"))]


def kept(root: Path, *named: str) -> dict[str, str]:
    return dict(select(str(root), named).kept_back)


# -- what git says


def test_what_git_tracks_and_what_it_does_not_ignore(project: Path) -> None:
    make(
        project, "train.py", "new.py", "data/a.bin", "data/conf.yaml", "data/other.yaml", "gone.py", "empty/__init__.py"
    )
    (project / "empty/__init__.py").write_bytes(b"")
    write(project / ".gitignore", "*.bin", "data/*.yaml", "secret/")
    git(project, "add", "-f", "train.py", "data/conf.yaml", "gone.py")
    (project / "gone.py").unlink()
    assert goes(project) == ["data/conf.yaml", "empty/__init__.py", "new.py", "train.py"]
    assert select(str(project), ()).way == "git"


def test_items_are_what_the_upload_takes(project: Path) -> None:
    make(project, "run.sh")
    (project / "run.sh").chmod(0o755)
    with (project / "big").open("wb") as file:
        file.truncate(1 << 20)
    big, script = select(str(project), ()).items
    status = (project / "run.sh").stat()
    assert script[:6] == (str(project), "run.sh", ".", "run.sh", status.st_size, status.st_mtime_ns)
    assert stat.S_IMODE(script.mode) == 0o755 and script.source == str(project / "run.sh")
    assert big.size == 1 << 20 and big.is_sparse and not script.is_sparse


def test_a_root_below_the_top_level_of_its_repository(project: Path) -> None:
    make(project, "other/x.py", "sub/train.py", "sub/a.bin", "sub/b.log", "sub/inner/c.log")
    write(project / ".gitignore", "*.bin")
    write(project / "sub/.gitignore", "/b.log")
    assert goes(project / "sub") == ["inner/c.log", "train.py"]
    assert why_left_out(str(project / "sub"), "a.bin") == f"{project}/.gitignore:1 `*.bin`"
    assert why_left_out(str(project / "sub"), "b.log") == ".gitignore:1 `/b.log`"


def test_a_repository_that_ignores_the_whole_root_says_nothing_about_it(project: Path) -> None:
    write(project / ".gitignore", "*")
    make(project, "work/train.py", "work/a.bin")
    write(project / "work/.gitignore", "*.bin")
    assert goes(project / "work") == ["train.py"]
    assert select(str(project / "work"), ()).way == "git, without a repository"
    assert why_left_out(str(project / "work"), "a.bin") == ".gitignore:1 `*.bin`"


def test_submodules_worktrees_and_repositories_within(tmp_path: Path, project: Path) -> None:
    library = tmp_path / "library"
    make(library, "lib.py", "ignored.bin", "new.txt")
    write(library / ".gitignore", "*.bin")
    git(library, "init", "-q")
    git(library, "add", "lib.py", ".gitignore")
    git(library, "commit", "-qm", "a")
    git(project, "submodule", "--quiet", "add", str(library), "deps/lib")
    git(project, "submodule", "--quiet", "add", str(library), "deps/absent")
    git(project, "commit", "-qm", "a")
    git(project, "submodule", "--quiet", "deinit", "-f", "deps/absent")
    make(project / "deps/lib", "b.bin", "more.py")
    make(project, "own/x.py", "own/y.bin", "own/deeper/z.py", "hidden/repo/h.py")
    for inner in ("own", "own/deeper", "hidden/repo"):
        git(project / inner, "init", "-q")
    write(project / "own/.gitignore", "*.bin")
    write(project / ".gitignore", "hidden/")
    inner = ["deps/lib/.gitignore", "deps/lib/lib.py", "deps/lib/more.py"]
    assert goes(project) == [".gitmodules", *inner, "own/.gitignore", "own/deeper/z.py", "own/x.py"]
    assert why_left_out(str(project), "own/y.bin") == "own/.gitignore:1 `*.bin`"
    assert why_left_out(str(project), "hidden/repo/h.py") == ".gitignore:1 `hidden/`"
    assert why_left_out(str(project), "deps/lib/b.bin") == "deps/lib/.gitignore:1 `*.bin`"
    git(project, "worktree", "add", "-q", str(tmp_path / "tree"))
    make(tmp_path / "tree", "new.py")
    tree = select(str(tmp_path / "tree"), ())
    assert [item.name for item in tree.items] == [".gitmodules", "new.py"] and tree.way == "git"
    # A submodule whose .git is gone is a directory like any other.
    (project / "deps/lib/.git").unlink()
    assert [name for name in goes(project) if name.startswith("deps")] == inner
    # A file that has become a directory is none.
    make(project, "turned")
    git(project, "add", "turned")
    (project / "turned").unlink()
    make(project, "turned/a.py")
    write(project / ".gitignore", "hidden/", "turned/")
    assert "turned/a.py" not in goes(project)


def test_a_sparse_checkout_has_what_is_there(project: Path) -> None:
    make(project, "a/x.py", "b/y.py", "train.py")
    git(project, "add", ".")
    git(project, "commit", "-qm", "a")
    git(project, "sparse-checkout", "set", "a")
    assert goes(project) == ["a/x.py", "train.py"]
    git(project, "sparse-checkout", "reapply", "--sparse-index")
    assert goes(project) == ["a/x.py", "train.py"]


def test_an_unfinished_merge_has_each_file_once(project: Path) -> None:
    make(project, "a.py")
    git(project, "add", ".")
    git(project, "commit", "-qm", "a")
    git(project, "checkout", "-qb", "other")
    write(project / "a.py", "other")
    git(project, "commit", "-qam", "b")
    git(project, "checkout", "-q", "main")
    write(project / "a.py", "main")
    git(project, "commit", "-qam", "c")
    with pytest.raises(subprocess.CalledProcessError):
        git(project, "merge", "other")
    assert goes(project) == ["a.py"]


def test_names_of_any_bytes(project: Path) -> None:
    names = [b"\xff\xfe.py", b"new\nline", b'quo"te', "ü.py".encode(), b":colon", b" space ", b"-dash", b"star*"]
    for name in names:
        Path(os.fsdecode(os.fsencode(project) + b"/" + name)).write_text("x")
    assert sorted(map(os.fsencode, goes(project))) == sorted(names)
    write(project / ".sshrunignore", ":colon", "!*.py", "star\\*")
    assert sorted(map(os.fsencode, goes(project))) == sorted(set(names) - {b":colon", b"star*"})
    assert why_left_out(str(project), ":colon") == ".sshrunignore:1 `:colon`"


def test_what_a_person_ignores_everywhere_is_ignored(
    tmp_path: Path, project: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(project, "a.swp", "b.tmp", "c.py", "d.mine")
    (home / ".config/git").mkdir(parents=True)
    write(home / ".config/git/ignore", "*.swp")
    write(project / ".git/info/exclude", "*.tmp")
    assert goes(project) == ["c.py", "d.mine"]
    assert why_left_out(str(project), "a.swp") == "~/.config/git/ignore:1 `*.swp`"
    assert why_left_out(str(project), "b.tmp") == ".git/info/exclude:1 `*.tmp`"
    write(tmp_path / "ignore", "*.mine")
    write(tmp_path / "config", "[core]", f"excludesFile = {tmp_path}/ignore")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "config"))
    assert goes(project) == ["a.swp", "c.py"]


def test_the_person_s_variables_for_git_do_not_count(
    tmp_path: Path, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(project, "a.py", "b.py")
    write(project / ".gitignore", "a.py")
    git(project, "add", "-f", "a.py")
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_CEILING_DIRECTORIES"):
        monkeypatch.setenv(name, str(tmp_path / "elsewhere"))
    monkeypatch.setenv("GIT_TRACE", "1")
    assert goes(project) == ["a.py", "b.py"]


def test_git_starts_nothing_that_the_settings_of_a_repository_name(tmp_path: Path, project: Path) -> None:
    make(project, "a.py")
    git(project, "add", "a.py")
    hook = tmp_path / "hook"
    hook.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    hook.chmod(0o755)
    git(project, "config", "core.fsmonitor", str(hook))
    before = (project / ".git/index").stat()
    assert goes(project) == ["a.py"]
    assert not (tmp_path / "ran").exists()
    assert (project / ".git/index").stat() == before


@pytest.mark.skipif(os.getuid() != 0, reason="needs to give a directory away")
def test_a_repository_of_somebody_else(project: Path) -> None:
    make(project, "a.py", "b.bin", "sub/c.py")
    write(project / ".gitignore", "*.bin")
    git(project, "add", "a.py")
    git(project / "sub", "init", "-q")
    for folder, _, files in os.walk(project):
        for name in (".", *files):
            os.chown(os.path.join(folder, name), NOBODY, NOBODY)
    with pytest.raises(subprocess.CalledProcessError):
        git(project, "ls-files")
    assert goes(project) == ["a.py", "sub/c.py"]
    assert why_left_out(str(project), "b.bin") == ".gitignore:1 `*.bin`"


def test_a_repository_that_git_cannot_read(tmp_path: Path, project: Path) -> None:
    make(project, "a.py", "b.bin")
    write(project / ".gitignore", "*.bin")
    (project / ".git/index").write_bytes(b"no index")
    with pytest.raises(UsageError, match=r"^git cannot list /.*/project: .*index") as caught:
        select(str(project), ())
    assert "--no-project" in caught.value.hint and "\n" not in caught.value.message
    # Such as a worktree in a container, which does not see the repository that it belongs to.
    inner = tmp_path / "tree"
    make(inner, "a.py", "b.bin", "sub/c.py")
    write(inner / ".gitignore", "*.bin")
    for directory in (inner, inner / "sub"):
        write(directory / ".git", f"gitdir: {tmp_path}/gone")
    assert goes(inner) == ["a.py", "sub/c.py"]
    assert select(str(inner), ()).way == "git, without a repository"
    assert why_left_out(str(inner), "b.bin") == ".gitignore:1 `*.bin`"


# -- without a repository, and without git


def test_without_a_repository_the_same_rules_hold(tmp_path: Path) -> None:
    make(tmp_path, "train.py", "a.bin", "sub/b.log", "own/x.py", "own/y.tmp", "env/pyvenv.cfg", "env/bin/python")
    make(tmp_path, "__pycache__/a.pyc", "sub/node_modules/x.js", "p.egg-info/PKG-INFO", ".venv/x", ".sshrun-part1")
    write(tmp_path / ".gitignore", "*.bin")
    write(tmp_path / "sub/.gitignore", "b.log")
    git(tmp_path / "own", "init", "-q")
    write(tmp_path / "own/.git/info/exclude", "*.tmp")
    found = select(str(tmp_path), ())
    assert [item.name for item in found.items] == [".gitignore", "own/x.py", "sub/.gitignore", "train.py"]
    assert found.way == "git, without a repository" and not found.kept_back


@pytest.fixture
def no_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "no-programs").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "no-programs"))


def test_without_git(tmp_path: Path, no_git: None) -> None:
    root = tmp_path / "p"
    make(root, "train.py", "sub/a.bin", ".env", "env/pyvenv.cfg", "env/x", "__pycache__/a.pyc", ".venv/x", ".git/HEAD")
    make(root, "sub/x.egg-info/y", ".DS_Store")
    (root / "link").symlink_to("sub")
    found = select(str(root), ["__pycache__"])
    assert [item.name for item in found.items] == ["__pycache__/a.pyc", "link/a.bin", "sub/a.bin", "train.py"]
    assert found.way == "no git" and found.kept_back == (KeptBack(".env", "it may hold a secret"),)
    assert why_left_out(str(root), "train.py") == "" and left_out(str(root), found) == ()


@pytest.mark.parametrize("name", [".gitignore", "sub/.gitignore", ".sshrunignore"])
def test_without_git_nobody_can_read_an_ignore_file(tmp_path: Path, no_git: None, name: str) -> None:
    make(tmp_path / "p", "train.py", name)
    with pytest.raises(UsageError, match=f"^git is needed to read {name}, ") as caught:
        select(str(tmp_path / "p"), ())
    assert caught.value.hint == "install git, or turn project mode off: --no-project"


# -- .sshrunignore


@pytest.mark.parametrize(
    ("rules", "more", "less"),
    [
        (["!data/"], ["data/a.bin", "data/sub/b.bin"], []),
        (["!*.bin"], ["a.bin", "data/a.bin", "data/sub/b.bin"], []),
        (["!/data/a.bin"], ["data/a.bin"], []),
        (["!/a.bin"], ["a.bin"], []),
        (["!data/", "data/sub/"], ["data/a.bin"], []),
        (["train.py", "docs/"], [], ["docs/x.md", "train.py"]),
        (["*", "!*.py"], [], ["docs/x.md"]),
        (["# !data/", "\\!data/", ""], [], []),
        (["!data/ "], ["data/a.bin", "data/sub/b.bin"], []),
        (["!data/\r"], ["data/a.bin", "data/sub/b.bin"], []),
        (["\ufeff!data/"], ["data/a.bin", "data/sub/b.bin"], []),
    ],
)
def test_rules_take_out_and_bring_in(project: Path, rules: list[str], more: list[str], less: list[str]) -> None:
    make(project, "train.py", "docs/x.md", "a.bin", "data/a.bin", "data/sub/b.bin")
    write(project / ".gitignore", "data/", "*.bin")
    git(project, "add", "train.py", "docs", ".gitignore")
    write(project / ".sshrunignore", *rules)
    assert goes(project) == sorted({"train.py", "docs/x.md", *more} - {*less})


def test_what_nobody_means_comes_in_by_its_own_name_alone(project: Path) -> None:
    make(project, "data/env/pyvenv.cfg", "data/env/lib/x", "data/__pycache__/x.pyc", "data/.env", "data/a.bin")
    make(project, ".venv/pyvenv.cfg", ".venv/x", ".sshrun/x", "sub/__pycache__/x.pyc")
    make(project, "data/repo/a.py", "data/repo/b.bin")
    git(project / "data/repo", "init", "-q")
    write(project / "data/repo/.gitignore", "*.bin")
    write(project / ".gitignore", "data/", ".venv", ".sshrun", "__pycache__")
    write(project / ".sshrunignore", "!data/", "!.venv/", "!.sshrun/")
    assert goes(project) == ["data/a.bin", "data/repo/.gitignore", "data/repo/a.py", "data/repo/b.bin"]
    assert kept(project) == {"data/.env": "it may hold a secret"}
    write(project / ".sshrunignore", "!data/env/", "!data/__pycache__/", "!.env")
    expected = ["data/.env", "data/__pycache__/x.pyc", "data/env/lib/x", "data/env/pyvenv.cfg"]
    assert goes(project) == expected and kept(project) == {}


def test_dot_git_goes_where_it_is_asked_for(project: Path) -> None:
    make(project, "a.py", "own/b.py")
    git(project / "own", "init", "-q")
    assert goes(project, ".git", ".git/HEAD", "own/.git") == ["a.py", "own/b.py"]
    write(project / ".sshrunignore", "!*.py", "!own/")
    assert goes(project) == ["a.py", "own/b.py"]
    write(project / ".sshrunignore", "!/.git/")
    assert {".git/HEAD", ".git/config", "a.py"} <= {*goes(project)}
    write(project / ".sshrunignore", "!/.git/", "!own/")
    assert not [name for name in goes(project) if name.startswith("own/.git/")]
    write(project / ".sshrunignore", "!.git/", ".git/config")
    assert {".git/HEAD", "own/.git/HEAD", "own/.git/config"} <= {*goes(project)}
    assert ".git/config" not in goes(project)


def test_an_ignore_file_that_cannot_be_read(project: Path) -> None:
    (project / ".sshrunignore").symlink_to(".sshrunignore")
    make(project, "a.py")
    assert goes(project) == ["a.py"]
    (project / ".sshrunignore").unlink()
    (project / ".sshrunignore").mkdir()
    assert goes(project) == ["a.py"]


# -- what the command line names


def test_what_the_command_line_names_goes_though_it_is_ignored(project: Path) -> None:
    make(
        project, "train.py", "conf.yaml", "data/a.bin", "data/.env", "data/env/pyvenv.cfg", "data/__pycache__/x", ".env"
    )
    make(project, ".venv/x", "../outside")
    write(project / ".gitignore", "*.yaml", "data/", ".env", ".venv")
    assert goes(project, "conf.yaml") == ["conf.yaml", "train.py"]
    assert goes(project, "./data/") == ["data/a.bin", "train.py"]
    assert kept(project, "data") == {"data/.env": "it may hold a secret"}
    assert goes(project, ".env", "data/.env") == [".env", "data/.env", "train.py"]
    assert goes(project, ".", "..", "../outside", str(project / "conf.yaml"), ".venv", "absent") == ["train.py"]
    write(project / ".sshrunignore", "conf.yaml", "data/")
    assert goes(project, "conf.yaml", "data") == ["train.py"]
    assert kept(project, "conf.yaml", "data")["conf.yaml"] == (
        ".sshrunignore:1 `conf.yaml` takes it out, though the command line names it"
    )


# -- secrets


SECRETS = [
    *(".env", ".env.local", "sub/.env", "prod.env", ".envrc", "server.pem", "a.key", "id_rsa", "id_ed25519_work"),
    *(".netrc", ".pypirc", "store.p12", ".aws/credentials", ".ssh/known_hosts", ".git-credentials"),
]
HARMLESS = [
    *(".env.example", ".env.sample", ".env.template", "id_rsa.pub", "env.py", "key.py", "keys/a.txt", "a.keys"),
    "aws/x",
]


def test_untracked_secrets_stay_and_are_named(project: Path) -> None:
    make(project, *SECRETS, *HARMLESS)
    assert goes(project) == sorted(HARMLESS)
    assert kept(project) == dict.fromkeys(SECRETS, "it may hold a secret")
    assert ".env" in goes(project, ".env") and ".env" not in kept(project, ".env")
    git(project, "add", "-f", "sub/.env", "a.key")
    assert {"sub/.env", "a.key"} <= {*goes(project)} and not {"sub/.env", "a.key"} & {*kept(project)}
    write(project / ".sshrunignore", "!/.env", ".netrc")
    assert ".env" in goes(project) and ".env.local" not in goes(project)
    assert not {".env", ".netrc"} & {*kept(project)}


# -- links, and what is no file


def test_links_within_the_project_arrive_as_files(project: Path) -> None:
    make(project, "src/a.py", "src/deep/b.py", "data/x.bin", "run.sh", "shared/lib/c.py", ".env")
    (project / "run.sh").chmod(0o755)
    write(project / ".gitignore", "data/")
    for link, target in {
        "file.py": "src/a.py",
        "chain": "file.py",
        "run": str(project / "run.sh"),
        "big.bin": "data/x.bin",
        "src/lib": "../shared/lib",
        "alias": "src",
        "empty": "data",
        "hidden": ".env",
        "inner": ".git/config",
    }.items():
        (project / link).symlink_to(target)
    found = select(str(project), ())
    by_name = {item.name: item for item in found.items}
    for name, target in {
        "file.py": "src/a.py",
        "chain": "src/a.py",
        "run": "run.sh",
        "big.bin": "data/x.bin",
        "src/lib/c.py": "shared/lib/c.py",
        "alias/a.py": "src/a.py",
        "alias/deep/b.py": "src/deep/b.py",
        "alias/lib/c.py": "shared/lib/c.py",
    }.items():
        item, status = by_name[name], (project / target).stat()
        assert (item.size, item.mtime_ns, item.mode, item.link) == (
            status.st_size,
            status.st_mtime_ns,
            status.st_mode,
            "",
        )
        assert Path(item.source).read_text() == target
    assert {*by_name} == {"file.py", "chain", "run", "big.bin", "src/lib/c.py", "alias/a.py", "alias/deep/b.py"} | {
        "alias/lib/c.py", ".gitignore", "src/a.py", "src/deep/b.py", "run.sh", "shared/lib/c.py"
    }  # fmt: skip
    assert list(by_name) == sorted(by_name)
    assert dict(found.kept_back) == {
        ".env": "it may hold a secret",
        "empty": "a link to data/, of which nothing goes",
        "hidden": "a link to .env: it may hold a secret",
        "inner": "a link into .git: .git/config",
    }
    write(project / ".sshrunignore", "alias/deep/", "/chain")
    assert not {"alias/deep/b.py", "chain"} & {*goes(project)} and "alias/a.py" in goes(project)


def test_links_that_leave_the_project_or_lead_nowhere(tmp_path: Path, project: Path) -> None:
    make(tmp_path, "outside/x", "project-2/x")
    make(project, "a.py")
    targets = {"out": "../outside", "beside": "../project-2/x", "far": "/etc/passwd", "gone": "nothing", "self": "self"}
    for link, target in targets.items():
        (project / link).symlink_to(target)
    git(project, "add", "out", "gone")
    leaves = "a link that leaves the project: "
    expected = {name: leaves + targets[name] for name in ("out", "beside", "far")}
    expected |= {"gone": "a link to nothing: nothing", "self": "a link to itself: self"}
    assert goes(project) == ["a.py"] and kept(project) == expected
    assert goes(project, "out", "out/x", "far") == ["a.py"]
    assert kept(project, "out", "out/x", "far") == expected | {"out/x": "a link on its way leaves the project"}
    (project / "away").symlink_to("../outside")
    write(project / ".gitignore", "away", "beside")
    named = kept(project, "away", "beside")
    assert (named["away"], named["beside"]) == (leaves + "../outside", expected["beside"])
    assert why_left_out(str(project), "out") == leaves + "../outside"
    assert why_left_out(str(project), "out/x") == f"out is {leaves}../outside"


def test_links_in_circles_end(project: Path) -> None:
    make(project, "a/x", "b/y")
    for link, target in {"a/up": "..", "a/b": "../b", "b/a": "../a", "top": ".", "a/self": "."}.items():
        (project / link).symlink_to(target)
    assert goes(project) == ["a/b/y", "a/x", "b/a/x", "b/y"]
    assert {*kept(project)} == {"a/up", "top", "a/self"}


def test_links_that_meet_again_end(project: Path) -> None:
    make(project, "a/deep/x", "b/y")
    for link, target in {"alias": "a", "a/deep/b": "../../b", "b/back": "../a/deep"}.items():
        (project / link).symlink_to(target)
    names = ["a/deep/b/y", "a/deep/x", "alias/deep/b/y", "alias/deep/x", "b/back/x", "b/y"]
    assert goes(project) == names and kept(project) == {}


def test_links_that_double_at_each_step_end(project: Path) -> None:
    for step in range(40):
        make(project, f"d{step}/x")
        for twin in "ab":
            (project / f"d{step}/{twin}").symlink_to(f"../d{step + 1}")
    make(project, "d40/x")
    assert "links add more than 100000 files" in kept(project)["d0/a"]


def test_what_is_no_file_stays(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(project, "a.py", "was-a-file")
    git(project, "add", ".")
    (project / "was-a-file").unlink()
    os.mkfifo(project / "was-a-file")
    monkeypatch.chdir(project)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket")
        assert goes(project, "socket") == ["a.py"]
        assert kept(project, "socket") == {"socket": "a socket", "was-a-file": "a FIFO"}


UNREADABLE = """
import os, sys
from sshrun.project.selection import select
root, uid = sys.argv[1], int(sys.argv[2])
if os.getuid() == 0:
    os.setgroups([]); os.setgid(uid); os.setuid(uid)
found = select(root, ["closed"])
print([item.name for item in found.items], found.kept_back[0][:] if found.kept_back else ())
"""


def test_unreadable_files_go_and_unreadable_directories_are_named(project: Path) -> None:
    make(project, "a.py", "closed.py", "closed/x", "tracked/y")
    git(project, "add", "tracked")
    if os.getuid() == 0:
        for folder, directories, files in os.walk(project):
            for name in (*directories, *files, "."):
                os.chown(os.path.join(folder, name), NOBODY, NOBODY)
        for directory in (project, *project.parents[:4]):
            directory.chmod(0o755)
    for name in ("closed.py", "closed", "tracked"):
        (project / name).chmod(0)
    printed = subprocess.run(
        [sys.executable, "-c", UNREADABLE, str(project), str(NOBODY)], capture_output=True, text=True, check=False
    )
    for name in ("closed", "tracked"):
        (project / name).chmod(0o700)
    assert printed.stdout == (
        "['a.py', 'closed.py', 'tracked/y'] ('closed/', 'cannot be read: Permission denied')\n"
    ), printed.stderr


# -- what stays, for --dry-run


def test_what_is_left_out_is_named_with_its_rule(project: Path) -> None:
    make(project, "train.py", "out/a", "out/b/c", "data/a.bin", "data/keep.bin", "docs/x.md", "docs/y.md", "log.txt")
    make(project, "env/pyvenv.cfg", "env/x", "sub/__pycache__/x.pyc", ".env", "mixed/a.md", "mixed/b.log")
    write(project / ".gitignore", "# results", "out/", "*.bin")
    git(project, "add", "docs")
    write(project / ".sshrunignore", "!keep.bin", "docs/*.md", "log.txt", "mixed/*.md", "*.log")
    found = select(str(project), ())
    assert left_out(str(project), found) == (
        KeptBack("data/a.bin", ".gitignore:3 `*.bin`"),
        KeptBack("docs/", ".sshrunignore:2 `docs/*.md`"),
        KeptBack("env/", "a virtual environment"),
        KeptBack("log.txt", ".sshrunignore:3 `log.txt`"),
        KeptBack("mixed/a.md", ".sshrunignore:4 `mixed/*.md`"),
        KeptBack("mixed/b.log", ".sshrunignore:5 `*.log`"),
        KeptBack("out/", ".gitignore:2 `out/`"),
        KeptBack("sub/__pycache__/", "a cache"),
    )
    for name in ("data/a.bin", "docs/x.md", "log.txt"):
        assert why_left_out(str(project), name) in {one.why for one in left_out(str(project), found)}
    assert why_left_out(str(project), "out") == why_left_out(str(project), "out/b/c") == ".gitignore:2 `out/`"
    assert why_left_out(str(project), "env/x") == "env/ is a virtual environment"
    assert why_left_out(str(project), "sub/__pycache__") == "a cache"
    assert why_left_out(str(project), "sub/__pycache__/x.pyc") == "sub/__pycache__/ is a cache"
    assert why_left_out(str(project), ".env") == "it may hold a secret"
    assert why_left_out(str(project), "train.py") == why_left_out(str(project), "absent") == ""


def test_a_long_list_of_what_is_left_out_ends(project: Path) -> None:
    make(project, *(f"{number}.bin" for number in range(30)))
    write(project / ".gitignore", "*.bin")
    found = left_out(str(project), select(str(project), ()))
    assert len(found) == 21 and found[-1] == KeptBack("", "and 10 more")


def test_an_empty_project_is_no_error(tmp_path: Path) -> None:
    assert select(str(tmp_path), ()) == Selected((), (), "git, without a repository")
