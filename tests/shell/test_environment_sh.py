"""The virtual environment on the host: made once, changed when what it should hold changes, never anybody else's."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
from pathlib import Path
from typing import Any

import pytest
import uv

from sshrun.session.session import Session
from support.shell_host import ShellHost, required
from support.slow_index import slow_index, wheel
from support.waiting import eventually

PYTHON = Path(sysconfig.get_config_var("BINDIR")) / f"python{sysconfig.get_python_version()}"
BUILD = 120.0  # seconds that making an environment may take on a slow machine

# Making one takes seconds: where the shell makes no difference, one shell is enough.
ONE_SHELL = pytest.mark.parametrize("shell", ["dash"], indirect=True)

pytestmark = pytest.mark.skipif(not PYTHON.exists(), reason=f"the tests need {PYTHON}")


class Builder:
    """A host with Python, and a folder of wheels instead of an index."""

    def __init__(self, host: ShellHost) -> None:
        self.host = host
        self.work = host.home / "work"
        self.venv = self.work / ".venv"
        self.wheels = host.home / "wheels"
        self.path = f"{PYTHON.parent}:{host.path}"
        for profile in (".profile", ".bash_profile"):  # /etc/profile puts the programs of this machine back
            (host.home / profile).write_text(f"PATH='{self.path}'\n")
        wheel(self.wheels, "first", "1.0")
        # Of another size: Python goes by that, and by whole seconds, to see that what it has compiled is outdated.
        wheel(self.wheels, "first", "2.0", code="# the later one\n")
        wheel(self.wheels, "second", "1.0")

    def begin(
        self,
        script: str,
        *requirements: str,
        python: str = "python3",
        path: str = "",
        session: Session | None = None,
        wheels: bool = True,
        **keywords: Any,
    ) -> tuple[Session, str]:
        files = {"venv": [python, str(self.wheels)] if wheels else [python], "requirements": requirements}
        environment = [f"PATH={path or self.path}", *keywords.pop("environment", ())]
        return self.host.begin(["sh", "-c", script], files=files, environment=environment, session=session, **keywords)

    def run(self, script: str, *requirements: str, bound: float = BUILD, **keywords: Any) -> tuple[str, str, str]:
        session, job = self.begin(script, *requirements, **keywords)
        ended = self.host.follow(session, job, bound=bound)
        self.host.release(session, job)
        return ended.code, ended.log.decode(errors="replace"), ended.notes

    def stamp(self) -> float:
        """Changes when the environment is made anew."""
        return (self.venv / "pyvenv.cfg").stat().st_mtime_ns


@pytest.fixture
def builder(host: ShellHost) -> Builder:
    return Builder(host)


VERSIONS = "python -c 'import first, sys; print(first.version, sys.prefix)'"


def test_environment_is_made_changed_and_kept(builder: Builder) -> None:
    assert builder.run(VERSIONS, "first==1.0") == ("0", f"1.0 {builder.venv}\n", "")
    made = builder.stamp()
    ready = _identity(builder.venv / "sshrun" / "ready")
    # Unchanged: nothing is written, and what was installed beside it stays.
    (builder.venv / "beside").touch()
    assert builder.run(VERSIONS, "first==1.0") == ("0", f"1.0 {builder.venv}\n", "")
    assert _identity(builder.venv / "sshrun" / "ready") == ready
    # Changed: brought up to date, not made anew.
    assert builder.run(VERSIONS, "first==2.0", "second") == ("0", f"2.0 {builder.venv}\n", "")
    assert builder.stamp() == made
    assert (builder.venv / "beside").exists()
    assert builder.run("python -c 'import second'", "first==2.0", "second")[0] == "0"


def _identity(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_ino, status.st_mtime_ns


@ONE_SHELL
def test_unchanged_environment_is_known_without_starting_a_program(builder: Builder) -> None:
    builder.run("true", "first")
    made = builder.stamp()
    only = _made(builder.host.home / "only")
    for program in ("sh", "uname"):
        (only / program).symlink_to(required(program, builder.path))
    assert builder.run('echo "$VIRTUAL_ENV"', "first", path=str(only)) == ("0", f"{builder.venv}\n", "")
    assert builder.stamp() == made


@pytest.mark.long
@pytest.mark.alone
@ONE_SHELL
def test_unchanged_environment_adds_under_fifty_milliseconds(builder: Builder) -> None:
    builder.run("true", "first")

    def seconds(**keywords: Any) -> float:
        began = time.monotonic()
        session, job = builder.host.begin(["true"], environment=[f"PATH={builder.path}"], **keywords)
        builder.host.follow(session, job)
        took = time.monotonic() - began
        builder.host.release(session, job)
        return took

    files = {"venv": ["python3", str(builder.wheels)], "requirements": ["first"]}
    with_it, without = [], []
    for _ in range(25):
        with_it.append(seconds(files=files))
        without.append(seconds())
    assert min(with_it) - min(without) < 0.05


@ONE_SHELL
def test_environment_without_requirements_is_made(builder: Builder) -> None:
    code, log, notes = builder.run("command -v python; python -m pip --version")
    assert code == "0"
    assert log.startswith(f"{builder.venv}/bin/python\n")
    assert notes == ""


def test_startup_and_shutdown_commands_find_it_active(builder: Builder) -> None:
    report = 'echo "$VIRTUAL_ENV" "$(command -v python)" "${PYTHONHOME-unset}" $SSHRUN_EXIT_CODE'
    session, job = builder.begin("true", startup=[report], environment=["PYTHONHOME=/nowhere"])
    active = f"{builder.venv} {builder.venv}/bin/python unset"
    assert builder.host.follow(session, job, bound=BUILD).log.decode() == f"{active}\n"
    builder.host.release(session, job, report)
    log = builder.host.job(job) / "shutdown" / "log"
    eventually(lambda: log.exists() and log.read_text() == f"{active} 0\n")


def test_nothing_is_touched_where_no_environment_is_wanted(host: ShellHost) -> None:
    theirs = host.home / "work" / ".venv" / "bin"
    theirs.mkdir(parents=True)
    (theirs / "python").symlink_to(PYTHON)
    ended = host.sh('echo "${VIRTUAL_ENV-none}"; ls -A .venv', files={"venv": [], "requirements": []})
    assert ended.log == b"none\nbin\n"


def test_environment_of_somebody_else_is_used_as_it_is(builder: Builder) -> None:
    builder.work.mkdir()
    subprocess.run([PYTHON, "-m", "venv", "--without-pip", builder.venv], check=True)
    before = sorted(path.relative_to(builder.venv) for path in builder.venv.rglob("*"))
    code, log, notes = builder.run("command -v python; echo $VIRTUAL_ENV", "first")
    assert (code, log) == ("0", f"{builder.venv}/bin/python\n{builder.venv}\n")
    assert sorted(path.relative_to(builder.venv) for path in builder.venv.rglob("*")) == before
    assert "not made by sshrun" in notes
    assert len(notes.splitlines()) == 1


@pytest.mark.parametrize("kind", ["file", "folder", "link"])
def test_what_is_no_environment_is_left_alone(builder: Builder, kind: str) -> None:
    builder.work.mkdir()
    if kind == "file":
        builder.venv.write_text("/elsewhere\n")
    elif kind == "folder":
        builder.venv.mkdir()
        (builder.venv / "precious").touch()
    else:
        builder.venv.symlink_to("/no/where")
    code, log, notes = builder.run('echo "${VIRTUAL_ENV-none}"', "first")
    assert (code, log) == ("0", "none\n")
    assert "not made by sshrun" in notes
    assert {
        "file": builder.venv.is_file(),
        "folder": (builder.venv / "precious").exists(),
        "link": builder.venv.is_symlink(),
    }[kind]


@ONE_SHELL
def test_requirement_that_cannot_be_had_ends_the_job_and_keeps_the_environment(builder: Builder) -> None:
    builder.run("true", "first==1.0")
    made = builder.stamp()
    code, log, notes = builder.run("echo ran", "first==1.0", "no-such-package==9")
    assert code == "1"
    assert "no-such-package" in log
    assert "ran" not in log
    assert "requirements could not be installed" in notes
    assert builder.run(VERSIONS, "first==2.0")[:2] == ("0", f"2.0 {builder.venv}\n")
    assert builder.stamp() == made


def test_python_that_is_gone_is_noticed(builder: Builder) -> None:
    builder.run("true", "first==1.0")
    (builder.venv / "bin" / "python").unlink()
    (builder.venv / "bin" / "python").symlink_to("/no/such/python")
    assert builder.run(VERSIONS, "first==1.0") == ("0", f"1.0 {builder.venv}\n", "")


@ONE_SHELL
def test_python_that_became_another_is_noticed(builder: Builder) -> None:
    """As after an upgrade of the system: the name is the same, what it leads to is not."""
    builder.run("true", "first==1.0")
    (builder.venv / "bin" / "python").unlink()
    (builder.venv / "bin" / "python").symlink_to(required("env", "/usr/bin"))
    assert builder.run(VERSIONS, "first==1.0") == ("0", f"1.0 {builder.venv}\n", "")


@ONE_SHELL
def test_folder_that_was_moved_is_noticed(builder: Builder) -> None:
    builder.run("true", "first==1.0")
    shutil.copytree(builder.work, builder.host.home / "copy", symlinks=True)
    script = "pip --version; " + VERSIONS
    code, log, _notes = builder.run(script, "first==1.0", folder=str(builder.host.home / "copy"))
    assert code == "0"
    assert str(builder.work) not in log
    assert log.endswith(f"1.0 {builder.host.home}/copy/.venv\n")


@ONE_SHELL
def test_link_to_an_empty_folder_may_stand_in_its_place(builder: Builder) -> None:
    builder.work.mkdir()
    disk = _made(builder.host.home / "disk")
    builder.venv.symlink_to(disk)
    assert builder.run(VERSIONS, "first==1.0")[0] == "0"
    made = builder.stamp()
    assert builder.run(VERSIONS, "first==2.0") == ("0", f"2.0 {builder.venv}\n", "")
    assert builder.stamp() == made
    assert builder.venv.is_symlink() and (disk / "pyvenv.cfg").exists()


@ONE_SHELL
@pytest.mark.parametrize("name", ["PIP_PREFIX", "PIP_TARGET", "PIP_USER"])
def test_pip_installs_into_it_whatever_else_the_host_tells_pip(builder: Builder, name: str) -> None:
    value = "1" if name == "PIP_USER" else str(builder.host.home / "elsewhere")
    assert builder.run(VERSIONS, "first==1.0", environment=[f"{name}={value}"])[:2] == ("0", f"1.0 {builder.venv}\n")
    assert builder.run(VERSIONS, "first==2.0", environment=[f"{name}={value}"])[:2] == ("0", f"2.0 {builder.venv}\n")


@ONE_SHELL
def test_another_name_for_the_same_python_makes_nothing_anew(builder: Builder) -> None:
    builder.run("true", "first==1.0", python="python3")
    made = builder.stamp()
    assert builder.run(VERSIONS, "first==1.0", python=str(PYTHON))[0] == "0"
    assert builder.stamp() == made
    assert builder.run(VERSIONS, "first==1.0", python="")[0] == "0"
    assert builder.stamp() == made


@pytest.mark.parametrize("kind", ["version", "home"])
def test_python_may_be_named_by_its_version_and_from_home(builder: Builder, kind: str) -> None:
    (builder.host.home / "my python").symlink_to(PYTHON)
    python = sysconfig.get_python_version() if kind == "version" else "~/my python"
    assert builder.run(VERSIONS, "first==1.0", python=python) == ("0", f"1.0 {builder.venv}\n", "")
    session = builder.host.session(f"PATH={builder.path}; export PATH; cd")
    session.request("place", str(builder.work))
    session.request("wheels", python, "first==2.0")
    replies = list(session.replies("directory"))
    assert replies[-2].split()[:2] == ["cpython", sysconfig.get_python_version()]


def test_python_that_is_not_there_is_said(builder: Builder) -> None:
    code, log, notes = builder.run("echo ran", python="python9.9")
    assert (code, log) == ("127", "")
    assert 'no "python9.9"' in notes
    assert "create_venv: false" in notes


@ONE_SHELL
@pytest.mark.parametrize("with_uv", [False, True])
def test_environment_outlives_the_name_of_a_python_that_is_not_there(builder: Builder, with_uv: bool) -> None:
    """What a slip in a setting would cost is an hour of downloads."""
    path = f"{Path(uv.find_uv_bin()).parent}:{builder.path}" if with_uv else builder.path
    builder.run("true", "first==1.0", path=path)
    made = builder.stamp()
    assert builder.run("true", "first==1.0", path=path, python="/no/such/python")[0] != "0"
    assert builder.run(VERSIONS, "first==1.0", path=path)[:2] == ("0", f"1.0 {builder.venv}\n")
    assert builder.stamp() == made


@ONE_SHELL
def test_missing_ensurepip_is_said_with_the_package_to_install(builder: Builder) -> None:
    bare = builder.host.home / "bare"
    bare.mkdir()
    (bare / "python3").write_text(
        f'#!/bin/sh\nexec {PYTHON} -c "import sys; sys.modules[\'ensurepip\'] = None; exec(sys.argv[1])" "$2"\n'
    )
    (bare / "python3").chmod(0o755)
    code, log, notes = builder.run("echo ran", path=f"{bare}:{builder.path}", python="")
    assert (code, log) == ("1", "")
    assert "apt install python3-venv" in notes
    assert len(notes.splitlines()) == 1


@ONE_SHELL
def test_password_of_an_index_is_for_nobody_else_to_read(builder: Builder) -> None:
    session = builder.host.session("umask 022; cd")
    builder.run("true", "--index-url https://joe:c4n4ry-p4ss@127.0.0.1:9/", "first", session=session)
    holders = [
        path
        for path in builder.host.home.rglob("*")
        if path.is_file()
        and not path.is_symlink()
        and b"c4n4ry-p4ss" in path.read_bytes()
        and path.stat().st_mode & 0o077
    ]
    assert holders == []
    assert (builder.venv / "bin").stat().st_mode & 0o077 == 0o055


def test_build_that_was_killed_is_made_anew(builder: Builder) -> None:
    """At any moment: what counts is that the next job finds a whole one."""
    moments = random.Random(builder.host.shell)
    for round_number in range(4):
        session, job = builder.begin("true", f"first=={1 + round_number % 2}.0")
        time.sleep(moments.uniform(0, 1.5))
        for pid in builder.host.mine():
            if pid != session.child.pid:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        builder.host.release(builder.host.session(), job)
    assert builder.run(VERSIONS, "first==2.0")[:2] == ("0", f"2.0 {builder.venv}\n")


@ONE_SHELL
def test_what_a_builder_that_died_has_left_at_work_is_ended(builder: Builder) -> None:
    """A pip that goes on writes into the environment that the next job makes."""
    slow = _made(builder.host.home / "slow")
    (slow / "python3").write_text(
        f'#!/bin/sh\ncase "$*" in "-m venv"*) sleep {builder.host.mark} ;; esac\nexec {PYTHON} "$@"\n'
    )
    (slow / "python3").chmod(0o755)
    _, job = builder.begin("true", path=f"{slow}:{builder.path}")
    left = f"sleep {builder.host.mark}"
    eventually(lambda: left in builder.host.mine().values())
    supervisor = (builder.host.job(job) / "id").read_text().split()[0]
    for pid, words in builder.host.mine().items():
        if pid == int(supervisor) or "sshrun.sh job" in words:
            os.kill(pid, signal.SIGKILL)
    assert left in builder.host.mine().values()
    builder.host.release(builder.host.session(), job)
    assert builder.run(VERSIONS, "first==1.0")[0] == "0"
    assert left not in builder.host.mine().values()


@pytest.mark.long
def test_build_that_was_killed_a_hundred_times_always_ends_in_a_working_one(builder: Builder) -> None:
    moments = random.Random(builder.host.shell)
    for _ in range(34):  # with each of three shells
        session, job = builder.begin("true", f"first=={moments.choice('12')}.0")
        time.sleep(moments.uniform(0, 3))
        for pid in builder.host.mine():
            if pid != session.child.pid:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        builder.host.release(builder.host.session(), job)
        version = moments.choice("12")
        script = f"{VERSIONS}; python -m pip check -q"
        assert builder.run(script, f"first=={version}.0", bound=300)[:2] == ("0", f"{version}.0 {builder.venv}\n")


def test_two_jobs_never_build_it_at_once(builder: Builder, tmp_path: Path) -> None:
    """Two machines that share the folder, but not the home: each has its own turns, and only the folder's own lock."""
    other = type(builder.host)(_made(tmp_path / "other"), builder.host.shell)
    try:
        twin = Builder(other)
        twin.work, twin.venv = builder.work, builder.venv
        traced = _made(tmp_path / "traced")
        # A Python that notes when it makes an environment, and takes its time.
        (traced / "python3").write_text(
            f'#!/bin/sh\nlog={traced}/log\ncase "$*" in "-m venv"*) echo begin >>"$log"; sleep 1; {PYTHON} "$@"; '
            f'code=$?; echo end >>"$log"; exit $code ;; esac\nexec {PYTHON} "$@"\n'
        )
        (traced / "python3").chmod(0o755)
        first = builder.begin(VERSIONS, "first==1.0", path=f"{traced}:{builder.path}")
        second = twin.begin(VERSIONS, "first==1.0", path=f"{traced}:{twin.path}", folder=str(builder.work))
        logs = []
        for owner, (session, job) in ((builder, first), (twin, second)):
            ended = owner.host.follow(session, job, bound=BUILD)
            assert ended.code == "0"
            logs.append(ended.log.decode())
        assert (traced / "log").read_text() == "begin\nend\n"
        # In the log, where it can be read while it is true.
        waited, built = sorted(logs, key=len, reverse=True)
        assert built == f"1.0 {builder.venv}\n"
        assert waited.startswith("waiting for the job on ") and waited.endswith(f")\n{built}")
    finally:
        other.close()


