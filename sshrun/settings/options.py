"""The settings that are options of the command line, and all settings where no model is named.

Apart from `task`, so that a command that only asks a host something connects before it has imported what a run needs.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from sshrun.connection.keys import identity_option
from sshrun.connection.login import Login
from sshrun.connection.target import Target, parse_port, parse_target
from sshrun.errors import UsageError
from sshrun.origin import Origin, Sourced
from sshrun.settings.files import load_project_file, load_user_file
from sshrun.settings.pass_environment import SHELL_NAMES, is_pattern
from sshrun.settings.schema import Options, Settings, merge

if TYPE_CHECKING:
    from sshrun.arguments import Arguments
    from sshrun.sandbox import Sandbox


def settings_for(arguments: Arguments, sandbox: Sandbox | None = None) -> Settings:
    """The settings of the command line and the files, where no model is named. Raises UsageError, SettingsError."""
    settings = merge(options(arguments, sandbox), [load_project_file(os.getcwd()), load_user_file()])
    return settings if sandbox is None else settings.with_login(sandbox_login(sandbox))


def options(arguments: Arguments, sandbox: Sandbox | None) -> Options:
    """The settings that are options. Raises UsageError."""
    target = Target(sandbox.host) if sandbox is not None else None
    if arguments.host is not None:
        target = parse_target(arguments.host)
    return Options(
        target=target,
        port=_port(arguments.port),
        identity=identity_option(arguments.identity) if arguments.identity is not None else None,
        env=tuple(_name(name) for name in arguments.env),
        project=arguments.project,
    )


def sandbox_login(sandbox: Sandbox) -> Login:
    """The login to a sandbox, whatever the files set."""
    origin = Origin("option", key="--sandbox")
    return Login(target=Target(sandbox.host), config_path=Sourced(str(sandbox.config), origin))


def _name(name: str) -> str:
    """A variable to pass on, or a pattern. Raises UsageError, without the value of who typed one."""
    if "=" in name:
        raise UsageError(
            "--env takes the name of a local variable, and no value, which others could read in the list of processes",
            "values go in environment, in a settings file",
        )
    letters = "_" + name.translate(dict.fromkeys(map(ord, "*?[]!-"))) if is_pattern(name) else name
    if name in SHELL_NAMES or not (letters.isascii() and letters.isidentifier()):
        raise UsageError(
            f"--env {name}: no variable of this name can be passed on", "an --env of the command's own goes after --"
        )
    return name


def _port(text: str | None) -> int | None:
    if text is None:
        return None
    port = parse_port(text)
    if port is None:
        raise UsageError(f"--port {text}: a port is a number from 1 to 65535")
    return port
