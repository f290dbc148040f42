"""`sshrun logs`: a job's log, from the host, or its local copy."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, BinaryIO

from sshrun.commands.host import at_host
from sshrun.errors import JobNotFound, RemoteError, SettingsError, UsageError
from sshrun.events import Output
from sshrun.jobs.records import Record, records

if TYPE_CHECKING:
    from sshrun.arguments import Arguments
    from sshrun.console import Console

BLOCK = 1 << 18  # bytes of a copy that are read at once


def logs(arguments: Arguments, console: Console) -> int:
    """Returns 0. Raises UsageError, JobNotFound, ConnectionFailed where there is neither a host nor a copy."""
    lines = _count(arguments.lines) if arguments.lines is not None else None
    if len(arguments.words) > 1:
        raise UsageError(f"sshrun logs: one job at a time, not {' '.join(arguments.words)}", "sshrun jobs lists them")
    wanted = arguments.words[0] if arguments.words else ""
    host = ""
    try:
        with at_host(arguments, console) as link:
            from sshrun.api import Host  # while ssh shakes hands

            host = link.host
            console.play(Host(link).log(wanted, lines, follow=arguments.follow))
    except (RemoteError, JobNotFound, SettingsError, UsageError) as error:
        copy = _copy(wanted, host)
        if copy is None:
            raise
        console.warn(f"{error.message}; this is the local copy, of job {copy.id}")
        _show(copy, lines, console)
    return 0


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise UsageError(f"sshrun logs -n {text}: a number of lines is needed")
    return int(text)


def _copy(wanted: str, host: str) -> Record | None:
    """The copy of the job whose id contains `wanted`; where none is named, of the last one on `host`."""
    for record in records():
        if record.log.exists() and (wanted in record.id if wanted else host and record.manifest().host == host):
            return record
    return None


def _show(copy: Record, lines: int | None, console: Console) -> None:
    with copy.log.open("rb") as file:
        offset = 0 if lines is None else _start_of_last(lines, file)
        file.seek(offset)
        while chunk := file.read(BLOCK):
            console.show(Output(chunk, offset))
            offset += len(chunk)


def _start_of_last(lines: int, file: BinaryIO) -> int:
    """The byte at which the last `lines` begin. As for tail(1), only a newline ends one: a bar draws with `\\r`."""
    size = file.seek(0, os.SEEK_END)
    if lines == 0:
        return size
    end = size - 1  # a newline at the very end begins no line
    while end > 0:
        start = max(0, end - BLOCK)
        file.seek(start)
        block = file.read(end - start)
        at = len(block)
        while (at := block.rfind(b"\n", 0, at)) >= 0:
            lines -= 1
            if lines == 0:
                return start + at + 1
        end = start
    return 0
