"""From the host to this machine: files arrive in a staging directory, are checked, and then moved into place."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterable, Mapping, Sequence
from typing import NamedTuple

from sshrun.errors import TransferFailed
from sshrun.events import Phase, TransferProgress, WarningNotice
from sshrun.session.session import Session
from sshrun.terminal import visible
from sshrun.transfer.before import Before
from sshrun.transfer.choice import Engines
from sshrun.transfer.comparison import entries_at
from sshrun.transfer.engine import Arrived, Changed, Engine, SessionRefused, SharedConnection, Step, count_files
from sshrun.transfer.items import Item, grouped, links_apart
from sshrun.transfer.ownership import EVERYTHING, Ownership, kept_text, same_content
from sshrun.transfer.patterns import Pattern
from sshrun.transfer.placement import Placement, placed
from sshrun.transfer.progress import Progress
from sshrun.transfer.remote_tree import RemoteTree
from sshrun.transfer.selection import Selection, select
from sshrun.transfer.staging import Staging
from sshrun.units import size_text


class Downloaded(NamedTuple):
    """What a download did. `names` are all local files that it concerns; `missing` what was named and does not exist.

    `old` is what already existed before the job and was not downloaded, by pattern; for what is named in
    `missing_but_old` there is nothing else. `left` is what the limit left on the host, the largest first.
    """

    names: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    files: int = 0
    bytes: int = 0
    unchanged: int = 0
    engine: str = ""
    missing_but_old: tuple[str, ...] = ()
    old: tuple[tuple[Pattern, tuple[str, ...]], ...] = ()
    left: tuple[Item, ...] = ()


def download(
    session: Session,
    connection: SharedConnection,
    patterns: Sequence[Pattern],
    directory: str | os.PathLike[str],
    capabilities: Mapping[str, str],
    engine: str | None = None,
    compress: bool | None = None,
    *,
    protected: Sequence[str | os.PathLike[str]] = (),
    owned: Ownership = EVERYTHING,
    before: Before | None = None,
    limit: int | None = None,
) -> Generator[TransferProgress | WarningNotice | Phase, None, Downloaded]:
    """Downloads what patterns name on the host, where `session` is in the directory that they are relative to.

    Files of `protected`, and whatever no pattern names, are not touched. A local file that differs and is not `owned`
    is kept, and what would have replaced it goes beside it. What `before` holds is left on the host, and so are the
    largest files of what is more than `limit` bytes. Raises TransferFailed, and ConnectionFailed where doing it again
    goes on with what is left.
    """
    engines = Engines(session, connection, capabilities, engine, compress=bool(compress))
    yield Phase("download", f"looking for what to download from {session.host}")
    selection = _selected(session, patterns, before)
    for text in selection.warnings:
        yield WarningNotice(f"{session.host}: {text}")
    old = dict(selection.old)
    absent = [pattern for pattern in selection.unmatched if pattern not in old and not pattern.is_optional]
    for pattern in absent:
        yield WarningNotice(f"{session.host}: {visible(pattern.text)} matches nothing on the host")
    directory = os.path.realpath(directory)
    placement, left = _within(limit, placed(selection.items, directory, session.host, owned, protected))
    for text in placement.warnings:
        yield WarningNotice(text)
    progress = Progress("download", placement.wanted)
    yield Phase("download", progress.text)
    for root, group in grouped((item.root, item) for item in placement.wanted):
        try:
            for part in _each_once(group):
                yield from _download_group(session, engines, root, part, progress)
        except OSError as error:
            raise TransferFailed(
                f"{visible(root)}: {error.strerror}", "free some space, or see who may write to it"
            ) from error
    names = list(placement.names)
    for name, other in placement.kept.items():
        if same_content(name, other):
            os.unlink(other)
            names[names.index(other)] = name
        else:
            yield WarningNotice(kept_text(visible(os.path.relpath(name, directory)), visible(other), owned))
    owned.note_downloads(names)
    yield progress.end(engines.used)
    return Downloaded(
        tuple(names),
        tuple(pattern.source for pattern in absent if pattern.names_one),
        progress.files,
        progress.total,
        placement.files - count_files(placement.wanted),
        engines.used,
        tuple(pattern.source for pattern in selection.unmatched if pattern in old and pattern.names_one),
        selection.old,
        left,
    )


def _within(limit: int | None, placement: Placement) -> tuple[Placement, tuple[Item, ...]]:
    """A placement whose files are no larger than the limit, all together, and those that it leaves for that."""
    left: list[Item] = []
    excess = 0 if limit is None else sum(item.needs for item in placement.wanted) - limit
    for item in sorted(placement.wanted, key=lambda item: -item.needs) if excess > 0 else ():
        if excess > 0 and item.needs:
            left.append(item)
            excess -= item.needs
    if not left:
        return placement, ()
    places = {os.path.join(item.root, item.name) for item in left}
    return placement._replace(
        names=tuple(name for name in placement.names if name not in places),
        wanted=tuple(item for item in placement.wanted if os.path.join(item.root, item.name) not in places),
        files=placement.files - len(left),
        kept={name: other for name, other in placement.kept.items() if other not in places},
    ), tuple(left)


def _selected(session: Session, patterns: Sequence[Pattern], before: Before | None) -> Selection:
    """All questions are sent before the first answer is read."""
    trees = [RemoteTree(session, pattern, before) for pattern in patterns]
    if before is not None:
        before.read()
    for tree in trees:
        tree.read()
    return select(patterns, [tree.base for tree in trees], trees)


def _each_once(items: Sequence[Item]) -> Iterable[Sequence[Item]]:
    """In parts that hold no file of the host's twice: one that is wanted under two names is sent for each."""
    left = list(items)
    while left:
        part = {(item.base, item.path): item for item in reversed(left)}
        yield [item for item in left if part[item.base, item.path] is item]
        left = [item for item in left if part[item.base, item.path] is not item]