@pytest.mark.parametrize("shell", ["busybox"], indirect=True)
def test_job_without_bash_and_uv_needs_only_python(builder: Builder) -> None:
    only = _made(builder.host.home / "only")
    (only / "python3").symlink_to(PYTHON)
    path = f"{only}:{builder.host.tools}" if builder.host.shell == "busybox" else f"{only}:{builder.host.path}"
    assert builder.run(VERSIONS, "first==1.0", path=path)[0] == "0"


@ONE_SHELL
def test_uv_makes_it_where_there_is_uv(builder: Builder) -> None:
    path = f"{Path(uv.find_uv_bin()).parent}:{builder.path}"
    assert builder.run(VERSIONS, "first==1.0", path=path) == ("0", f"1.0 {builder.venv}\n", "")
    assert "uv = " in (builder.venv / "pyvenv.cfg").read_text()
    made = builder.stamp()
    assert builder.run(VERSIONS, "first==2.0", path=path) == ("0", f"2.0 {builder.venv}\n", "")
    assert builder.stamp() == made
    assert builder.run("pip --version", "first==2.0", path=path)[0] == "0"


def test_wheels_are_asked_for_only_where_something_changes(builder: Builder) -> None:
    session = builder.host.session(f"PATH={builder.path}; export PATH; cd")
    builder.host.claim(session, builder.host.new_id())
    session.request("place", str(builder.work))
    session.request("wheels", "python3", "first==1.0")
    replies = list(session.replies("directory"))
    assert replies[-2].split()[:2] == ["cpython", sysconfig.get_python_version()]
    assert replies[-1].values == f"{builder.host.home}/.sshrun/wheels"
    session.child.kill()
    builder.run("true", "first==1.0")
    session = builder.host.session(f"PATH={builder.path}; export PATH; cd")
    session.request("place", str(builder.work))
    session.request("wheels", "python3", "first==1.0")
    assert session.reply().word == "placed"
    assert session.reply() == ("wheels", "ready")
    assert sys.version_info >= (3, 11)


@ONE_SHELL
def test_what_is_being_installed_is_told_meanwhile(builder: Builder) -> None:
    with slow_index(builder.wheels, 2.5) as index:
        session, job = builder.begin(
            "echo up", "first==1.0", "second", wheels=False, environment=[f"PIP_INDEX_URL={index}"]
        )
        session.request("follow", job, "0")
        assert session.reply().word == "log"
        log, told = b"", []
        for piece in session.raw_and_notices(timeout=BUILD):
            if isinstance(piece, bytes):
                log += piece
            else:
                told.append(piece.values)
    assert log == b"up\n", "what pip prints on its way is no part of the log"
    assert "environment making" in told
    assert "environment installing 2 Collecting first==1.0 (from -r .venv/sshrun/requirements (line 1))" in told
    assert any(words.startswith("environment installing 2 Collecting second") for words in told)
    assert not (builder.host.job(job) / "packages").exists()


@ONE_SHELL
def test_what_fails_to_be_installed_says_why_in_the_log(builder: Builder) -> None:
    code, log, notes = builder.run("echo up", "third")
    assert code == "1" and "up" not in log
    assert "No matching distribution found for third" in log
    assert "could not be installed" in notes


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder
