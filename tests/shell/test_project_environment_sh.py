"""The virtual environment of a project, made on the host from the project's own files."""

from __future__ import annotations

import os
import subprocess
import sysconfig
import zipfile
from pathlib import Path
from typing import Any

import pytest
import uv

from sshrun.environment.project import of_project
from sshrun.environment.venv import Environment
from sshrun.session.session import Session
from support.shell_host import ShellHost, required
from support.slow_index import slow_index, wheel
from support.small_project import write_project

PYTHON = Path(sysconfig.get_config_var("BINDIR")) / f"python{sysconfig.get_python_version()}"
BUILD = 120.0  # seconds that making an environment may take on a slow machine
ONE_SHELL = pytest.mark.parametrize("shell", ["dash"], indirect=True)
WITH_AND_WITHOUT_UV = pytest.mark.parametrize("with_uv", [False, True], ids=["pip", "uv"])

pytestmark = pytest.mark.skipif(not PYTHON.exists(), reason=f"the tests need {PYTHON}")


class Project:
    """A host with Python and a project in its working directory, as if it had just been uploaded."""

    def __init__(self, host: ShellHost) -> None:
        self.host = host
        self.work = host.home / "work"
        self.work.mkdir()
        self.venv = self.work / ".venv"
        # uv comes by itself only: its directory holds a Python too.
        self.uv = host.home / "uv"
        self.uv.mkdir()
        (self.uv / "uv").symlink_to(uv.find_uv_bin())
        self.wheels = self.work / "wheels"
        for name, version in (("first", "1.0"), ("first", "2.0"), ("second", "1.0")):
            wheel(self.wheels, name, version, code="# the later one\n" if version == "2.0" else "")

    def begin(
        self,
        script: str,
        *requirements: str,
        script_directory: str = ".",
        path: str = "",
        with_uv: bool = False,
        index: bool = False,
        environment: tuple[str, ...] = (),
    ) -> tuple[Session, str]:
        path = path or f"{f'{self.uv}:' if with_uv else ''}{PYTHON.parent}:{self.host.path}"
        names = {
            os.fspath(file.relative_to(self.work))
            for file in self.work.rglob("*")
            if file.is_file() and not file.is_relative_to(self.venv)
        }
        project = of_project(str(self.work), str(self.work / script_directory), names, requirements)
        assert project is not None
        wanted = Environment(True, "python3", project.requirements, project=project)
        without_index: list[str] = []
        if not index:
            without_index = ["PIP_NO_INDEX=1", f"PIP_FIND_LINKS={self.wheels}", f"UV_FIND_LINKS={self.wheels}"]
            without_index += ["UV_OFFLINE=1"]
        return self.host.begin(
            ["sh", "-c", script],
            files=wanted.files(),
            environment=[f"PATH={path}", *without_index, *environment],
        )

    def run(self, script: str, *requirements: str, **keywords: Any) -> tuple[str, str, str]:
        session, job = self.begin(script, *requirements, **keywords)
        ended = self.host.follow(session, job, bound=BUILD)
        self.host.release(session, job)
        return ended.code, ended.log.decode(errors="replace"), ended.notes

    def run_unchanged(self, script: str, *requirements: str, **keywords: Any) -> tuple[str, str, str]:
        """On a PATH with nothing on it that could install anything."""
        only = self.host.home / "only"
        if not only.exists():
            only.mkdir()
            for program in ("sh", "uname"):
                (only / program).symlink_to(required(program, self.host.path))
        return self.run(script, *requirements, path=str(only), **keywords)

    def lock(self) -> None:
        with (self.work / "pyproject.toml").open("a") as file:
            file.write('[tool.uv]\nno-index = true\nfind-links = ["wheels"]\n')
        self.relock()

    def relock(self) -> None:
        argv = [uv.find_uv_bin(), "lock", "-q", "--offline", "--python", str(PYTHON)]
        subprocess.run(argv, cwd=self.work, check=True, env={"HOME": str(self.host.home), "PATH": self.host.path})


@pytest.fixture
def project(host: ShellHost) -> Project:
    return Project(host)


def python(code: str) -> str:
    return f"python -c '{code}'"


