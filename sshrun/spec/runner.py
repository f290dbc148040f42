"""What `sshrun COMMAND MODEL ARGS` means on the host."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from sshrun.command_line import REFUSED
from sshrun.errors import SettingsError, UsageError
from sshrun.jobs.plan import RunnerLogs, is_own_choice
from sshrun.origin import Sourced
from sshrun.settings.schema import Settings
from sshrun.spec import notebook
from sshrun.spec.find import ARCHIVE_SUFFIX, TEST_SUFFIX, Spec, is_shell_script
from sshrun.spec.local_mltk import PACKAGE as MLTK_PACKAGE
from sshrun.spec.local_mltk import find_mltk
from sshrun.spelling import near_miss

MLTK_CACHE = "MLTK_CACHE_DIR"
# Those that take a MODEL (mltk/cli of 0.20.0). Another one may be a plugin's.
MLTK_COMMANDS = (
    *("classify_audio", "classify_image", "compile", "custom", "evaluate", "fingerprint_reader", "profile"),
    *("quantize", "summarize", "tensorboard", "train", "update_params", "view", "view_audio"),
)


class Release(NamedTuple):
    """What is known of a released mltk: what it needs beside what it asks for itself, and what it has packages for."""

    version: str
    companions: tuple[str, ...]
    fits: str


# Newest first. The command line of 0.20.0 fails with later ones of its companions.
MLTK_RELEASES = (Release("0.20.0", ("typer==0.12.5", "click==8.1.7"), "Python 3.10 to 3.12 on x86-64 Linux"),)


class Runner(NamedTuple):
    """How a job is started on the host, and what it makes.

    `name` is "mltk", "script", "run", "module" or "program". `argv` is started in `directory`, which is beneath the
    working directory, or "" for that one itself; no shell sees it.
    `command` and `model` name the job, for `status` and for the comparison of `--resume`. `archive` is relative to the
    remote working directory and to the spec's results directory. `requirements` are the runner's own lines for pip;
    `version` is that of its package, "" for the latest. `inputs` (LOCAL|REMOTE) and `outputs` (REMOTE|LOCAL, or a glob)
    are files that the arguments name. `rewrites` is a file that was sent and that the job replaces: a notebook.
    """

    name: str
    argv: tuple[str, ...]
    command: str
    model: str
    archive: str | None = None
    logs: RunnerLogs | None = None
    requirements: tuple[str, ...] = ()
    version: str = ""
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    directory: str = ""
    rewrites: str = ""

    @property
    def sends_archive(self) -> bool:
        """Whether the local archive is uploaded: all of mltk's commands need it, but the one that makes it."""
        return self.name == "mltk" and self.command != "train"

    @property
    def fits(self) -> str:
        """A line to show where the runner's package could not be installed, or ""."""
        release = _release(self.version) if self.name == "mltk" else None
        if release is None:
            return ""
        return (
            f"{MLTK_PACKAGE} {release.version} has packages for {release.fits} only; "
            "python: PROGRAM in the settings names another Python of the host"
        )


def runner_for_model(
    spec: Spec,
    command: str,
    args: Sequence[str],
    settings: Settings,
    directory: str = "",
    path: str | None = None,
    *,
    model: str,
    clean: bool,
) -> Runner:
    """`sshrun COMMAND MODEL ARGS`, MODEL as it was typed: mltk where the spec imports mltk, otherwise the spec itself,
    at `path` from `directory` as for a script.

    `clean` is handed on to mltk's `train`, its only command that knows it. Raises SettingsError where the `command`
    template is wrong, UsageError where an argument is refused.
    """
    if not spec.imports_mltk:
        archive = settings.archive.value if settings.archive else f"{spec.name}.zip"
        words = _python(os.path.basename(spec.path) if path is None else path, [command, *args], settings)
        argv = _from_template(settings.command, command, spec.name, args) or words
        return Runner("script", argv, command, spec.name, archive, directory=directory)
    return _mltk_runner(spec, command, args, settings, model=model, clean=clean)


def _mltk_runner(
    spec: Spec, command: str, args: Sequence[str], settings: Settings, *, model: str, clean: bool
) -> Runner:
    if "--password" in args or any(word.startswith("--password=") for word in args):
        raise UsageError("--password is no option of sshrun", REFUSED["--password"])
    if command not in MLTK_COMMANDS and settings.command is None and (near := near_miss(command, MLTK_COMMANDS)):
        raise UsageError(
            f"mltk has no command {command}; did you mean {near}?",
            f"sshrun {near} {model}; for a command that is not mltk's own: sshrun -- mltk {command} {model}",
        )
    is_test = "--test" in args or (spec.name != model and os.path.basename(model) == spec.name + TEST_SUFFIX)
    name = spec.name + TEST_SUFFIX if is_test and not spec.is_model_file else spec.name
    file_name = os.path.basename(spec.path)
    word = (f"./{file_name}" if file_name.startswith("-") else file_name) if spec.is_model_file else name
    installed = find_mltk(spec.directory)
    version = installed.version if installed else ""
    arguments = [*args, "--clean"] if clean and command == "train" and "--clean" not in args else list(args)
    default = file_name if spec.is_model_file else f"{name}{ARCHIVE_SUFFIX}"
    return Runner(
        "mltk",
        _from_template(settings.command, command, word, arguments) or ("mltk", command, word, *arguments),
        command,
        word,
        settings.archive.value if settings.archive else default,
        _mltk_logs(spec, command, name),
        _mltk_requirements(settings, version),
        version,
        *(_mltk_files(spec, command, args) if command != "train" else ()),
    )


