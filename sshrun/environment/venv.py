"""What the virtual environment on the host is to hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from sshrun.environment.project import ProjectEnvironment


class Environment(NamedTuple):
    """`python` names the interpreter, "" for the host's own; `requirements` are lines for pip. With `wheels` they are
    installed from files that this machine has sent. What the files of a `project` say is installed before them, from
    the working directory on the host. Nothing is touched on the host unless `wanted`.
    """

    wanted: bool
    python: str = ""
    requirements: tuple[str, ...] = ()
    wheels: bool = False
    project: ProjectEnvironment | None = None

    def files(self, wheels_directory: str = "") -> dict[str, tuple[str, ...]]:
        """What is kept with the job. The host compares it, line by line, with what it wrote into the environment that
        exists, so the content itself is the key. `wheels_directory` is the directory of the wheels on the host.
        """
        if not self.wanted:
            return {"venv": (), "requirements": ()}
        return {
            "venv": (self.python, wheels_directory) if self.wheels else (self.python,),
            "requirements": (*(self.project.kept() if self.project else ()), *self.requirements),
        }
