"""Which variables of the local environment a job gets: those that `pass_environment` and --env name."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase

# bash(1), "Shell Variables": what is exported under these names stays what bash makes of it, or is refused. `_` is
# every shell's, and SSHRUN_JOB is how processes of the job are known.
SHELL_NAMES = frozenset(
    (
        *("BASHOPTS", "BASHPID", "BASH_ALIASES", "BASH_ARGC", "BASH_ARGV", "BASH_CMDS", "BASH_COMMAND", "BASH_LINENO"),
        *("BASH_SOURCE", "BASH_SUBSHELL", "BASH_VERSINFO", "DIRSTACK", "EPOCHREALTIME", "EPOCHSECONDS", "EUID"),
        *("FUNCNAME", "GROUPS", "HISTCMD", "LINENO", "OPTIND", "PIPESTATUS", "PPID", "RANDOM", "SECONDS"),
        *("SHELLOPTS", "SHLVL", "SRANDOM", "UID", "_", "SSHRUN_JOB"),
    )
)

# What describes this machine and this login, and would mislead a job on another: passed on by name, not by a pattern.
_OF_THIS_MACHINE = (
    "HOME",
    "LD_*",
    "LOGNAME",
    "OLDPWD",
    "PATH",
    "PWD",
    "SHELL",
    "SSH_*",
    "TERM",
    "TMPDIR",
    "USER",
    "XDG_*",
)


def is_pattern(name: str) -> bool:
    return any(sign in name for sign in "*?[")


def matching(name: str, environment: Mapping[str, str]) -> list[str]:
    """The variables that are set and that a name, or a pattern as of fnmatch, means, in the order of names."""
    if not is_pattern(name):
        return [name] if name in environment else []
    return sorted(
        variable
        for variable in environment
        if fnmatchcase(variable, name) and variable.isascii() and variable.isidentifier() and not _stays(variable)
    )


def _stays(variable: str) -> bool:
    return variable in SHELL_NAMES or any(fnmatchcase(variable, pattern) for pattern in _OF_THIS_MACHINE)