def _mltk_files(spec: Spec, command: str, args: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The files that options of mltk's commands (mltk/cli of 0.20.0) have it read and write."""
    inputs, outputs = [], []
    for option, value in _with_values(args):
        path = os.path.normpath(value)
        local = os.path.abspath(path)
        is_name = value != "" and os.path.basename(path) not in ("", ".", "..") and not set(path) & set("*?|")
        stays = not path.startswith(("/", "~", ".."))
        if option in ("--params", "-p", "--weights", "-w", "--app") and is_name and stays and os.path.isfile(local):
            inputs.append(f"{local}|./{path}")
        elif option in ("--output", "-o") and is_name:
            outputs.append(f"{path}|{local if stays else path}")
        elif option in ("--output", "-o") and value and path == ".":
            outputs.append(f"{_escaped(spec.name)}*.tflite")
    is_compiled_in_place = command == "compile" and spec.path.endswith(".tflite")
    if is_compiled_in_place and not any(option in ("--output", "-o") for option, _ in _with_values(args)):
        # core/compile_model.py: beside the model.
        outputs += [f"{_escaped(spec.name)}.*.tflite", f"{_escaped(spec.name)}.tflite.*"]
    return tuple(inputs), tuple(outputs)


def _escaped(name: str) -> str:
    """A name as a pattern that matches it alone; "|", which no pattern can hold, is any character."""
    return "".join(f"[{letter}]" if letter in "*?[" else "?" if letter == "|" else letter for letter in name)


def _with_values(args: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Each word that looks like an option, with the value behind it or behind its "="."""
    for word, following in pairwise([*args, ""]):
        if word.startswith("--") and "=" in word:
            option, _, value = word.partition("=")
            yield option, value
        elif word.startswith("-"):
            yield word, following


def runner_for_script(
    spec: Spec, args: Sequence[str], settings: Settings, directory: str = "", path: str | None = None
) -> Runner:
    """`sshrun run SCRIPT ARGS`, which starts in `directory` beneath the working directory.

    `path` is the script's, relative to where the command starts; without it, it is in that directory. Raises
    SettingsError where the `command` template is wrong, UsageError where a notebook gets arguments.
    """
    word = os.path.basename(spec.path) if path is None else path
    archive = settings.archive.value if settings.archive else None
    argv = _from_template(settings.command, "", spec.name, args)
    if argv is None and notebook.is_notebook(spec.path):
        return _notebook_runner(spec, args, settings, word, directory, archive)
    if argv is None:
        argv = _shell(word, args) if is_shell_script(spec.path) else _python(word, args, settings)
    return Runner("run", argv, "run", spec.name, archive, directory=directory)


def _notebook_runner(
    spec: Spec, args: Sequence[str], settings: Settings, path: str, directory: str, archive: str | None
) -> Runner:
    """Executed by remote/notebook.py, which says what it leaves."""
    if args:
        name = os.path.basename(spec.path)
        raise UsageError(
            f"{name} is a notebook, which takes no arguments",
            f"LR=0.1 sshrun --env LR run {name} passes a variable on, which a cell reads from os.environ",
        )
    return Runner(
        "run",
        (_interpreter(settings), "-m", notebook.MODULE, _as_file(path)),
        "run",
        spec.name,
        archive,
        requirements=_not_asked_for(notebook.PACKAGES, settings),
        # Together with what it was before. A name without wildcard would be missed where no cell was executed.
        outputs=(f"{_escaped(os.path.normpath(os.path.join(directory, path)))}*",),
        directory=directory,
        rewrites=spec.path,
    )


def runner_for_module(module: str, args: Sequence[str], settings: Settings, directory: str = "") -> Runner:
    """`sshrun run -m MODULE ARGS`, in `directory` as for a script. Raises SettingsError as for a script."""
    argv = _from_template(settings.command, "", module, args) or (_interpreter(settings), "-m", module, *args)
    archive = settings.archive.value if settings.archive else None
    return Runner("module", argv, "run", f"-m {module}", archive, directory=directory)


def runner_for_program(argv: Sequence[str], directory: str = "") -> Runner:
    """`sshrun -- PROGRAM ARGS`, in `directory` as for a script."""
    return Runner("program", tuple(argv), "--", argv[0], directory=directory)


def _interpreter(settings: Settings) -> str:
    """`python` is the virtual environment's, or what the host has; the setting counts where none is made with it."""
    program = settings.python.value if settings.python and not settings.create_venv.value else "python"
    return f"python{program}" if program[:1].isdecimal() else program  # "3.11", as environment.sh takes it


def _python(path: str, args: Sequence[str], settings: Settings) -> tuple[str, ...]:
    return (_interpreter(settings), _as_file(path), *args)


def _shell(path: str, args: Sequence[str]) -> tuple[str, ...]:
    """bash, in whose place job.sh takes sh on a host without it."""
    return ("bash", _as_file(path), *args)


def _as_file(path: str) -> str:
    """The script's name as a word that no program takes for an option."""
    return f"./{path}" if path.startswith("-") else path


def _from_template(
    template: Sourced[str] | None, command: str, model: str, args: Sequence[str]
) -> tuple[str, ...] | None:
    """The words of a `command` template, or None without one. It is split before values are put in, never after."""
    if template is None:
        return None
    import shlex

    try:
        words = shlex.split(template.value)
    except ValueError as error:
        raise SettingsError([f"{template.origin}: {error}"], "quote it as for a shell") from error
    if not words:
        raise SettingsError([f"{template.origin}: no program is named"], "for example: torchrun {model}.py {args}")
    argv: list[str] = []
    for word in words:
        if word == "{args}":
            argv += args
        elif "{args}" in word:
            raise SettingsError([f"{template.origin}: {{args}} must be a word of its own, not in {word!r}"])
        elif word != "{command}" or command:
            # One pass, so that a model named {command} stays what it is.
            argv.append(model.join(part.replace("{command}", command) for part in word.split("{model}")))
    if args and "{args}" not in words:
        raise SettingsError([f"{template.origin}: there is no {{args}} for {shlex.join(args)!r}"], "add {args} to it")
    return tuple(argv)


def stored_logs(data: Mapping[str, Any], directory: str) -> RunnerLogs | None:
    """The logs of a job that another client may have started, from what the host has kept of it.

    The data name the remote places only: the logs go to mltk's own directory, or to one beneath `directory`.
    """
    try:
        remote, command_log, variable, cache = (str(data[name]) for name in RunnerLogs._fields if name != "local")
    except KeyError:
        return None
    name = os.path.basename(remote)
    if name in ("", ".", "..", "~") or os.path.basename(command_log) in ("", ".", ".."):
        return None
    if not is_own_choice(remote):
        return RunnerLogs(_mltk_directory(name), remote, command_log, variable, cache)
    below = os.path.normpath(remote)
    leaves = below.startswith(("/", "~", "../"))
    return RunnerLogs(os.path.join(directory, name if leaves else below), remote, command_log, variable, cache)


def _mltk_logs(spec: Spec, command: str, name: str) -> RunnerLogs:
    """mltk/utils/path.py, create_user_dir: where mltk 0.20.0 keeps what it writes; in test mode under another name."""
    local, remote = _mltk_directory(name), f"models/{name}"
    if spec.log_dir:
        own = spec.log_dir + name.removeprefix(spec.name)
        local = os.path.join(spec.results_directory, os.path.expanduser(own))
        remote = own if is_own_choice(own) else f"./{own}"
    return RunnerLogs(os.path.abspath(local), remote, f"cli_logs/{command}.log", MLTK_CACHE, "~/.mltk")


def _mltk_directory(name: str) -> str:
    cache = os.path.expandvars(os.environ.get(MLTK_CACHE) or "~/.mltk")
    return os.path.join(os.path.abspath(os.path.expanduser(cache)), "models", name)


def _mltk_requirements(settings: Settings, version: str) -> tuple[str, ...]:
    """mltk in the version installed on this machine, if any, and what that version is known to need."""
    release = _release(version)
    companions = release.companions if release else ()
    package = f"{MLTK_PACKAGE}=={version}" if version else MLTK_PACKAGE
    return _not_asked_for((package, *companions), settings)


def _not_asked_for(lines: Sequence[str], settings: Settings) -> tuple[str, ...]:
    """Lines for pip, less those whose package the settings name themselves."""
    asked_for = {_project(requirement.value) for requirement in settings.requirements}
    return tuple(line for line in lines if _project(line) not in asked_for)


def _release(version: str) -> Release | None:
    """What is known of a version, of the latest one where none is named."""
    return next((release for release in MLTK_RELEASES if version in ("", release.version)), None)


def _project(requirement: str) -> str:
    """The name in a requirement, as package indexes compare it: PEP 503."""
    end = next((at for at, letter in enumerate(requirement) if not (letter.isalnum() or letter in "-_.")), None)
    return requirement[:end].lower().replace("_", "-").replace(".", "-")
