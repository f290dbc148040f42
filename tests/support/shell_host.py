"""The program that runs on the host, driven over pipes instead of ssh, under each shell that a host may have."""

from __future__ import annotations

import contextlib
import functools
import os
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from sshrun.process import PIPE, spawn
from sshrun.session.program import BOOTSTRAP
from sshrun.session.protocol import Refusal, decode, encode
from sshrun.session.session import Session
from support.waiting import eventually

BOUND = 20.0  # seconds after which something that should have happened counts as not happening
# The program under "set -u", also the parts of it that run detached, which are made of the same text: a name that is
# mistyped, or read before it is set, ends it. A job's own commands run without, since "set +u" is said before them.
# What a test adds to the program stands in MORE_PROGRAM.
STRICT = BOOTSTRAP.replace('eval "$program"', 'program="set -u\n${MORE_PROGRAM-}\n$program"; eval "$program"')
assert STRICT != BOOTSTRAP

SYSTEM_PATH = "/usr/bin:/bin:/usr/sbin:/sbin"


class Ended(NamedTuple):
    """What a client has seen when a job is over."""

    log: bytes
    state: str
    code: str
    words: list[str]
    notes: str


NO_CONNECTION: Any = None  # tar moves files through the session alone
RefusalOf = Callable[[Session], Refusal]
HoldBack = Callable[[str, str], Callable[[], None]]


