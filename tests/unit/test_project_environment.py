"""Which of a project's files says what its environment holds, and what makes it another environment."""

from __future__ import annotations

from pathlib import Path

import pytest

from sshrun.environment.project import ProjectEnvironment, is_local, of_project, refuse_wheels
from sshrun.environment.venv import Environment
from sshrun.errors import UsageError
from sshrun.origin import Origin, Sourced
from sshrun.settings.requirements_file import shown

PROJECT = '[project]\nname = "mine"\nversion = "1"\n'
BUILT = f'[build-system]\nrequires = ["setuptools"]\n{PROJECT}'
CHOICE = f"""{BUILT}dependencies = ["numpy"]
[project.optional-dependencies]
train = ["torch"]
All_Of_It = ["mine[train]", "rich"]
[dependency-groups]
test = ["pytest", {{include-group = "log"}}]
log = ["tensorboard"]
round = [{{include-group = "round"}}]
lost = [{{include-group = "nowhere"}}]
"""


def read(
    root: Path, files: dict[str, str], *requirements: str, script: str = ".", unselected: tuple[str, ...] = ()
) -> ProjectEnvironment | None:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return of_project(str(root), str(root / script), files.keys() - set(unselected), requirements)


def found(root: Path, files: dict[str, str], *requirements: str, script: str = ".") -> ProjectEnvironment:
    environment = read(root, files, *requirements, script=script)
    assert environment is not None
    return environment


ALL = {
    "uv.lock": "version = 1\n",
    "pyproject.toml": BUILT,
    "requirements.txt": "numpy\n",
    "scripts/requirements.txt": "scipy\n",
}


@pytest.mark.parametrize(
    ("without", "script", "kind", "file"),
    [
        ((), "scripts", "uv.lock", "uv.lock"),
        (("uv.lock",), "scripts", "pyproject.toml", "pyproject.toml"),
        (("pyproject.toml",), "scripts", "requirements.txt", "scripts/requirements.txt"),
        (("uv.lock", "pyproject.toml"), "scripts", "requirements.txt", "scripts/requirements.txt"),
        (("uv.lock", "pyproject.toml"), ".", "requirements.txt", "requirements.txt"),
        (("uv.lock", "pyproject.toml"), "other", "requirements.txt", "requirements.txt"),
        (("uv.lock", "pyproject.toml"), "..", "requirements.txt", "requirements.txt"),
    ],
)
def test_the_first_that_goes_to_the_host_counts(
    tmp_path: Path, without: tuple[str, ...], script: str, kind: str, file: str
) -> None:
    environment = read(tmp_path, ALL, script=script, unselected=without)
    assert environment is not None and (environment.kind, environment.file) == (kind, file)
    assert environment.text == file


def test_packages_in_the_settings_are_all_that_is_installed(tmp_path: Path) -> None:
    assert read(tmp_path, ALL, "torch==2.3", "git+https://example.org/x.git") is None
    assert read(tmp_path, {"train.py": ""}) is None


@pytest.mark.parametrize(
    ("pyproject", "kind"),
    [
        ("[tool.black]\nline-length = 100\n", "requirements.txt"),
        ("[build-system]\nrequires = []\n[tool.poetry]\nname = 'mine'\n", "requirements.txt"),
        (f"{PROJECT}[tool.uv]\nmanaged = false\n", "pyproject.toml"),
        ("[tool.uv.workspace]\nmembers = ['a']\n", "uv.lock"),
    ],
)
def test_a_pyproject_may_say_nothing_of_it(tmp_path: Path, pyproject: str, kind: str) -> None:
    assert found(tmp_path, {**ALL, "pyproject.toml": pyproject}).kind == kind


