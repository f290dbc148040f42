"""From this machine to the host: what the host does not have yet is sent, whole or not at all."""

from __future__ import annotations

import errno
import os
from collections.abc import Generator, Iterable, Mapping, Sequence
from typing import NamedTuple

from sshrun.errors import TransferFailed
from sshrun.events import Phase, TransferProgress, WarningNotice
from sshrun.session.protocol import Refusal, decode
from sshrun.session.session import Session
from sshrun.terminal import visible
from sshrun.transfer.choice import Engines
from sshrun.transfer.comparison import changed
from sshrun.transfer.engine import REPLY_TIMEOUT, SessionRefused, SharedConnection, count_files, not_placed
from sshrun.transfer.inline import link_requests
from sshrun.transfer.items import Item, grouped, links_apart
from sshrun.transfer.progress import Progress
from sshrun.units import files_text, size_text


class Uploaded(NamedTuple):
    """What an upload did. `engine` names the engines it took."""

    files: int = 0
    bytes: int = 0
    unchanged: int = 0
    engine: str = ""


def upload(
    session: Session,
    connection: SharedConnection,
    items: Sequence[Item],
    capabilities: Mapping[str, str],
    engine: str | None = None,
    compress: bool | None = None,
) -> Generator[TransferProgress | WarningNotice | Phase, None, Uploaded]:
    """Sends items to the host, where `session` is in the working directory.

    Raises TransferFailed, and ConnectionFailed where doing it again goes on with what is left.
    """
    engines = Engines(session, connection, capabilities, engine, compress=bool(compress))
    work: list[tuple[str, list[Item]]] = []
    links: list[tuple[str, list[Item]]] = []
    yield Phase("upload", f"comparing {files_text(count_files(items))} with what is on {session.host}")
    for root, group in grouped((item.root, item) for item in items):
        path, free = _make_directory(session, root)
        files, group_links = links_apart(group)
        links.append((path, group_links))
        work.append((path, changed(session, path, files)))
        needed = sum(item.needs for item in work[-1][1])
        if free is not None and needed > free:
            raise TransferFailed(
                f"{session.host}: {size_text(needed)} to upload, {size_text(free)} free in {visible(path)}",
                "free some space on the host",
            )
    progress = Progress("upload", [item for _, group in work for item in group])
    _check_all_readable(progress.items)
    yield Phase("upload", progress.text)
    for path, group in work:
        for chosen, part in engines.split(group):
            try:
                for step in chosen.upload(path, part):
                    yield from progress.take(step)
            except SessionRefused as refused:
                instead = engines.instead(refused)
                yield WarningNotice(f"{refused.message}: {instead.name} instead of {chosen.name}")
                for step in instead.upload(path, part):
                    yield from progress.take(step)
    for path, group in links:
        _make_links(session, path, group)
    yield progress.end(engines.used)
    return Uploaded(progress.files, progress.total, count_files(items) - count_files(progress.items), engines.used)


def _make_directory(session: Session, root: str) -> tuple[str, int | None]:
    """The path of a remote directory, made if need be, and the bytes that are free in it."""
    session.request("directory", root)
    try:
        free, _, path = session.reply().values.partition(" ")
    except Refusal as refusal:
        raise not_placed(session.host, refusal) from refusal
    return os.fsdecode(decode(path)), int(free) * 1024 if free.isdigit() else None


def _make_links(session: Session, root: str, links: Sequence[Item]) -> None:
    """When all that they lead to is in place. Raises TransferFailed."""
    for values in link_requests(links):
        session.request("links", root, *values)
        try:
            session.reply(timeout=REPLY_TIMEOUT)
        except Refusal as refusal:
            raise not_placed(session.host, refusal) from refusal


def _check_all_readable(items: Iterable[Item]) -> None:
    """Before anything is sent, and in one wording: scp would name a number."""
    for item in items:
        if not item.is_directory and not os.access(item.source, os.R_OK):
            why = os.strerror(errno.EACCES if os.path.exists(item.source) else errno.ENOENT)
            raise TransferFailed(f"{visible(item.source)} cannot be read: {why}", "see whose it is, or leave it out")
