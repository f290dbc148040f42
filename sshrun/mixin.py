"""The settings of a spec, with names and types for editors.

A host without sshrun gets this file, as `sshrun.py` in a folder at the end of the job's PYTHONPATH: that is why it
imports nothing of sshrun, and keeps to what Python 3.7 can run.
"""

from __future__ import annotations

from typing import Any, Callable  # noqa: UP035 (collections.abc.Callable takes no arguments before Python 3.9)


class _Default:
    """Makes each object a default of its own, so that `+=` and `.append` change no other."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self.make = make

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, instance: object, owner: type) -> Any:
        return self if instance is None else vars(instance).setdefault(self.name, self.make())


def _default(make: Callable[[], Any]) -> Any:
    return _Default(make)


class SshMixin:
    """Gives a model's object the settings of sshrun, with their types.

    They are read from the source of the spec, so write literals::

        class MyModel(SshMixin): ...

        my_model = MyModel()
        my_model.ssh_upload_files = ["dataset/**/*.csv"]

    Paths without a pipe are relative to the spec's folder here and to the working directory on the host.
    """

    ssh_remote_dir: str | None = None
    """The working directory on the host, absolute or relative to the login directory."""

    ssh_create_venv: bool | None = None
    """Whether the job runs in a virtual environment that sshrun makes in the working directory. Default: true."""

    ssh_environment: list[str] | dict[str, Any] = _default(list)
    """Variables of the job: `["NAME=value"]` or `{"NAME": "value"}`. Nothing in a value is expanded."""

    ssh_pass_environment: list[str] = _default(list)
    """Variables of the local environment that the job gets: names, or patterns such as `"WANDB_*"`."""

    ssh_upload_files: list[str] = _default(list)
    """Files and folders to send: `"dataset/**/*.csv"`, or `"LOCAL|REMOTE"`. The spec itself always goes along."""

    ssh_startup_cmds: list[str] = _default(list)
    """Shell commands before the job, in its own shell: an `export` or `conda activate` reaches the job."""

    ssh_download_files: list[str] = _default(list)
    """Files and folders to bring home afterwards: `"logs/*.txt"`, or `"REMOTE|LOCAL"`."""

    ssh_shutdown_cmds: list[str] = _default(list)
    """Shell commands once all results are safely home; `$SSHRUN_EXIT_CODE` is the job's exit code."""

    ssh_requirements: list[str] = _default(list)
    """Packages for the virtual environment, as for pip; `"-r requirements.txt"` names a file beside the spec."""

    ssh_archive: str | None = None
    """The file with the trained model, in the working directory. Default: `MODEL.zip`, with mltk `MODEL.mltk.zip`."""

    ssh_command: str | None = None
    """What to run instead, for example `"torchrun {model}.py {command} {args}"`."""

    ssh_python: str | None = None
    """The host's Python that the virtual environment is made with: `"python3.11"`, `"3.11"`, `"~/conda/bin/python"`."""

    ssh_wheels: bool | None = None
    """Whether packages are collected here and sent, for a host without internet. Default: false."""

    ssh_compress: bool | None = None
    """Whether files are compressed on their way. Default: where it pays."""

    ssh_transfer: str | None = None
    """How files travel: "rsync", "tar" or "scp". Default: the best that both sides have."""

    ssh_stop_grace: int | None = None
    """Seconds that the job has, when it is asked to end, before the next and harder signal. Default: 10."""

    ssh_leftovers: str | None = None
    """What becomes of processes that outlive the command: "stop" (the default), or "wait": the job lasts as they do."""


def stand_in() -> bytes:
    """This file, for a host where sshrun is not installed."""
    with open(__file__, "rb") as file:
        return file.read()


def _make_room() -> None:
    """PYTHONPATH stands before what is installed: an installed sshrun takes the place of this file."""
    import importlib
    import os
    import sys

    this_module = sys.modules.pop(__name__)
    path = list(sys.path)
    sys.path[:] = [entry for entry in path if os.path.abspath(entry) != os.path.dirname(os.path.abspath(__file__))]
    try:
        importlib.import_module(__name__)
    except ImportError:
        sys.modules[__name__] = this_module
    finally:
        sys.path[:] = path


if __name__ == "sshrun":
    _make_room()
