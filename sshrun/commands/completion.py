"""`sshrun completion SHELL`: the script that has a shell complete the words of sshrun."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sshrun.command_line import SHELLS
from sshrun.completion.scripts import script_of
from sshrun.errors import UsageError

if TYPE_CHECKING:
    from sshrun.arguments import Arguments
    from sshrun.console import Console


def completion(arguments: Arguments, console: Console) -> int:
    """Prints it; returns 0. Raises UsageError."""
    if len(arguments.words) != 1 or arguments.words[0] not in SHELLS:
        asked = f"no script for {' '.join(arguments.words)}" if arguments.words else "which shell?"
        raise UsageError(f"sshrun completion: {asked}", f"sshrun completion {'|'.join(SHELLS)}")
    (shell,) = arguments.words
    script = script_of(shell)
    console.data(script.rstrip("\n"))
    console.record({"event": "completion", "shell": shell, "script": script})
    return 0