WHERE = python("import mine, importlib.metadata as m; print(mine.__file__, mine.version, m.version(mine.__name__))")


def test_source_is_found_where_it_was_uploaded_and_installed_once(project: Project) -> None:
    write_project(project.work, "mine", "1.0")
    file = project.work / "src" / "mine.py"
    assert project.run(WHERE) == ("0", f"{file} 1.0 1.0\n", "")
    made = (project.venv / "pyvenv.cfg").stat().st_mtime_ns
    # A changed source is not a changed environment.
    file.write_text("version = 'of later'\n")
    assert project.run_unchanged(WHERE) == ("0", f"{file} of later 1.0\n", "")
    # What says how it is installed is: brought up to date, and not made anew.
    write_project(project.work, "mine", "2.0", code="version = 'of now'\n")
    assert project.run(WHERE) == ("0", f"{file} of now 2.0\n", "")
    assert (project.venv / "pyvenv.cfg").stat().st_mtime_ns == made


@ONE_SHELL
@WITH_AND_WITHOUT_UV
def test_extras_are_installed_and_what_else_is_asked_for(project: Project, with_uv: bool) -> None:
    write_project(project.work, "mine", "1.0", '[project.optional-dependencies]\nmore = ["first<2"]\n')
    versions = python("import first, second, mine; print(first.version, second.version, mine.version)")
    assert project.run(versions, ".[more]", "second", with_uv=with_uv) == ("0", "1.0 1.0 1.0\n", "")
    assert project.run_unchanged(versions, ".[more]", "second")[0] == "0"
    write_project(project.work, "mine", "1.0", '[project.optional-dependencies]\nmore = ["first>=2"]\n')
    assert project.run(versions, ".[more]", "second", with_uv=with_uv) == ("0", "2.0 1.0 1.0\n", "")


@ONE_SHELL
@WITH_AND_WITHOUT_UV
def test_dependencies_in_a_file_that_a_build_reads_are_followed(project: Project, with_uv: bool) -> None:
    more = 'dynamic = ["dependencies"]\n[tool.setuptools.dynamic]\ndependencies = {file = ["needs.txt"]}\n'
    write_project(project.work, "mine", "1.0", more)
    with (project.work / "backend.py").open("a") as file:
        file.write('with open("needs.txt") as file:\n    project["dependencies"] = file.read().split()\n')
    for version in ("1.0", "2.0"):
        (project.work / "needs.txt").write_text(f"first=={version}\n")
        script = python("import first, mine; print(first.version)")
        assert project.run(script, with_uv=with_uv) == ("0", f"{version}\n", "")


@ONE_SHELL
def test_project_without_a_build_has_its_dependencies_installed(project: Project) -> None:
    """What stands beside the modules, such as data, would end a build."""
    (project.work / "data").mkdir()
    (project.work / "pyproject.toml").write_text(
        '[project]\nname = "mine"\nversion = "1"\ndependencies = ["first<2"]\n'
    )
    assert project.run(python("import first; print(first.version)")) == ("0", "1.0\n", "")


def test_requirements_file_holds_with_what_it_names(project: Project) -> None:
    write_project(project.work / "libs" / "mine", "mine", "3.0")
    beside = project.work / "the scripts"
    (beside / "needs").mkdir(parents=True)
    (beside / "requirements.txt").write_text("-r needs/base.txt\n-e ./libs/mine  # of this project\n")
    (beside / "needs" / "base.txt").write_text("first==1.0\n-c no-newer.txt\n")
    (beside / "needs" / "no-newer.txt").write_text("second<2\n")
    versions = python("import first, mine; print(first.version, mine.__file__)")
    mine = project.work / "libs" / "mine" / "src" / "mine.py"
    assert project.run(versions, script_directory="the scripts") == ("0", f"1.0 {mine}\n", "")
    assert project.run_unchanged(versions, script_directory="the scripts")[0] == "0"
    (beside / "needs" / "base.txt").write_text("first==2.0\n")
    assert project.run(versions, script_directory="the scripts") == ("0", f"2.0 {mine}\n", "")


