"""All settings of a run, typed, each with the place it comes from.

Every file gives one `Layer` (see settings_reader); `merge` puts the layers together, and reports all problems at once.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from sshrun.errors import SettingsError
from sshrun.host import Connection, Login, Target
from sshrun.pass_environment import is_pattern, matching
from sshrun.sources import Origin, Sourced, Value

Texts = tuple[Sourced[str], ...]

_DEFAULT = Origin("default")
_STOP_GRACE = Sourced(10, _DEFAULT)
_LEFTOVERS = Sourced("stop", _DEFAULT)


class Variable(NamedTuple):
    """One variable of the job's environment. Its value never shows in a repr. `bare` is one named without a value."""

    name: str
    value: str
    origin: Origin
    bare: bool = False

    def __repr__(self) -> str:
        return f"{self.name}=***"


class Options(NamedTuple):
    """What the command line says. `identity` is an absolute path; `env` names variables to pass on."""

    target: Target | None = None
    port: int | None = None
    identity: str | None = None
    env: tuple[str, ...] = ()


class Layer(NamedTuple):
    """What one file says; None or empty where it says nothing. `problems` and `warnings` are lines for the user.

    `config_path`, `connection` and `model_paths` are the user file's alone. `requirements` are lines for pip, each
    `-r FILE` replaced by what FILE holds. `transfer` is "rsync", "tar" or "scp".
    """

    remote_dir: Sourced[str] | None = None
    create_venv: Sourced[bool] | None = None
    environment: tuple[Variable, ...] = ()
    upload_files: Texts = ()
    startup_cmds: Texts = ()
    download_files: Texts = ()
    shutdown_cmds: Texts = ()
    requirements: Texts = ()
    archive: Sourced[str] | None = None
    command: Sourced[str] | None = None
    python: Sourced[str] | None = None
    wheels: Sourced[bool] | None = None
    compress: Sourced[bool] | None = None
    transfer: Sourced[str] | None = None
    stop_grace: Sourced[int] | None = None
    leftovers: Sourced[str] | None = None
    config_path: Sourced[str] | None = None
    connection: Connection = Connection()
    pass_environment: Texts = ()
    model_paths: Texts = ()
    problems: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


class Settings(NamedTuple):
    """Everything a run needs. The lists stand in the order in which they take effect.

    `remote_dir` is absolute or relative to the login directory. `compress` and `transfer` are None where sshrun
    decides, `python` where the host's own python is taken. `stop_grace` is in seconds; `leftovers` is "stop" or "wait".
    """

    login: Login
    remote_dir: Sourced[str]
    create_venv: Sourced[bool]
    environment: tuple[Variable, ...] = ()
    upload_files: Texts = ()
    startup_cmds: Texts = ()
    download_files: Texts = ()
    shutdown_cmds: Texts = ()
    requirements: Texts = ()
    archive: Sourced[str] | None = None
    command: Sourced[str] | None = None
    python: Sourced[str] | None = None
    wheels: Sourced[bool] = Sourced(False, _DEFAULT)
    compress: Sourced[bool] | None = None
    transfer: Sourced[str] | None = None
    stop_grace: Sourced[int] = _STOP_GRACE
    leftovers: Sourced[str] = _LEFTOVERS
    pass_environment: Texts = ()
    warnings: tuple[str, ...] = ()

    def rows(self) -> Iterator[tuple[str, str, Origin]]:
        """Every setting of a job as (key, text, origin), one row for each item of a list, and nothing that is secret.

        Where it logs in to is `host.resolved`'s.
        """
        for key in (
            *("remote_dir", "create_venv", "archive", "command", "python", "wheels", "compress", "transfer"),
            *("stop_grace", "leftovers"),
        ):
            setting: Sourced[str] | Sourced[bool] | Sourced[int] | None = getattr(self, key)
            if setting is not None:
                text = setting.value if isinstance(setting.value, str) else str(setting.value).lower()
                yield key, text, setting.origin
        for variable in self.environment:
            yield "environment", str(variable), variable.origin
        for key in (
            "upload_files",
            "startup_cmds",
            "download_files",
            "shutdown_cmds",
            "requirements",
            "pass_environment",
        ):
            items: Texts = getattr(self, key)
            for item in items:
                yield key, _without_password(item.value) if key == "requirements" else item.value, item.origin


