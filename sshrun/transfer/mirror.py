"""Keeps a mirror of a local directory on the host: what was sent once and is gone here goes there, and nothing else."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterable, Mapping

from sshrun.errors import TransferFailed
from sshrun.events import Phase, TransferProgress, WarningNotice
from sshrun.session.session import Session
from sshrun.terminal import visible
from sshrun.transfer.comparison import name_list
from sshrun.transfer.engine import REPLY_TIMEOUT, SharedConnection
from sshrun.transfer.items import Mirror
from sshrun.transfer.upload import Uploaded, upload


def request_mirror(session: Session, mirror: Mirror) -> None:
    """Asks what the host has of it; `update` takes the answer."""
    session.request("mirror", mirror.id, mirror.digest)


def update(
    session: Session,
    connection: SharedConnection,
    mirror: Mirror,
    capabilities: Mapping[str, str],
    engine: str | None = None,
    compress: bool | None = None,
) -> Generator[TransferProgress | WarningNotice | Phase, None, Uploaded]:
    """Sends what has changed since the last time, and has the host remove what is gone.

    Where the host finds all as it was sent, and this side has not changed either, nothing else happens. A try that was
    cut off is gone on with. Raises TransferFailed, and ConnectionFailed where doing it again goes on with what is left.
    """
    if session.reply(timeout=REPLY_TIMEOUT).values == "same":
        return Uploaded(unchanged=len(mirror.items))
    listed = b"".join(session.raw(timeout=REPLY_TIMEOUT))
    session.reply()
    sent = _names(listed, session.host)
    ours = set(name_list(item.name for item in mirror.items if not item.is_directory).split(b"\0")) - {b""}
    gone = sent - ours
    lists = [_list(names) for names in (ours - sent, gone, _left_empty(gone, ours))]
    session.request("mirror_begin", mirror.id, *(str(len(data)) for data in lists))
    session.send(b"".join(lists))
    session.reply(timeout=REPLY_TIMEOUT)
    uploaded = yield from upload(session, connection, mirror.items, capabilities, engine, compress)
    names = _list(sorted(ours))
    session.request("mirror_end", mirror.id, mirror.digest, str(len(names)))
    session.send(names)
    session.reply(timeout=REPLY_TIMEOUT)
    return uploaded


def _list(names: Iterable[bytes]) -> bytes:
    return b"".join(name + b"\0" for name in names)


def _names(listed: bytes, host: str) -> set[bytes]:
    """What an earlier run sent, as the host has kept it. Raises TransferFailed where that leads elsewhere."""
    names = set(listed.split(b"\0")) - {b""}
    for name in names:
        first, *steps = name.split(b"/")
        if first != b"." or not steps or not {b"", b".", b".."}.isdisjoint(steps):
            shown = visible(os.fsdecode(name[:200]))
            raise TransferFailed(f"{host}: what it says was sent to it cannot be read: {shown}", "remove .sshrun there")
    return names


def _left_empty(gone: set[bytes], left: set[bytes]) -> list[bytes]:
    """The directories that nothing is left in of what was sent, the deepest first."""
    kept = _directories(left)
    return sorted(_directories(gone) - kept, key=lambda directory: (-directory.count(b"/"), directory))


def _directories(names: Iterable[bytes]) -> set[bytes]:
    found: set[bytes] = set()
    for name in names:
        directory = os.path.dirname(name)
        while directory != b"." and directory not in found:
            found.add(directory)
            directory = os.path.dirname(directory)
    return found
