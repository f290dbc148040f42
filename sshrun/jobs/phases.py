"""What the host says that a job is at before its command runs, in words."""

from __future__ import annotations

import re

from sshrun.events import Phase
from sshrun.terminal import visible

LONGEST = 60  # characters of a command of the user's, in a line about something else
CUT = 400  # characters of it that follow.sh sends at most

_CREDENTIALS = re.compile(r"(?<=://)[^/\s@]+(?=@)")
_SECRETS = re.compile(
    r"((?:TOKEN|SECRET|PASSW|CREDENTIAL|API[_-]?KEY|ACCESS[_-]?KEY)[\w-]*(?:=|\s+))(?!-)(?:'[^']*'|\"[^\"]*\"|\S+)",
    re.IGNORECASE,
)

# What pip prints on its way; of all else nothing is shown, since it may name the address of an index, with a password.
_PACKAGE = r"([A-Za-z0-9][A-Za-z0-9._-]*)"
_FILE = r"(?:\S*/)?([A-Za-z0-9][\w.-]*?-\d[\w.!+]*?)(?:-\S*?|\.tar\.gz|\.zip)"  # NAME-VERSION and what follows it
_PIP = (
    (re.compile(rf"\s*Collecting {_PACKAGE}"), "collecting {}"),
    (re.compile(rf"\s*Downloading {_FILE}\.metadata "), "collecting {}"),
    (re.compile(rf"\s*Downloading {_FILE} (\([0-9.]+ [kMG]?B\))"), "downloading {} {}"),
    (re.compile(rf"\s*Building wheels? for (?:collected packages: )?{_PACKAGE}"), "building {}"),
    (re.compile(r"\s*Installing build dependencies"), "fetching what building takes"),
    (re.compile(rf"\s*Installing collected packages: {_PACKAGE}"), "unpacking {}"),
)


def phase(words: str) -> Phase:
    """Reads what follow.sh says on the side: `environment`, `environment installing 14 LINE`, `startup 2 3 COMMAND`."""
    match words.split(" ", 3):
        case ["running"]:
            return Phase("running")
        case ["leftovers", "wait", *_]:
            return Phase("leftovers", "waiting for what the command left running")
        case ["leftovers", *_]:
            return Phase("leftovers", "ending what the command left running")
        case [""]:
            return Phase("starting", "waiting for the start files of the login shell")
        case ["environment"]:
            return Phase("environment", "looking at the virtual environment")
        case ["environment", "waiting", *_]:
            return Phase("environment", "waiting for another job, which builds the virtual environment")
        case ["environment", "making"]:
            return Phase("environment", "making the virtual environment")
        case ["environment", "installing", count, *line]:
            return Phase("environment", f"installing {_packages(count)}", detail=_detail(*line))
        case ["startup", index, total, *command] if index.isdigit() and total.isdigit():
            text = f"startup command {index} of {total}"
            shown = command_text(*command)
            return Phase("startup", f"{text}: {shown}" if shown else text, int(index), int(total))
    return Phase("preparing", f"preparing: {visible(words)[:LONGEST]}")


def command_text(command: str = "") -> str:
    """A command's first line, short enough to stand in one of ours, and without what looks like a secret."""
    if len(command) >= CUT:
        command = command.rpartition(" ")[0] + "\n…"  # the last word may be half a secret, with nothing to know it by
    first, *others = command.strip().splitlines() or [""]
    text = _CREDENTIALS.sub("…", " ".join(first.split()))
    text = _SECRETS.sub(r"\1…", text)
    if len(text) >= LONGEST or others:
        text = text[: LONGEST - 1].rstrip() + "…"
    return visible(text)


def _packages(count: str) -> str:
    if count in ("uv.lock", "pyproject.toml", "requirements.txt"):
        return f"what {count} says"
    if count == "1":
        return "1 package"
    return f"{count} packages" if count.isdigit() and count != "0" else "packages"


def _detail(line: str = "") -> str:
    for pattern, form in _PIP:
        if found := pattern.match(line):
            return form.format(*found.groups())
    return ""
