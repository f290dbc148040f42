"""What remains of a bug in sshrun: a text to paste into a report, and where to report it."""

from __future__ import annotations

import os
import platform
import sys
import traceback

from sshrun import __version__, dirs
from sshrun.arguments import Arguments
from sshrun.errors import SshrunError


def crashed(error: Exception, arguments: Arguments) -> SshrunError:
    """Keeps the report; returns the message for the user. Where it cannot be kept, it goes to stderr."""
    report = _report(error, arguments)
    path = dirs.crash_log()
    try:
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        with open(path, "w", encoding="utf-8", errors="backslashreplace", opener=_private) as file:
            file.write(report)
    except OSError:
        sys.stderr.write(report.encode("utf-8", "backslashreplace").decode())
        sys.stderr.flush()
        path = "what is printed above"
    hint = f"please report it at {_tracker()}: paste {path}, and read it first, it may name hosts and files"
    return SshrunError(f"a bug in sshrun: {type(error).__name__}: {error}", hint)


def _report(error: Exception, arguments: Arguments) -> str:
    """As Markdown. Of the command line only what cannot be secret: the verb, and which options were given."""
    given = [key for key, value in arguments._asdict().items() if value != Arguments._field_defaults[key]]
    options = ", ".join(key for key in given if key not in ("verb", "words", "doubtful"))
    trace = "".join(traceback.format_exception(error)).replace(os.path.expanduser("~") + os.sep, "~/")
    return (
        f"sshrun {__version__}: {type(error).__name__}\n\n"
        f"- Python {platform.python_version()}, {platform.platform()}\n"
        f"- {_ssh_version()}\n"
        f"- command: {arguments.verb or 'none'}; options: {options or 'none'}\n\n"
        f"```text\n{trace}```\n"
    )


def _ssh_version() -> str:
    from sshrun.process import capture

    try:
        _, output = capture(["ssh", "-V"], timeout=5)
    except (OSError, SshrunError):
        return "no ssh"
    return output.decode("utf-8", "replace").strip() or "an ssh without version"


def _tracker() -> str:
    """The project's address for issues, from the metadata of the installed package."""
    from importlib.metadata import PackageNotFoundError, metadata

    try:
        urls = metadata("sshrun").get_all("Project-URL") or []
    except PackageNotFoundError:
        urls = []
    addresses: dict[str, str] = dict(url.split(", ", 1) for url in urls)
    return addresses.get("Issues", "the project's issue tracker")


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
