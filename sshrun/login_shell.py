"""Why a login leads to no shell that does what we ask: what came instead of an answer tells.

Start files of a login shell are read before our command is looked at, also where nobody is at a terminal: bash reads
~/.bashrc under sshd (bash(1), "run by the remote shell daemon"), zsh ~/.zshenv always.
"""

from __future__ import annotations

from typing import NamedTuple

# With these our own first line and our own command end, see scripts.py.
OTHER_SHELL = 97
INPUT_EATEN = 98

# How the start file of a shell does nothing where nobody is at a terminal.
GUARDS = {
    "bash": "~/.bashrc: case $- in *i*) ;; *) return ;; esac",
    "zsh": "~/.zshenv: [[ -o interactive ]] || return",
    "fish": "~/.config/fish/config.fish: status is-interactive; or exit",
    "tcsh": "~/.tcshrc: if (! $?prompt) exit",
    "csh": "~/.cshrc: if (! $?prompt) exit",
    "sh": "its start file: case $- in *i*) ;; *) return ;; esac",
}

# The shells that a start file can leave or block in this way are mostly bash.
_GUARD = f"there, first line of {GUARDS['bash']}"

# What programs say that want a terminal, and get none.
_WANT_TERMINAL = {
    "open terminal failed": "tmux",
    "sessions should be nested with care": "tmux",
    "Must be connected to a terminal": "screen",
    "could not get terminal attribute": "zellij",
}

# What sshd says, and PAM, instead of running anything: do_pwchange() of session.c, pam_unix(8).
_EXPIRED = ("Password change required", "password has expired", "required to change your password")


class Diagnosis(NamedTuple):
    """What is wrong with the way to a shell, and what to do about it."""

    text: str
    fix: str


def diagnose(status: int, answer: str) -> Diagnosis:
    """Why our command was not carried out, by how the session ended and all that it printed."""
    shown = answer.splitlines()[-1] if answer else ""
    wanted = [program for words, program in _WANT_TERMINAL.items() if words in answer]
    if status == OTHER_SHELL:
        text = "a start file of the login shell becomes another shell (exec fish, exec zsh) before our command is run"
        return Diagnosis(text, _GUARD)
    if status == INPUT_EATEN:
        text = "a start file of the login shell reads what is sent to our command (read, cat, ssh without -n)"
        return Diagnosis(text, _GUARD)
    if wanted:
        text = f"a start file of the login shell starts {wanted[0]}, also where there is no terminal: {shown!r}"
        return Diagnosis(text, _GUARD)
    if any(words in answer for words in _EXPIRED):
        return Diagnosis("the password there has expired", "log in with ssh -t, and choose a new one")
    if "not available" in answer:
        return Diagnosis(f"the account has no shell: {shown!r}", "there, as root: chsh -s /bin/sh USER")
    if "sftp" in answer:
        return Diagnosis(f"the account is for sftp only: {shown!r}", "ask for one with a shell")
    if not shown:
        text = f"the login shell ends (exit {status}) before our command is run: is there an exit in its start file?"
        return Diagnosis(text, f"{_GUARD}; or else see ForceCommand in sshd_config")
    text = f"the server runs a command of its own instead of ours: it answered {shown!r} (exit {status})"
    fix = 'see ForceCommand in sshd_config, command="…" in authorized_keys, and what start files of the login shell run'
    return Diagnosis(text, fix)
