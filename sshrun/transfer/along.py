"""An archive that is small comes along with the end of the log: nothing is asked for, no program is started for it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal, NamedTuple

from sshrun.errors import TransferFailed
from sshrun.paths import Entry, Item
from sshrun.scripts import Session
from sshrun.transfer.beside import Owned, beside, same_content
from sshrun.transfer.entries import read_entry
from sshrun.transfer.staging import Staging

SMALL = 256 << 10  # bytes


class Archive(NamedTuple):
    """What has become of an archive: there is "none", or the "same" as before the job, or a "new" one that is still to
    be fetched, or it is "here".
    """

    state: Literal["none", "same", "new", "here"]
    name: str = ""
    entry: Entry = Entry(0)
    data: bytes = b""


NO_ARCHIVE = Archive("none")


def take_along(session: Session, name: str) -> Archive:
    """Reads the host's word on an archive, and the archive itself where that came along."""
    *_, reply = session.replies("archive")
    state, _, record = reply.values.partition(" ")
    if state in ("none", "same", "new"):
        return Archive(state, name)  # type: ignore[arg-type]
    _, entry = read_entry(session, os.fsencode(record))
    data = b""
    for chunk in session.raw():
        data += chunk
        if len(data) > SMALL:
            raise TransferFailed(f"{session.host} sends more of {name} than it was asked for")
    session.reply()
    # One that somebody still writes to is fetched like any other file, which waits for it to be whole.
    return Archive("here", name, entry, data) if len(data) == entry.size else Archive("new", name)


def place(archive: Archive, home: Path, host: str, owned: Owned | None = None) -> str:
    """Gives an archive that is here its name in a folder, and returns its path. Raises TransferFailed.

    With `owned`, a file that differs and is not the job's own is kept, and the archive goes beside it.
    """
    final = str(home / Path(archive.name).name)
    if owned is not None and os.path.lexists(final) and not owned(final):
        place = beside(final, host, owned)
        _install(archive, place, host)
        if not same_content(final, place):
            return place
        os.unlink(place)
    else:
        _install(archive, final, host)
    return final


def _install(archive: Archive, path: str, host: str) -> None:
    entry = archive.entry
    home, name = os.path.split(path)
    item = Item(".", archive.name, home, name, entry.size, entry.mtime_ns, entry.mode)
    try:
        with Staging(home, host) as staging:
            with staging.create(item) as (descriptor, name):
                view = memoryview(archive.data)
                while view:
                    view = view[os.write(descriptor, view) :]
            staging.install(name, item)
    except OSError as error:
        raise TransferFailed(f"{home}: {error.strerror}", "free some space, or see who may write there") from error
