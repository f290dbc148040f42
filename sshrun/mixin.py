"""The settings of a spec, with names and types for editors.

A host without sshrun gets this file, as `sshrun.py` in a directory at the end of the job's PYTHONPATH: that is why it
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

    Paths without a pipe are relative to the spec's directory and to the working directory on the host.
    """

    # -- written by `make docs`, after sshrun/settings/table.py
    ssh_remote_dir: str | None = None
    """The working directory on the host, absolute or relative to the login directory. Example: `"~/workspace"`.
    Default: "."."""

    ssh_project: bool | None = None
    """Whether the whole project of the script goes along, and all that is new comes back. Default: false."""

    ssh_create_venv: bool | None = None
    """Whether the job runs in a virtual environment that sshrun makes in the working directory. Default: True."""

    ssh_python: str | None = None
    """The Python that the virtual environment is made with: a name, a version or a path on the host. Example:
    `"python3.11"`. Default: the host's `python3`."""

    ssh_requirements: list[str] = _default(list)
    """Packages for the virtual environment, one line for pip each; `-r FILE` names a file beside the settings.
    Example: `["numpy", "torch==2.3", "-r requirements.txt"]`."""

    ssh_wheels: bool | None = None
    """Whether packages are collected on this machine and sent, for a host without internet. Default: False."""

    ssh_environment: list[str] | dict[str, Any] = _default(list)
    """Variables of the job: a list of `NAME=value`, or a mapping; nothing in a value is expanded. Example:
    `["DEV=1", "CUDA_VISIBLE_DEVICES=0"]`."""

    ssh_pass_environment: list[str] = _default(list)
    """Names of local variables that the job gets, or patterns such as `WANDB_*`. Example: `["HF_TOKEN", "WANDB_*"]`."""

    ssh_upload_files: list[str] = _default(list)
    """Files and directories to upload: a path or glob, `LOCAL|REMOTE`, or `!PATTERN` to take some out again.
    Example: `["dataset/**/*.csv", "~/patch.txt|./patch.txt"]`."""

    ssh_startup_cmds: list[str] = _default(list)
    """Shell commands before the job, in the shell that becomes it: an `export` or `conda activate` reaches the job.
    Example: `["pip install mylib"]`."""

    ssh_command: str | None = None
    """What to run in place of the runner's command, with `{command}`, `{model}` and `{args}` filled in. Example:
    `"torchrun {model}.py {command} {args}"`. Default: the runner's command."""

    ssh_archive: str | None = None
    """The file with the trained model, a path inside the working directory. Example: `"out/model.zip"`. Default:
    `MODEL.zip`, with mltk `MODEL.mltk.zip`."""

    ssh_download_files: list[str] = _default(list)
    """Files and directories to download when the job has ended: a path or glob, or `REMOTE|LOCAL`. Example:
    `["logs/*.txt", "./results.txt|~/results.txt"]`."""

    ssh_results_limit: str | None = None
    """With `project`, how much a run downloads by itself; of what is more, the largest files stay on the host.
    Example: `"50 GB"`. Default: 10 GB."""

    ssh_shutdown_cmds: list[str] = _default(list)
    """Shell commands on the host once all results are downloaded; `$SSHRUN_EXIT_CODE` is the job's exit code.
    Example: `["./tell-me.sh"]`."""

    ssh_stop_grace: int | None = None
    """Seconds that a job has to end by itself before the next signal (INT, TERM, KILL). Example: `60`. Default: 10."""

    ssh_leftovers: str | None = None
    """What becomes of processes that outlive the command: they are ended, or the job lasts as long as they do. One
    of "stop", "wait". Default: "stop"."""

    ssh_transfer: str | None = None
    """The program that transfers files. One of "rsync", "tar", "scp". Default: the best that both sides have."""

    ssh_compress: bool | None = None
    """Whether files are compressed in transfer. Default: where it pays."""
    # -- to here


def module_source() -> bytes:
    """This file, for a host where sshrun is not installed."""
    with open(__file__, "rb") as file:
        return file.read()


def _prefer_installed() -> None:
    """PYTHONPATH comes before what is installed: an installed sshrun takes the place of this file."""
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
    _prefer_installed()