def merge(options: Options, layers: Sequence[Layer]) -> Settings:
    """The settings of a run with a spec. `layers` stand strongest first: spec, script block, project file, user file.

    Raises SettingsError with all problems of all layers.
    """
    _refuse_problems(layers)
    in_effect = tuple(reversed(layers))
    environment, notes = _environment(options, layers, os.environ)
    return Settings(
        login=_login(options, layers[-1]),
        remote_dir=_remote_dir(options, layers),
        create_venv=_first([layer.create_venv for layer in layers]) or Sourced(True, _DEFAULT),
        environment=environment,
        upload_files=tuple(item for layer in in_effect for item in layer.upload_files),
        startup_cmds=tuple(item for layer in in_effect for item in layer.startup_cmds),
        download_files=tuple(item for layer in in_effect for item in layer.download_files),
        shutdown_cmds=tuple(item for layer in in_effect for item in layer.shutdown_cmds),
        requirements=tuple(item for layer in in_effect for item in layer.requirements),
        archive=_first([layer.archive for layer in layers]),
        command=_first([layer.command for layer in layers]),
        python=_first([layer.python for layer in layers]),
        wheels=_first([layer.wheels for layer in layers]) or Sourced(False, _DEFAULT),
        compress=_first([layer.compress for layer in layers]),
        transfer=_first([layer.transfer for layer in layers]),
        stop_grace=_first([layer.stop_grace for layer in layers]) or _STOP_GRACE,
        leftovers=_first([layer.leftovers for layer in layers]) or _LEFTOVERS,
        pass_environment=tuple(item for layer in in_effect for item in layer.pass_environment),
        warnings=(*_warnings(layers), *notes),
    )


def merge_for_program(options: Options, layers: Sequence[Layer]) -> Settings:
    """The settings of `sshrun -- PROGRAM`: host, working directory and environment of the files, and none of the lists.

    A virtual environment is made only where the user file, the last of `layers`, says so. Raises SettingsError.
    """
    _refuse_problems(layers)
    environment, notes = _environment(options, layers, os.environ)
    return Settings(
        login=_login(options, layers[-1]),
        remote_dir=_remote_dir(options, layers),
        create_venv=layers[-1].create_venv or Sourced(False, _DEFAULT),
        environment=environment,
        stop_grace=_first([layer.stop_grace for layer in layers]) or _STOP_GRACE,
        leftovers=_first([layer.leftovers for layer in layers]) or _LEFTOVERS,
        warnings=(*_warnings(layers), *notes),
    )


def _refuse_problems(layers: Sequence[Layer]) -> None:
    problems = [problem for layer in layers for problem in layer.problems]
    if problems:
        raise SettingsError(problems)


def _warnings(layers: Sequence[Layer]) -> tuple[str, ...]:
    return tuple(warning for layer in layers for warning in layer.warnings)


def _without_password(requirement: str) -> str:
    """A line for pip, in which an index or a repository may be named together with its password."""
    shown = ""
    before, separator, rest = requirement.partition("://")
    while separator:
        login, at, address = rest.partition("@")
        if at and not set(login) & {"/", " ", "\t"}:
            shown, rest = f"{shown}{before}://***@", address
        else:
            shown = f"{shown}{before}://"
        before, separator, rest = rest.partition("://")
    return shown + before


def _first(settings: Sequence[Sourced[Value] | None]) -> Sourced[Value] | None:
    return next((setting for setting in settings if setting is not None), None)


def _login(options: Options, user_file: Layer) -> Login:
    return Login(
        target=options.target,
        port=None if options.port is None else Sourced(options.port, Origin("option", key="--port")),
        identity=None if options.identity is None else Sourced(options.identity, Origin("option", key="-i")),
        connection=user_file.connection,
        config_path=user_file.config_path,
    )


def _remote_dir(options: Options, layers: Sequence[Layer]) -> Sourced[str]:
    if options.target and options.target.path is not None:
        return Sourced(options.target.path, Origin("option", key="--host"))
    return _first([layer.remote_dir for layer in layers]) or Sourced(".", _DEFAULT)


def _environment(
    options: Options, layers: Sequence[Layer], local: Mapping[str, str]
) -> tuple[tuple[Variable, ...], list[str]]:
    """The job's variables, and notes about them.

    A value of `environment` beats what `pass_environment` passes on from `local`, in whichever files they stand; --env
    beats both. A name without a value holds the place of nothing but the empty text.
    """
    variables = {variable.name: variable for layer in reversed(layers) for variable in layer.environment}
    notes: list[str] = []
    for item in [item for layer in reversed(layers) for item in layer.pass_environment]:
        for name in matching(item.value, local):
            if name not in variables or variables[name].bare:
                variables[name] = Variable(name, local[name], item.origin)
        if item.value not in local and item.value not in variables and not is_pattern(item.value):
            notes.append(_not_set(item.origin, item.value))
    for name in options.env:
        origin = Origin("option", key="--env")
        for match in matching(name, local):
            variables[match] = Variable(match, local[match], origin)
        if name not in local and not is_pattern(name):
            notes.append(_not_set(origin, name))
    for variable in variables.values():
        if variable.bare and variable.name in local:
            notes.append(
                f"{variable.origin}: {variable.name} has no value there and reaches the job empty; "
                f"to pass on the one that is set here: pass_environment: [{variable.name}]"
            )
    return tuple(variables.values()), notes


def _not_set(origin: Origin, name: str) -> str:
    return f"{origin}: {name} is not set here, and the job does not get it"