class ShellHost:
    """A machine as sshrun sees it: a home folder, a PATH, a shell."""

    def __init__(self, folder: Path, shell: str) -> None:
        self.shell = shell
        self.mark = str(1000 + secrets.randbelow(10**8))  # seconds of sleep that no one else asks for
        self.home = folder / "home"
        self.tools = folder / "tools"
        self.home.mkdir()
        self.tools.mkdir()
        if shell == "busybox":
            # Nothing but applets: neither bash nor GNU tools.
            busybox = required("busybox")
            subprocess.run([busybox, "--install", "-s", str(self.tools)], check=True)
            self.path = str(self.tools)
        else:
            (self.tools / "sh").symlink_to(required(shell))  # bash is POSIX when its name is sh
            self.path = f"{self.tools}:{SYSTEM_PATH}"
        self.variables = {"HOME": str(self.home), "PATH": self.path, "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8"}
        self.sessions: list[Session] = []

    def needs_path(self) -> None:
        """Skips a test that changes what programs the host has, where its shell does not look for them on PATH."""
        if self.shell == "busybox" and _applets_come_first():
            give_up("this busybox takes its own applets before PATH, as Debian's busybox-static does: install busybox")

    def vacant(self, program: str) -> Path:
        """The place on PATH of a program of the host: vacant, for one of the test's own, or for none."""
        self.needs_path()
        path = self.tools / program
        path.unlink(missing_ok=True)
        return path

    @property
    def state(self) -> Path:
        return self.home / ".sshrun" / "hosts" / os.uname().nodename

    def job(self, job: str) -> Path:
        return self.state / "jobs" / job

    def new_id(self) -> str:
        return f"{time.time_ns():020d}-{secrets.token_hex(4)}"

    def session(self, login: str = "cd", empty: str = "", login_shell: str = "") -> Session:
        """A session whose login shell (the host's sh, or another) runs `login` before it carries out the bootstrap.

        `empty` names a folder of the machine in whose place it finds an empty one of its own.
        """
        shell = str(self.tools / "sh")
        argv = [login_shell or shell, "-c", f"{login}; {STRICT.replace('/bin/sh', shell)}"]
        if empty:
            mount = ["mount", "-t", "tmpfs", "none", empty]
            become = [] if os.getuid() == 0 else ["--map-root-user"]
            argv = [
                "/usr/bin/unshare",
                "--mount",
                *become,
                "/bin/sh",
                "-c",
                f'/usr/bin/{" ".join(mount)} && exec "$@"',
                "sh",
                *argv,
            ]
        child = spawn(
            argv,
            stdin=PIPE,
            stdout=PIPE,
            stderr=PIPE,
            session=True,
            env=self.variables,
        )
        session = Session(child, "host")
        self.sessions.append(session)
        return session

    def claim(self, session: Session, job: str, verb: str = "claim") -> None:
        session.request(verb, job, "9", *(["joe@laptop"] if verb == "force" else []))
        for reply in session.replies("claimed", timeout=BOUND):
            assert reply.word in ("claimed", "discarded", "stopping", "job", "manifest")

    def begin(
        self,
        command: Sequence[str | bytes],
        *,
        session: Session | None = None,
        job: str = "",
        verb: str = "claim",
        folder: str | bytes = "",
        archive: str = "",
        environment: Sequence[str | bytes] = (),
        startup: Sequence[str | bytes] = (),
        files: Mapping[str, Sequence[str | bytes]] | None = None,
    ) -> tuple[Session, str]:
        """Sends everything from the claim to the start at once, as a client does, and waits for the job to stand."""
        session = session or self.session()
        job = job or self.new_id()
        session.request(verb, job, "9", *(["joe@laptop"] if verb == "force" else []))
        session.request("place", folder or str(self.home / "work"))
        # /etc/profile of the machine that runs the tests puts its own programs back on PATH.
        environment = [f"PATH={self.path}", *environment]
        kept = {"command": command, "startup": startup, "environment": environment, "manifest": (), **(files or {})}
        for name, values in kept.items():
            session.request("keep", name, *(encode(value) for value in values))
        session.request("start", archive)
        for _ in session.replies("started", timeout=BOUND):
            pass
        return session, job

    def follow(self, session: Session, job: str, offset: int = 0, bound: float = BOUND) -> Ended:
        session.request("follow", job, str(offset))
        assert session.reply(bound) == ("log", str(offset))
        return self.rest(session, bound)

    def rest(self, session: Session, bound: float = BOUND) -> Ended:
        """What comes of a log that is being followed, and what is told behind it."""
        log = b"".join(session.raw(timeout=bound))
        assert session.reply(bound).word == "end"
        notes = []
        for reply in session.replies("manifest", timeout=bound):
            if reply.word == "note":
                notes.append(os.fsdecode(decode(reply.values)) + "\n")
            elif reply.word == "job":
                words = reply.split()
        return Ended(log, words[1], words[2], words, "".join(notes))

    def run(self, command: Sequence[str | bytes], **keywords: Any) -> Ended:
        session, job = self.begin(command, **keywords)
        ended = self.follow(session, job)
        self.release(session, job)
        return ended

    def release(self, session: Session, job: str, *commands: str | bytes) -> None:
        session.request("release", job, *(encode(command) for command in commands))
        assert session.reply(BOUND) == ("released", job)

    def sh(self, script: str | bytes, *arguments: str | bytes, **keywords: Any) -> Ended:
        """Runs a script as the job."""
        return self.run(["sh", "-c", script, "sh", *arguments], **keywords)

    def look(self, session: Session, job: str) -> list[str]:
        """The job as another client sees it."""
        session.request("probe", ".")
        for reply in session.replies("done", timeout=BOUND):
            if reply.word == "job" and reply.split()[0] == job:
                found = reply.split()
        return found

    def mine(self) -> dict[int, str]:
        """The processes of this host: those with its home folder in their environment."""
        mark = b"HOME=" + os.fsencode(self.home) + b"\0"
        found = {}
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit() or int(entry.name) == os.getpid():
                continue
            with contextlib.suppress(OSError):
                if mark in (entry / "environ").read_bytes():
                    words = (entry / "cmdline").read_bytes().split(b"\0")
                    found[int(entry.name)] = b" ".join(words).decode(errors="replace").strip()
        return {pid: words for pid, words in found.items() if words}  # a zombie has none

    def close(self) -> None:
        for session in self.sessions:
            session.child.kill()
            session.child.close()

        def ended() -> bool:
            left = self.mine()
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            return not left

        eventually(ended, BOUND, "the end of the processes of this host")


def give_up(reason: str) -> None:
    """Skips a test for what this machine lacks; where all of them must run, that is a failure."""
    (pytest.fail if "CI" in os.environ else pytest.skip)(reason)


@functools.cache
def _applets_come_first() -> bool:
    """Whether busybox's shell looks for its applets before PATH (FEATURE_SH_STANDALONE of its configuration)."""
    argv = [required("busybox"), "sh", "-c", "uname"]
    return subprocess.run(argv, env={"PATH": "/nowhere"}, capture_output=True, check=False).returncode == 0


def required(program: str, path: str = SYSTEM_PATH) -> str:
    found = shutil.which(program, path=path)
    assert found, f"the tests need {program}: apt install {program}"
    return found
