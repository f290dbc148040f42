"""A small archive comes inline with the end of the log: no request, and no program is started for it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal, NamedTuple

from sshrun.errors import TransferFailed
from sshrun.session.session import Session
from sshrun.transfer.entries import read_entry
from sshrun.transfer.items import Entry, Item
from sshrun.transfer.ownership import Ownership, path_beside, same_content
from sshrun.transfer.staging import Staging

INLINE_ARCHIVE_LIMIT = 256 << 10  # bytes


class Archive(NamedTuple):
    """What has become of an archive: there is "none", or the "same" as before the job, or a "new" one that has still to
    be downloaded, or it came "inline".
    """

    state: Literal["none", "same", "new", "inline"]
    name: str = ""
    entry: Entry = Entry(0)
    data: bytes = b""


NO_ARCHIVE = Archive("none")


def read_archive(session: Session, name: str) -> Archive:
    """Reads the host's reply about an archive, and the archive itself where that came inline."""
    *_, reply = session.replies("archive")
    state, _, record = reply.values.partition(" ")
    if state in ("none", "same", "new"):
        return Archive(state, name)  # type: ignore[arg-type]
    _, entry = read_entry(session, os.fsencode(record))
    data = b""
    for chunk in session.raw():
        data += chunk
        if len(data) > INLINE_ARCHIVE_LIMIT:
            raise TransferFailed(f"{session.host} sends more of {name} than it was asked for")
    session.reply()
    # One that is still being written is downloaded like any other file, whose size and time are compared afterwards.
    return Archive("inline", name, entry, data) if len(data) == entry.size else Archive("new", name)


def place_archive(archive: Archive, directory: Path, host: str, owned: Ownership) -> str:
    """Writes an inline archive to a local directory, and returns its path. Raises TransferFailed.

    A file that differs and is not `owned` is kept, and the archive goes beside it.
    """
    path = str(directory / Path(archive.name).name)
    if os.path.lexists(path) and not owned.owns(path):
        other = path_beside(path, host, owned.owns)
        _write(archive, other, host)
        if same_content(path, other):
            os.unlink(other)
        else:
            path = other
    else:
        _write(archive, path, host)
    owned.note_downloads((path,))
    return path


def _write(archive: Archive, path: str, host: str) -> None:
    entry = archive.entry
    directory, name = os.path.split(path)
    item = Item(".", archive.name, directory, name, entry.size, entry.mtime_ns, entry.mode)
    try:
        with Staging(directory, host) as staging:
            with staging.create(item) as (descriptor, name):
                view = memoryview(archive.data)
                while view:
                    view = view[os.write(descriptor, view) :]
            staging.move_into_place(name, item)
    except OSError as error:
        raise TransferFailed(f"{directory}: {error.strerror}", "free some space, or see who may write to it") from error
