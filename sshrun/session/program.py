"""The program that runs on the host: its text, and the command line that has any login shell take it from stdin."""

from __future__ import annotations

import os

from sshrun.session.login_shell import INPUT_EATEN, OTHER_SHELL

# The first line that is sent. Our command drops it; whatever else reads it as a command (a shell that a start file has
# put in the place of the login shell, one that `exec ssh` leads to) ends, and runs nothing of what comes behind.
FIRST_LINE = f"exit {OTHER_SHELL}"

# Any login shell can read this one line: it holds no "!", no backslash and no newline (csh, fish). The program's size
# goes ahead of it, since a shell reads lines byte by byte, and `sh -s` in dash reads ahead and would eat the requests
# behind. dd may get less than it asks for (a pipe), and never takes more.
#
# What start files have exported is in force in /bin/sh too: TMOUT would end each wait of bash and ksh93 for a line, and
# SHELLOPTS, which bash obeys, would show every value on stderr.
BOOTSTRAP = (
    "exec /bin/sh -c 'TMOUT=0; unset TMOUT; set +aCefuvx; IFS= read -r line && "
    f'[ "$line" = "{FIRST_LINE}" ] || exit {INPUT_EATEN}; '
    "program=; IFS= read -r size || exit; while had=${#program}; [ $had -lt $size ]; do "
    "program=$program$(dd bs=$((size - had)) count=1 2>/dev/null; echo .); program=${program%.}; "
    '[ ${#program} -gt $had ] || exit 1; done; eval "$program"\''
)

PARTS = (
    "lib",
    "state",
    "probe",
    "start",
    "supervise",
    "launcher",
    "direct",
    "processes",
    "job",
    "explain",
    "environment",
    "follow",
    "stop",
    "look",
    "files",
    "mirror",
    "deliver",
    "doctor",
    "main",
)


def program() -> bytes:
    """The program that runs on the host: all of remote/*.sh, without comments and indentation.

    It is ASCII, so that every shell counts its bytes as characters.
    """
    directory = os.path.join(os.path.dirname(os.path.dirname(__file__)), "remote")
    lines = []
    for part in PARTS:
        with open(os.path.join(directory, f"{part}.sh"), "rb") as file:
            for line in file.read().splitlines():
                stripped = line.lstrip()
                if stripped and not stripped.startswith(b"#"):
                    lines.append(stripped)
    return b"\n".join(lines)
