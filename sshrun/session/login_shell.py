"""Why no command of ours is run after a login: what came instead of a reply shows it.

Start files of a login shell are read before our command is looked at, also where nobody is at a terminal: bash reads
~/.bashrc under sshd (bash(1), "run by the remote shell daemon"), zsh ~/.zshenv always.
"""

from __future__ import annotations

from typing import NamedTuple

# The exit statuses of our first line and of our command, see program.py.
OTHER_SHELL = 97
INPUT_EATEN = 98

# What ends the start file of a shell where nobody is at a terminal.
GUARDS = {
    "bash": "~/.bashrc: case $- in *i*) ;; *) return ;; esac",
    "zsh": "~/.zshenv: [[ -o interactive ]] || return",
    "fish": "~/.config/fish/config.fish: status is-interactive; or exit",
    "tcsh": "~/.tcshrc: if (! $?prompt) exit",
    "csh": "~/.cshrc: if (! $?prompt) exit",
    "sh": "its start file: case $- in *i*) ;; *) return ;; esac",
}

# The shells that a start file can leave or block in this way are mostly bash.
_GUARD = f"on the host, first line of {GUARDS['bash']}"

# Messages of programs that need a terminal, and have none.
_WANT_TERMINAL = {
    "open terminal failed": "tmux",
    "sessions should be nested with care": "tmux",
    "Must be connected to a terminal": "screen",
    "could not get terminal attribute": "zellij",
}

# Messages of sshd, and of PAM, instead of running anything: do_pwchange() of session.c, pam_unix(8).
_EXPIRED = ("Password change required", "password has expired", "required to change your password")


class Diagnosis(NamedTuple):
    """Why there is no shell, and what to do about it."""

    text: str
    fix: str


def diagnose(status: int, answer: str) -> Diagnosis:
    """Why our command was not run, by the exit status of the session and all that it printed."""
    last = answer.splitlines()[-1] if answer else ""
    wanted = [program for words, program in _WANT_TERMINAL.items() if words in answer]
    if status == OTHER_SHELL:
        text = "a start file of the login shell becomes another shell (exec fish, exec zsh) before our command is run"
        return Diagnosis(text, _GUARD)
    if status == INPUT_EATEN:
        text = "a start file of the login shell reads what is sent to our command (read, cat, ssh without -n)"
        return Diagnosis(text, _GUARD)
    if wanted:
        text = f"a start file of the login shell starts {wanted[0]}, also where there is no terminal: {last!r}"
        return Diagnosis(text, _GUARD)
    if any(words in answer for words in _EXPIRED):
        return Diagnosis("the password on the host has expired", "log in with ssh -t, and choose a new one")
    if "not available" in answer:
        return Diagnosis(f"the account has no shell: {last!r}", "on the host, as root: chsh -s /bin/sh USER")
    if "sftp" in answer:
        return Diagnosis(f"the account is for sftp only: {last!r}", "ask for one with a shell")
    if not last:
        text = f"the login shell ends (exit {status}) before our command is run: is there an exit in its start file?"
        return Diagnosis(text, f"{_GUARD}; or else see ForceCommand in sshd_config")
    text = f"the server runs a command of its own instead of ours: it answered {last!r} (exit {status})"
    fix = 'see ForceCommand in sshd_config, command="…" in authorized_keys, and what start files of the login shell run'
    return Diagnosis(text, fix)