@pytest.mark.parametrize(
    ("pyproject", "names", "lines", "options"),
    [
        (BUILT, [], ("-e .",), ("any",)),
        (PROJECT, [], (), ("any",)),
        (PROJECT, ["src/mine/model.py"], ("-e .",), ("any",)),
        (PROJECT, ["setup.py"], ("-e .",), ("any",)),
        (f"{PROJECT}[tool.setuptools]\npackages = []\n", [], ("-e .",), ("any",)),
        (f"{PROJECT}[tool.uv]\npackage = true\n", [], ("-e .",), ("any",)),
        (f"{BUILT}[tool.uv]\npackage = false\n", [], (), ("any",)),
        (f'{PROJECT}dependencies = ["numpy"]\n', ["data/a.csv"], ("numpy",), ("any",)),
        (f'{BUILT}[[tool.uv.index]]\nurl = "https://example.org"\n', [], ("-e .",), ("uv",)),
        (f'{PROJECT}[tool.uv.sources]\na = {{git = "x"}}\n', [], (), ("uv", "-r", "pyproject.toml")),
        (
            BUILT.replace('"setuptools"', '"setuptools_scm[toml]>=8"').replace("mine", "My.own"),
            [],
            ("-e .",),
            ("any", "SETUPTOOLS_SCM_PRETEND_VERSION_FOR_MY_OWN=0.0.0"),
        ),
        (
            BUILT.replace("setuptools", "hatch-vcs"),
            [],
            ("-e .",),
            ("any", "SETUPTOOLS_SCM_PRETEND_VERSION=0.0.0"),
        ),
        (BUILT.replace("setuptools", "hatch-vcs"), [".git/HEAD"], ("-e .",), ("any",)),
        (f'{BUILT}dynamic = ["dependencies"]\n', [], ("-e .",), ("any", "--reinstall-package", "mine")),
    ],
)
def test_how_a_project_is_installed(
    tmp_path: Path, pyproject: str, names: list[str], lines: tuple[str, ...], options: tuple[str, ...]
) -> None:
    environment = found(tmp_path, {"pyproject.toml": pyproject, **dict.fromkeys(names, "")})
    assert (environment.lines, environment.options) == (lines, options)


def test_extras_and_groups_by_their_names(tmp_path: Path) -> None:
    files = {"pyproject.toml": CHOICE}
    environment = found(tmp_path, files, ".[train,TEST]", "einops", "-e .[all-of.it]")
    assert environment.lines == ("-e .[train,all-of-it]",)
    assert environment.extras == ("train", "all-of-it") and environment.groups == ("test",)
    assert environment.requirements == ("pytest", "tensorboard", "einops")
    assert environment.text == "pyproject.toml (extra train, extra all-of-it, group test), and 3 packages"
    locked = found(tmp_path, {**files, "uv.lock": ""}, ".[train,test]", "einops")
    assert locked.options == ("--extra", "train", "--group", "test")
    assert (locked.lines, locked.requirements) == ((), ("einops",))
    assert locked.text == "uv.lock (extra train, group test), and 1 package"


def test_extras_of_a_project_without_a_build_are_written_out(tmp_path: Path) -> None:
    files = {"pyproject.toml": CHOICE.replace('[build-system]\nrequires = ["setuptools"]\n', "")}
    assert found(tmp_path, files, ".[all_of_it]").lines == ("numpy", "torch", "rich")
    assert found(tmp_path, files, ".[train,all_of_it]").lines == ("numpy", "torch", "rich")
    assert found(tmp_path, files, ".").lines == ("numpy",)
    circle = f'{PROJECT}[project.optional-dependencies]\na = ["mine[b]", "x"]\nb = ["mine[a]", "y"]\n'
    assert found(tmp_path, {"pyproject.toml": circle}, ".[a]").lines == ("y", "x")