def _download_group(
    session: Session, engines: Engines, root: str, items: Sequence[Item], progress: Progress
) -> Generator[TransferProgress | WarningNotice, None, None]:
    items, links = links_apart(items)
    with Staging(root, session.host) as staging:
        needed = sum(item.needs for item in items)
        space = os.statvfs(root)
        if needed > space.f_bavail * space.f_frsize:
            free = size_text(space.f_bavail * space.f_frsize)
            raise TransferFailed(f"{size_text(needed)} to download, {free} free in {visible(root)}", "free some space")
        for item in items:
            if item.is_directory:
                staging.make_directory(item)
        for base, group in grouped((item.base, item) for item in items if not item.is_directory):
            missing = {item.path: item for item in group}
            for chosen, part in engines.split(group):
                try:
                    yield from _receive(chosen, base, part, staging, missing, progress)
                except SessionRefused as refused:
                    instead = engines.instead(refused)
                    yield WarningNotice(f"{refused.message}: {instead.name} instead of {chosen.name}")
                    yield from _receive(instead, base, part, staging, missing, progress)
            if missing:
                for path in entries_at(session, base, list(missing)):
                    raise TransferFailed(
                        f"{session.host} does not send {visible(path)}", "see whether it can be read on the host"
                    )
                for path in missing:
                    yield WarningNotice(f"{session.host}: {visible(path)} vanished before it could be sent")
        for link in links:
            problem = staging.link(link)
            if problem:
                yield WarningNotice(f"{visible(link.name)} {problem}")
            else:
                yield from progress.take(Step(files=1))


def _receive(
    engine: Engine, base: str, items: Sequence[Item], staging: Staging, missing: dict[str, Item], progress: Progress
) -> Generator[TransferProgress | WarningNotice, None, None]:
    for step in engine.download(base, items, staging):
        if isinstance(step, Arrived):
            staging.move_into_place(step.name, step.item)
            missing.pop(step.item.path, None)
            yield from progress.take(Step(files=1))
        elif isinstance(step, Changed):
            yield WarningNotice(
                f"{visible(step.item.path)} was written to while it was read: this is what it held on the way"
            )
        else:
            yield from progress.take(step)