@ONE_SHELL
@WITH_AND_WITHOUT_UV
def test_every_index_that_a_requirements_file_names_is_searched_for_the_best(project: Project, with_uv: bool) -> None:
    """As pip does it. Those who write such a file name the index of a vendor, which has old versions of much else."""
    old = project.host.home / "old"
    wheel(old, "first", "1.0")
    wheel(old, "third", "1.0")
    with slow_index(project.wheels, 0) as usual, slow_index(old, 0) as vendor:
        (project.work / "requirements.txt").write_text(f"--extra-index-url {vendor}\nthird\nfirst>=2\n")
        index = (f"PIP_INDEX_URL={usual}", f"UV_DEFAULT_INDEX={usual}")
        versions = python("import first, third; print(first.version, third.version)")
        assert project.run(versions, with_uv=with_uv, index=True, environment=index) == ("0", "2.0 1.0\n", "")


LOCKED = python("import first, mine; print(first.version, mine.__file__)")


def test_lock_is_followed_and_what_is_beside_it_stays(project: Project) -> None:
    write_project(project.work, "mine", "1.0", 'requires-python = ">=3.9"\ndependencies = ["first<2"]\n')
    project.lock()
    mine = project.work / "src" / "mine.py"
    assert project.run(LOCKED, with_uv=True) == ("0", f"1.0 {mine}\n", "")
    assert (project.venv / "sshrun" / "ready").exists()
    assert project.run_unchanged(LOCKED) == ("0", f"1.0 {mine}\n", "")
    made = (project.venv / "pyvenv.cfg").stat().st_mtime_ns
    (project.venv / "beside").touch()
    changed = (project.work / "pyproject.toml").read_text().replace("first<2", "first>=2")
    (project.work / "pyproject.toml").write_text(changed)
    project.relock()
    assert project.run(python("import mine, second"), ".", "second", with_uv=True) == ("0", "", "")
    script = f"{LOCKED} && {python('import second')}"
    assert project.run(script, with_uv=True) == ("0", f"2.0 {mine}\n", "")
    assert (project.venv / "pyvenv.cfg").stat().st_mtime_ns == made
    assert (project.venv / "beside").exists()


@ONE_SHELL
def test_extras_and_groups_of_a_lock(project: Project) -> None:
    write_project(
        project.work,
        "mine",
        "1.0",
        'requires-python = ">=3.9"\n[project.optional-dependencies]\nmore = ["first"]\n'
        '[dependency-groups]\nlog = ["second"]\n',
    )
    project.lock()
    assert project.run(python("import mine, first, second"), ".[more,log]", with_uv=True) == ("0", "", "")
    assert project.run(python("import mine, first"), ".", with_uv=True)[0] == "0"