@pytest.mark.parametrize(
    ("requirement", "message", "hint"),
    [
        (".[trian]", "requirements: pyproject.toml has no extra and no dependency group trian", "do you mean train?"),
        (".[zzzzzz]", "no dependency group zzzzzz", "known are all-of-it, log, lost, round, test, train"),
        (".[round]", "the dependency group round includes itself", "correct it"),
        (".[lost]", "the dependency group lost includes nowhere", "correct it"),
        ("./no_such", "no_such names a directory that holds no pyproject.toml", "name packages instead"),
    ],
)
def test_what_does_not_exist_is_an_error(tmp_path: Path, requirement: str, message: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        read(tmp_path, {"pyproject.toml": CHOICE}, requirement)
    assert message in caught.value.message and hint in caught.value.hint


def test_an_extra_that_only_the_build_knows_is_believed(tmp_path: Path) -> None:
    assert found(tmp_path, {"setup.py": ""}, ".[gpu]").lines == ("-e .[gpu]",)
    dynamic = f'{BUILT}dynamic = ["optional-dependencies"]\n'
    assert found(tmp_path, {"pyproject.toml": dynamic}, ".[gpu]").lines == ("-e .[gpu]",)


def test_a_dot_where_only_requirements_are_says_how_to_name_them(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        read(tmp_path, {"requirements.txt": "numpy\n"}, ".")
    assert caught.value.hint == 'name the file: requirements: ["-r requirements.txt"]'


def test_other_directories_of_the_project_are_installed_as_editable_too(tmp_path: Path) -> None:
    files = {"pyproject.toml": BUILT, "libs/one/pyproject.toml": BUILT, "libs/two/setup.py": ""}
    environment = found(tmp_path, files, ".", "./libs/one/", "-e libs/two[x]")
    assert environment.lines == ("-e .",)
    assert environment.requirements == ("-e ./libs/one", "-e ./libs/two[x]")
    alone = found(tmp_path, files, "./libs/one", "./libs/two")
    assert (alone.file, alone.lines, alone.requirements) == (
        "libs/one/pyproject.toml",
        ("-e ./libs/one",),
        ("-e ./libs/two",),
    )
    assert (
        found(tmp_path, {**files, "libs/two/setup.py": "# changed"}, ".", "./libs/two").key
        != found(tmp_path, files, ".", "./libs/two").key
    )


@pytest.mark.parametrize(
    ("files", "changed", "counts"),
    [
        ({"pyproject.toml": BUILT}, "pyproject.toml", True),
        ({"pyproject.toml": BUILT, "setup.cfg": ""}, "setup.cfg", True),
        ({"pyproject.toml": BUILT, "src/mine.py": "", "requirements.txt": ""}, "src/mine.py", False),
        ({"pyproject.toml": BUILT, "requirements.txt": ""}, "requirements.txt", False),
        ({"pyproject.toml": BUILT, "uv.lock": ""}, "uv.lock", True),
        ({"pyproject.toml": BUILT, "uv.lock": ""}, "pyproject.toml", True),
        (
            {"pyproject.toml": f"{BUILT}[tool.setuptools.dynamic]\ndependencies = {{file = ['a.txt']}}\n", "a.txt": ""},
            "a.txt",
            True,
        ),
        (
            {"pyproject.toml": f"{BUILT}[tool.uv.workspace]\nmembers = ['x']\n", "x/pyproject.toml": "", "uv.lock": ""},
            "x/pyproject.toml",
            True,
        ),
        ({"requirements.txt": "-r a/b.txt\n", "a/b.txt": "-cc.txt # why\n", "a/c.txt": ""}, "a/b.txt", True),
        ({"requirements.txt": "-r a/b.txt\n", "a/b.txt": "-cc.txt # why\n", "a/c.txt": ""}, "a/c.txt", True),
        ({"requirements.txt": "--requirement=\\\na.txt\n", "a.txt": "-r requirements.txt\n"}, "a.txt", True),
        ({"requirements.txt": "-e ./lib\n", "lib/pyproject.toml": BUILT}, "lib/pyproject.toml", True),
        ({"requirements.txt": "# -r a.txt\n", "a.txt": ""}, "a.txt", False),
    ],
)
def test_the_key_is_of_the_files_that_decide(tmp_path: Path, files: dict[str, str], changed: str, counts: bool) -> None:
    key = found(tmp_path, files).key
    assert found(tmp_path, files).key == key
    assert (found(tmp_path, {**files, changed: files[changed] + "\n# changed\n"}).key != key) is counts


def test_a_requirements_file_that_stays_here_is_noted(tmp_path: Path) -> None:
    environment = found(tmp_path, {"requirements.txt": "-r ../base.txt\n-r https://example.org/r.txt\n"})
    assert environment.notes == ("requirements.txt: -r ../base.txt names a file that does not go to the host",)


def test_requires_python_comes_with_its_place(tmp_path: Path) -> None:
    required = found(tmp_path, {"pyproject.toml": f'{BUILT}requires-python = ">=3.12"\n'}).requires_python
    assert required is not None and required.value == ">=3.12"
    assert str(required.origin) == "pyproject.toml:6 project.requires-python"
    assert found(tmp_path, {"pyproject.toml": BUILT}).requires_python is None


def test_what_is_not_read_gets_a_hint(tmp_path: Path) -> None:
    conda = found(tmp_path, {"environment.yml": "name: vision\ndependencies: [python]\n"})
    assert conda.kind == "" and conda.kept() == () and conda.text == ""
    assert len(conda.notes) == 1 and "conda activate vision" in conda.notes[0]
    poetry = found(tmp_path, {"pyproject.toml": "[build-system]\nrequires = []\n[tool.poetry]\n"})
    assert poetry.kind == "" and 'requirements: ["."] installs it' in poetry.notes[0]
    assert found(tmp_path, {"pyproject.toml": BUILT, "environment.yml": ""}).notes == ()
    assert read(tmp_path, {"pyproject.toml": "[tool.ruff]\n"}) is None


def test_a_file_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"pyproject\.toml is not TOML: .*line 1"):
        read(tmp_path, {"pyproject.toml": "[project\n"})
    with pytest.raises(UsageError, match="No such file"):
        of_project(str(tmp_path), str(tmp_path), {"requirements.txt"}, ())


@pytest.mark.parametrize(
    ("requirement", "local"),
    [
        (".", True),
        (".[train, log]", True),
        ("./pkg", True),
        ("./pkg/[x]", True),
        ("-e .", True),
        ("-e.", True),
        ("--editable=./pkg", True),
        ("-e pkg[x]", True),
        ("numpy", False),
        ("numpy[x]", False),
        ("..", False),
        ("./a/../../b", False),
        ("-e ../other", False),
        ("/abs", False),
        ("./pkg-1.0-py3-none-any.whl", False),
        ("-e git+https://example.org/x.git#egg=x", False),
        ("x @ file:./pkg", False),
        ("-r requirements.txt", False),
        (".[a b;`c`]", False),
        ("", False),
    ],
)
def test_a_directory_of_the_project_is_told_from_a_package(requirement: str, local: bool) -> None:
    assert is_local(requirement) is local


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("--extra-index-url https://joe:s3cret@example.org/simple", "--extra-index-url https://***@example.org/simple"),
        ("x @ git+https://t0ken@example.org/x.git@v1", "x @ git+https://***@example.org/x.git@v1"),
        ("--index-url https://a:b@c:d@example.org", "--index-url https://***@example.org"),
        ("numpy==2", "numpy==2"),
    ],
)
def test_a_line_is_shown_without_its_password(line: str, text: str) -> None:
    assert shown(line) == text


