"""All settings of a run, typed, each with the place it comes from.

Every file gives one `Layer` (see reader); `merge` puts the layers together, and reports all problems at once.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from sshrun.connection.login import Login
from sshrun.connection.target import Target
from sshrun.errors import SettingsError
from sshrun.origin import LayerName, Origin, Sourced
from sshrun.settings.declaration import DEFAULT, InFile, InRun, Items, Strings, Variable, Variables
from sshrun.settings.pass_environment import is_pattern, matching
from sshrun.settings.requirements_file import shown
from sshrun.settings.table import JOB, JobSettings, OutsideSettings, UserFileSettings


class Options(NamedTuple):
    """What the command line sets. `identity` is an absolute path; `env` names variables to pass on."""

    target: Target | None = None
    port: int | None = None
    identity: str | None = None
    env: tuple[str, ...] = ()
    project: bool | None = None


class Layer(InFile, UserFileSettings, OutsideSettings):
    """What one file sets; None or empty where it sets nothing. `requirements` hold what each `-r FILE` names."""


class Settings(InRun, JobSettings):
    """Everything a run needs. The lists are in the order in which they take effect."""

    def rows(self) -> Iterator[tuple[str, str, Origin]]:
        """Every setting of a job as (key, text, origin), one row for each item of a list, and nothing that is secret.

        Where it logs in to is `target.resolved`'s.
        """
        for setting in JOB:
            value = getattr(self, setting.key)
            if isinstance(setting, Variables):
                yield from ((setting.key, str(variable), variable.origin) for variable in value)
            elif isinstance(setting, Items):
                hide = shown if setting.kind == "requirements" else str
                yield from ((setting.key, hide(item.value), item.origin) for item in value)
            elif value is not None:
                text = str(value.value).lower() if isinstance(value.value, bool) else str(value.value)
                yield setting.key, text, value.origin


def in_order(layers: Sequence[Layer], setting: Items) -> Strings:
    """A list of all layers, highest rank first, in the order in which its items take effect.

    The lowest rank comes first: a later command finds what an earlier one did, a later file replaces an earlier one.
    """
    return tuple(item for layer in reversed(layers) for item in getattr(layer, setting.key))


def merge(options: Options, layers: Sequence[Layer], problems: Sequence[str] = ()) -> Settings:
    """The settings of a run with a spec. `layers`, highest rank first: spec, script block, project file, user file.

    `problems` are those of what the settings name. Raises SettingsError with them and those of all layers.
    """
    found = [*problems, *(problem for layer in layers for problem in layer.problems)]
    if found:
        raise SettingsError(found)
    values: dict[str, Any] = {}
    environment, notes = _environment(options, layers, os.environ)
    for setting in JOB:
        if isinstance(setting, Variables):
            values[setting.key] = environment
        elif isinstance(setting, Items):
            values[setting.key] = in_order(layers, setting)
        else:
            of_layers = (getattr(layer, setting.key) for layer in (_command_line(options), *layers))
            strongest = next((value for value in of_layers if value is not None), None)
            if strongest is not None:
                values[setting.key] = strongest
    warnings = (warning for layer in layers for warning in layer.warnings)
    return Settings(_login(options, layers[-1]), values, (*warnings, *notes))


def merge_for_program(options: Options, layers: Sequence[Layer]) -> Settings:
    """The settings of `sshrun -- PROGRAM`, of a project file and the user file. Raises SettingsError.

    What does not count for a program is left out: the lists, and what concerns a model.
    """
    project_file, user_file = layers
    counted = [_for_program(project_file, "project file"), _for_program(user_file, "user file")]
    settings = merge(options, counted)
    # A program may be anything: an environment that it does not need would only cost time.
    return settings if user_file.create_venv else settings.with_values(create_venv=Sourced(False, DEFAULT))


def _for_program(layer: Layer, place: LayerName) -> Layer:
    left_out = {setting.key for setting in JOB if place not in setting.program}
    counted = {key: value for key, value in layer.values.items() if key not in left_out}
    return Layer(counted, layer.problems, layer.warnings)


def _command_line(options: Options) -> Layer:
    """The settings that are options, apart from the login."""
    values: dict[str, Any] = {}
    if options.target is not None and options.target.path is not None:
        values["remote_dir"] = Sourced(options.target.path, Origin("option", key="--host"))
    if options.project is not None:
        name = "--project" if options.project else "--no-project"
        values["project"] = Sourced(options.project, Origin("option", key=name))
    return Layer(values)


def _login(options: Options, user_file: Layer) -> Login:
    return Login(
        target=options.target,
        port=None if options.port is None else Sourced(options.port, Origin("option", key="--port")),
        identity=None if options.identity is None else Sourced(options.identity, Origin("option", key="-i")),
        connection=user_file.connection,
        config_path=user_file.config_path,
    )


def _environment(
    options: Options, layers: Sequence[Layer], local: Mapping[str, str]
) -> tuple[tuple[Variable, ...], list[str]]:
    """The job's variables, and notes about them.

    A value of `environment` overrides what `pass_environment` passes on from `local`, in whichever files they are;
    --env overrides both. A name without a value has the lowest rank of all.
    """
    variables = {variable.name: variable for layer in reversed(layers) for variable in layer.environment}
    notes: list[str] = []
    for item in in_order(layers, JobSettings.pass_environment):
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
                f"{variable.origin}: {variable.name} has no value and reaches the job empty; "
                f"to pass on the local one: pass_environment: [{variable.name}]"
            )
    return tuple(variables.values()), notes


def _not_set(origin: Origin, name: str) -> str:
    return f"{origin}: {name} is not set on this machine, and the job does not get it"