@ONE_SHELL
def test_lock_brings_uv_where_the_host_has_none(project: Project) -> None:
    program = "uv-1.0.data/scripts/uv"
    with zipfile.ZipFile(project.wheels / "uv-1.0-py3-none-any.whl", "w") as archive:
        info = zipfile.ZipInfo(program)
        info.external_attr = 0o100755 << 16
        archive.writestr(info, f'#!/bin/sh\nexec {uv.find_uv_bin()} "$@"\n')
        archive.writestr("uv-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: uv\nVersion: 1.0\n")
        archive.writestr("uv-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr("uv-1.0.dist-info/RECORD", f"{program},,\n")
    write_project(project.work, "mine", "1.0", 'requires-python = ">=3.9"\ndependencies = ["first<2"]\n')
    project.lock()
    assert project.run(LOCKED)[:2] == ("0", f"1.0 {project.work}/src/mine.py\n")
    assert (project.venv / "bin" / "uv").exists()


@ONE_SHELL
def test_lock_without_any_uv_says_what_is_missing(project: Project) -> None:
    write_project(project.work, "mine", "1.0", 'requires-python = ">=3.9"\n')
    project.lock()
    code, log, notes = project.run("echo ran")
    assert code == "1" and "ran" not in log
    assert "uv, which uv.lock needs, could not be installed into .venv: the output of pip is in the log" in notes


@ONE_SHELL
def test_lock_that_is_outdated_ends_the_job(project: Project) -> None:
    write_project(project.work, "mine", "1.0", 'requires-python = ">=3.9"\ndependencies = ["first<2"]\n')
    project.lock()
    pyproject = project.work / "pyproject.toml"
    pyproject.write_text(pyproject.read_text().replace("first<2", "second"))
    code, log, notes = project.run("echo ran", with_uv=True)
    assert code not in ("0", "") and "ran" not in log
    assert "uv.lock" in log and "needs to be updated" in log
    assert "what uv.lock says could not be installed into .venv: the output of uv is in the log" in notes


@ONE_SHELL
def test_sources_that_only_uv_knows_are_installed_by_uv(project: Project) -> None:
    write_project(project.work / "libs" / "other", "other", "5.0")
    write_project(
        project.work, "mine", "1.0", 'dependencies = ["other"]\n[tool.uv.sources]\nother = {path = "libs/other"}\n'
    )
    script = python("import other, mine; print(other.version)")
    assert project.run(script, with_uv=True) == ("0", "5.0\n", "")
    assert "uv, which pyproject.toml needs" in project.run(script, "other>1", ".")[2]


@ONE_SHELL
def test_version_from_git_has_a_stand_in_where_git_does_not_go(project: Project) -> None:
    write_project(project.work, "mine", "1.0")
    pyproject = project.work / "pyproject.toml"
    backend = project.work / "backend.py"
    backend.write_text(
        "import os\nassert os.environ['SETUPTOOLS_SCM_PRETEND_VERSION_FOR_MINE'] == '0.0.0'\n" + backend.read_text()
    )
    pyproject.write_text(pyproject.read_text().replace("requires = []", 'requires = ["setuptools_scm>=8"]'))
    wheel(project.wheels, "setuptools_scm", "8.0")
    assert project.run("echo ran")[:2] == ("0", "ran\n")


@ONE_SHELL
@WITH_AND_WITHOUT_UV
def test_password_of_an_index_in_a_requirements_file_shows_nowhere(project: Project, with_uv: bool) -> None:
    (project.work / "requirements.txt").write_text(
        "--extra-index-url http://joe:c4n4ry-p4ss@127.0.0.1:9/\nno-such==1\n"
    )
    session, job = project.begin(
        "echo ran", with_uv=with_uv, index=True, environment=("PIP_RETRIES=0", "UV_HTTP_RETRIES=0")
    )
    ended = project.host.follow(session, job, bound=BUILD)
    assert ended.code != "0" and b"c4n4ry-p4ss" not in ended.log and "c4n4ry" not in ended.notes
    assert "what requirements.txt says could not be installed" in ended.notes
    holders = [
        file
        for file in project.host.home.rglob("*")
        if file.is_file() and not file.is_symlink() and b"c4n4ry-p4ss" in file.read_bytes()
    ]
    assert holders == [project.work / "requirements.txt"]


@ONE_SHELL
def test_what_is_installed_is_told_meanwhile(project: Project) -> None:
    with slow_index(project.wheels, 2.5) as index:
        (project.work / "requirements.txt").write_text("first==1.0\n")
        session, job = project.begin("echo up", index=True, environment=(f"PIP_INDEX_URL={index}",))
        session.request("follow", job, "0")
        assert session.reply().word == "log"
        told = [piece.values for piece in session.raw_and_notices(timeout=BUILD) if not isinstance(piece, bytes)]
    assert any(words.startswith("environment installing requirements.txt Collecting first==1.0") for words in told)


def test_other_pythons_of_the_host_are_named(host: ShellHost) -> None:
    some = host.home / "some"
    some.mkdir()
    lacks_ensurepip = "case $2 in *ensurepip*) exit 1 ;; esac"
    for name, code in (("python3.29", ""), ("python3.28", lacks_ensurepip), ("uv", "")):
        (some / name).write_text(f"#!/bin/sh\n{code}\n")
        (some / name).chmod(0o755)
    for profile in (".profile", ".bash_profile"):
        (host.home / profile).write_text(f"PATH='{some}:{host.path}'\n")
    session = host.session()
    session.request("pythons")
    found = next(iter(session.replies("pythons"))).values.split()
    assert found[0] == "3.29" and "3.28" not in found and found[-1] == "uv"