def test_wheels_and_the_files_of_a_project_are_not_combined(tmp_path: Path) -> None:
    wheels = Sourced(True, Origin("user file", "user_settings.yaml", 3, "ssh.wheels"))
    environment = found(tmp_path, ALL)
    with pytest.raises(UsageError) as caught:
        refuse_wheels(environment, wheels)
    assert caught.value.message.startswith("user_settings.yaml:3 ssh.wheels: wheels are collected for")
    assert "uv export" in caught.value.hint
    refuse_wheels(environment, wheels._replace(value=False))
    refuse_wheels(ProjectEnvironment(""), wheels)


def test_what_is_kept_with_the_job_holds_no_line_of_a_file(tmp_path: Path) -> None:
    project = found(
        tmp_path, {"my scripts/requirements.txt": "--index-url https://joe:s3cret@x/\n"}, script="my scripts"
    )
    kept = Environment(True, "3.12", ("rich",), project=project).files()
    assert kept["venv"] == ("3.12",)
    assert kept["requirements"] == (f"# requirements.txt {project.key} my scripts/requirements.txt", "rich")
    assert Environment(False, project=project).files() == {"venv": (), "requirements": ()}
    built = found(tmp_path, {"pyproject.toml": BUILT})
    assert Environment(True, project=built).files()["requirements"] == (f"# pyproject.toml {built.key} any", "-e .")
