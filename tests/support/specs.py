"""What tests give sshrun to do: specs whose job is a shell script, and a look at the host's side of it."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path
from typing import Any

from sshrun.sandbox import Sandbox


def write_spec(folder: Path, script: str, name: str = "my_model", **settings: Any) -> Path:
    """A spec whose command runs `script` with sh; `settings` are its attributes, without their "ssh_"."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.sh").write_text(script)
    settings = {"create_venv": False, "command": f"sh {name}.sh {{args}}", **settings}
    settings["upload_files"] = [f"{name}.sh", *settings.get("upload_files", ())]
    lines = [f"{name}.ssh_{key} = {value!r}" for key, value in settings.items()]
    spec = folder / f"{name}.py"
    spec.write_text("\n".join(["class Model:", "    pass", "", f"{name} = Model()", *lines, ""]))
    return spec


class HostSide:
    """What stands on the host: its jobs, and their processes."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.home = sandbox.home
        self._cookie = f"SSHRUN_SANDBOX={(sandbox.directory / 'cookie').read_text().strip()}"
        self.jobs = sandbox.home / ".sshrun" / "hosts" / os.uname().nodename / "jobs"

    def ids(self) -> list[str]:
        """Of all jobs, the latest last."""
        return sorted(os.listdir(self.jobs)) if self.jobs.is_dir() else []

    def began(self) -> list[str]:
        """Of the jobs whose supervisor has started."""
        return [job for job in self.ids() if (self.jobs / job / "started").exists()]

    def latest(self) -> Path:
        return self.jobs / self.ids()[-1]

    def supervisor(self, job: str) -> int:
        return int((self.jobs / job / "id").read_text().split()[0])

    def processes(self, job: str) -> set[int]:
        """Those that inherited the job's mark; the supervisor is none of them."""
        return carriers(f"SSHRUN_JOB={job}")

    def kill_everything(self, job: str) -> None:
        """As a restart of the host, or the kernel short of memory: supervisor and job, without a word."""
        for pid in (self.supervisor(job), *self.processes(job)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def idle(self) -> bool:
        """Whether nothing is left, neither a session of a client nor a job."""
        return not carriers(self._cookie)


def carriers(assignment: str) -> set[int]:
    """The live processes that were started with a variable of the environment."""
    wanted = assignment.encode() + b"\0"
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if wanted in (process / "environ").read_bytes() and (process / "cmdline").read_bytes():
                found.add(int(process.name))
    return found


def commands() -> dict[int, str]:
    """The command lines of all live processes."""
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if words := (process / "cmdline").read_bytes():
                found[int(process.name)] = words.replace(b"\0", b" ").decode(errors="replace")
    return found
