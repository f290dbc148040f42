"""Files between here and a host: what is not there yet goes, whole or not at all, by whichever way the two have.

rsync takes the large files where both sides have it; tar, through the session that is open anyway, all the others; scp
is for a host that has neither. What is unchanged (size and time) is found out for all files at once, and not sent.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Generator, Iterable, Mapping, Sequence
from typing import NamedTuple

from sshrun.errors import TransferFailed
from sshrun.job import Moved, Phase, Warned, files_text, size_text
from sshrun.paths import Item, Pattern, one_for_each, select
from sshrun.scripts import Refusal, Session, decode
from sshrun.terminal import visible
from sshrun.transfer import rsync
from sshrun.transfer.along import NO_ARCHIVE, SMALL, Archive, place, take_along
from sshrun.transfer.before import Before, request_before
from sshrun.transfer.beside import Owned, beside, kept_text, same_content
from sshrun.transfer.engine import (
    PATIENCE,
    Arrived,
    Changed,
    Connection,
    Engine,
    SessionRefused,
    Step,
    count_files,
    not_placed,
)
from sshrun.transfer.listing import RemoteTree, changed, same_time, standing
from sshrun.transfer.rsync import Rsync
from sshrun.transfer.scp import Scp
from sshrun.transfer.staging import Staging
from sshrun.transfer.tar import Tar, archive, header

__all__ = [
    "NO_ARCHIVE",
    "SMALL",
    "Archive",
    "Before",
    "Connection",
    "Downloaded",
    "Inline",
    "Owned",
    "Uploaded",
    "choose",
    "download",
    "inline",
    "kept_text",
    "not_placed",
    "place",
    "request_before",
    "request_inline",
    "take_along",
    "upload",
]

_LINKS_AT_ONCE = 50

INLINE_LIMIT = 64 << 10  # bytes, archive overhead included

# From this size on a delta or a resumed transfer is worth what a second session and rsync's dialogue cost.
LARGE = 1 << 20


class Uploaded(NamedTuple):
    """What an upload did. `engine` names the ways it took."""

    files: int = 0
    bytes: int = 0
    unchanged: int = 0
    engine: str = ""


class Downloaded(NamedTuple):
    """What a download did. `names` are all files here that it was about; `missing` what was named and is not there.

    `old` is what stood there before the job already and was left alone, by pattern; of what is named in
    `missing_but_old` there is nothing else.
    """

    names: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    files: int = 0
    bytes: int = 0
    unchanged: int = 0
    engine: str = ""
    missing_but_old: tuple[str, ...] = ()
    old: tuple[tuple[Pattern, tuple[str, ...]], ...] = ()


class Inline(NamedTuple):
    """A small upload: an archive, and the links among what is in it."""

    data: bytes
    links: Sequence[Item] = ()


def inline(items: Sequence[Item]) -> Inline | None:
    """The files as they travel with the request that starts a job, or None where they are too many or go elsewhere.

    Nothing has to be known of the host for it. Raises TransferFailed for a file that cannot be read.
    """
    if any(item.root != "." for item in items) or sum(item.size for item in items if not item.is_folder) > INLINE_LIMIT:
        return None
    files, links = _links_apart(items)
    data = b"".join(archive(files, [header(item) for item in files])) if files else b""
    return Inline(data, links) if len(data) <= INLINE_LIMIT else None


def request_inline(session: Session, small: Inline) -> None:
    """Sends what `inline` made, behind "place"; the reply is "put". Where the host has no tar it is a Refusal "notar",
    and nothing that was sent behind it is carried out.
    """
    if small.data:
        session.request("put", ".", str(len(small.data)), "")
        session.send(small.data)
    for values in _link_requests(small.links):
        session.request("links", ".", *values)


def choose(facts: Mapping[str, str], forced: str | None = None) -> str:
    """ "rsync", "tar" or "scp", by what the host has (its facts "tools" and "rsync") and what is here.

    Raises TransferFailed where the forced one cannot be.
    """
    host = facts.get("name", "the host")
    possible = []
    if forced in (None, "rsync") and rsync.version(facts.get("rsync", "")) >= rsync.OLDEST:
        if rsync.local_version() >= rsync.OLDEST:
            possible.append("rsync")
        elif forced:
            raise TransferFailed("transfer: rsync, but there is no rsync here, or one older than 3.0", "install rsync")
    if _has_tar(facts):
        possible.append("tar")
    possible.append("scp")
    if forced is None:
        return possible[0]
    if forced not in possible:
        raise TransferFailed(f"transfer: {forced}, but {host} has no {forced} that can be used", "leave it to sshrun")
    return forced


def _has_tar(facts: Mapping[str, str]) -> bool:
    return {"tar", "xargs"}.issubset(facts.get("tools", "").split())


def upload(
    session: Session,
    connection: Connection,
    items: Sequence[Item],
    facts: Mapping[str, str],
    engine: str | None = None,
    compress: bool | None = None,
) -> Generator[Moved | Warned | Phase, None, Uploaded]:
    """Brings items to the host, where `session` stands in the working directory.

    Raises TransferFailed, and ConnectionFailed where doing it again goes on with what is left.
    """
    ways = _Ways(session, connection, facts, engine, compress=bool(compress))
    work: list[tuple[str, list[Item]]] = []
    links: list[tuple[str, list[Item]]] = []
    yield Phase("upload", f"comparing {files_text(count_files(items))} with what is on {session.host}")
    for root, group in _grouped((item.root, item) for item in items):
        path, free = _folder(session, root)
        files, group_links = _links_apart(group)
        links.append((path, group_links))
        work.append((path, changed(session, path, files)))
        needed = sum(item.needs for item in work[-1][1])
        if free is not None and needed > free:
            raise TransferFailed(
                f"{session.host}: {size_text(needed)} to upload, {size_text(free)} free in {visible(path)}",
                "free some space there",
            )
    progress = _Progress("upload", [item for _, group in work for item in group])
    _see_that_all_can_be_read(progress.items)
    yield Phase("upload", progress.text)
    for path, group in work:
        for way, part in ways.split(group):
            try:
                for step in way.upload(path, part):
                    yield from progress.take(step)
            except SessionRefused as refused:
                instead = ways.instead(refused)
                yield Warned(f"{refused.message}: {instead.name} instead of {way.name}")
                for step in instead.upload(path, part):
                    yield from progress.take(step)
    for path, group in links:
        _make_links(session, path, group)
    yield progress.end(ways.used)
    return Uploaded(progress.files, progress.total, count_files(items) - count_files(progress.items), ways.used)


def download(
    session: Session,
    connection: Connection,
    patterns: Sequence[Pattern],
    home: str | os.PathLike[str],
    facts: Mapping[str, str],
    engine: str | None = None,
    compress: bool | None = None,
    *,
    protected: Sequence[str | os.PathLike[str]] = (),
    owned: Owned | None = None,
    before: Before | None = None,
) -> Generator[Moved | Warned | Phase, None, Downloaded]:
    """Brings home what patterns name on the host, where `session` stands in the folder that they are relative to.

    Files of `protected`, and whatever no pattern names, are left alone. With `owned`, a file that differs and is not
    the job's own is kept, and what comes in its place goes beside it. What `before` holds is left on the host. Raises
    TransferFailed, and ConnectionFailed where doing it again goes on with what is left.
    """
    ways = _Ways(session, connection, facts, engine, compress=bool(compress))
    yield Phase("download", f"looking for what to download from {session.host}")
    trees = [RemoteTree(session, pattern, before) for pattern in patterns]
    if before is not None:
        before.read()
    for tree in trees:
        tree.read()
    selection = select(patterns, [tree.base for tree in trees], trees)
    for text in selection.warnings:
        yield Warned(f"{session.host}: {text}")
    old = dict(selection.old)
    absent = [pattern for pattern in selection.unmatched if pattern not in old]
    for pattern in absent:
        yield Warned(f"{session.host}: {visible(pattern.text)} matches nothing there")
    items = _at_home(selection.items, os.path.realpath(home))
    kept: dict[str, str] = {}
    if owned is not None:
        items = [_beside(item, session.host, owned, kept) for item in items]
    names = [os.path.join(item.root, item.name) for item in items]
    wanted = []
    spared = _identities(protected)
    for item, name in zip(items, names, strict=True):
        here = _status(name)
        if here is None or not _looks_like(item, name, here):
            if here is not None and (here.st_dev, here.st_ino) in spared:
                yield Warned(f"{visible(item.name)} stays as it is here: it is what the job was started from")
            else:
                wanted.append(item)
    progress = _Progress("download", wanted)
    yield Phase("download", progress.text)
    for root, group in _grouped((item.root, item) for item in wanted):
        try:
            for part in _each_once(group):
                yield from _fetch(session, ways, root, part, progress)
        except OSError as error:
            raise TransferFailed(
                f"{visible(root)}: {error.strerror}", "free some space, or see who may write there"
            ) from error
    for name, instead in kept.items():
        if same_content(name, instead):
            os.unlink(instead)
            names[names.index(instead)] = name
        else:
            yield Warned(kept_text(visible(os.path.relpath(name, os.path.realpath(home))), visible(instead)))
    yield progress.end(ways.used)
    return Downloaded(
        tuple(names),
        tuple(pattern.source for pattern in absent if not pattern.wildcard),
        progress.files,
        progress.total,
        count_files(items) - count_files(wanted),
        ways.used,
        tuple(pattern.source for pattern in selection.unmatched if pattern in old and not pattern.wildcard),
        selection.old,
    )


def _each_once(items: Sequence[Item]) -> Iterable[Sequence[Item]]:
    """In parts that hold no file of the host's twice: one that is wanted under two names is sent for each."""
    left = list(items)
    while left:
        part = {(item.base, item.path): item for item in reversed(left)}
        yield [item for item in left if part[item.base, item.path] is item]
        left = [item for item in left if part[item.base, item.path] is not item]


def _fetch(
    session: Session, ways: _Ways, root: str, items: Sequence[Item], progress: _Progress
) -> Generator[Moved | Warned, None, None]:
    items, links = _links_apart(items)
    with Staging(root, session.host) as staging:
        needed = sum(item.needs for item in items)
        space = os.statvfs(root)
        if needed > space.f_bavail * space.f_frsize:
            free = size_text(space.f_bavail * space.f_frsize)
            raise TransferFailed(f"{size_text(needed)} to download, {free} free in {visible(root)}", "free some space")
        for item in items:
            if item.is_folder:
                staging.make_folder(item)
        for base, group in _grouped((item.base, item) for item in items if not item.is_folder):
            missing = {item.path: item for item in group}
            for way, part in ways.split(group):
                try:
                    yield from _take(way, base, part, staging, missing, progress)
                except SessionRefused as refused:
                    instead = ways.instead(refused)
                    yield Warned(f"{refused.message}: {instead.name} instead of {way.name}")
                    yield from _take(instead, base, part, staging, missing, progress)
            if missing:
                for path in standing(session, base, list(missing)):
                    raise TransferFailed(
                        f"{session.host} does not send {visible(path)}", "see whether it can be read there"
                    )
                for path in missing:
                    yield Warned(f"{session.host}: {visible(path)} vanished before it could be sent")
        for link in links:
            problem = staging.link(link)
            if problem:
                yield Warned(f"{visible(link.name)} {problem}")
            else:
                yield from progress.take(Step(files=1))


def _take(
    way: Engine, base: str, items: Sequence[Item], staging: Staging, missing: dict[str, Item], progress: _Progress
) -> Generator[Moved | Warned, None, None]:
    for step in way.download(base, items, staging):
        if isinstance(step, Arrived):
            staging.install(step.name, step.item)
            missing.pop(step.item.path, None)
            yield from progress.take(Step(files=1))
        elif isinstance(step, Changed):
            yield Warned(f"{visible(step.item.path)} was written to while it was read: this is what it held on the way")
        else:
            yield from progress.take(step)


class _Ways:
    """The engines for one transfer, and which files go by which."""

    def __init__(
        self, session: Session, connection: Connection, facts: Mapping[str, str], forced: str | None, *, compress: bool
    ) -> None:
        self._session = session
        self._connection = connection
        self._facts = facts
        self._forced = forced
        self._compress = compress
        self._tar = Tar(session, compress=compress) if _has_tar(facts) else None
        self._main: Engine | None = None
        self._used: dict[str, None] = {}

    @property
    def used(self) -> str:
        return " and ".join(self._used)

    def split(self, items: Sequence[Item]) -> list[tuple[Engine, list[Item]]]:
        small: list[Item] = list(items)
        large: list[Item] = []
        if self._forced or self._tar is None:
            small, large = large, small
        elif self._main is not self._tar:
            small = [item for item in items if item.size < LARGE or item.is_folder]
            large = [item for item in items if item.size >= LARGE and not item.is_folder]
        parts: list[tuple[Engine, list[Item]]] = []
        if small and self._tar is not None:
            parts.append((self._tar, small))
        if large:
            self._main = self._main or self._choose()
            parts.append((self._main, large))
        self._used.update((way.name, None) for way, _ in parts)
        return parts

    def _choose(self) -> Engine:
        name = choose(self._facts, self._forced)
        if name == "rsync":
            return Rsync(self._session, self._connection, rsync.local_version(), compress=self._compress)
        if name == "tar":
            return Tar(self._session, compress=self._compress)
        return Scp(self._session, self._connection)

    def instead(self, refused: SessionRefused) -> Engine:
        """What needs no second session; from now on for all files."""
        if self._tar is None:
            raise TransferFailed(refused.message, refused.hint) from refused
        self._main = self._tar
        self._used = {self._tar.name: None}
        return self._tar


class _Progress:
    """Counts, and says so as often as anybody can look."""

    def __init__(self, direction: str, items: Sequence[Item]) -> None:
        self.direction = direction
        self.items = items
        self.total = sum(item.size for item in items if not item.is_folder)
        self.done = 0
        self.files = 0
        self._said = 0.0

    @property
    def text(self) -> str:
        """What is under way, as a whole."""
        return f"{self.direction}ing {files_text(count_files(self.items))}, {size_text(self.total)}"

    def take(self, step: Step) -> Iterable[Moved]:
        import time

        self.done = min(self.done + step.bytes, self.total)
        self.files += step.files
        now = time.monotonic()
        if now - self._said > 0.05:
            self._said = now
            yield Moved(self.direction, self.done, self.total, self.files)

    def end(self, engine: str) -> Moved:
        return Moved(self.direction, self.total, self.total, self.files, finished=True, engine=engine)


def _folder(session: Session, root: str) -> tuple[str, int | None]:
    """Where a folder of the host is, made if need be, and the bytes that are free there."""
    session.request("folder", root)
    try:
        free, _, path = session.reply().values.partition(" ")
    except Refusal as refusal:
        raise not_placed(session.host, refusal) from refusal
    return os.fsdecode(decode(path)), int(free) * 1024 if free.isdigit() else None


def _links_apart(items: Iterable[Item]) -> tuple[list[Item], list[Item]]:
    files: list[Item] = []
    links: list[Item] = []
    for item in items:
        (links if item.link else files).append(item)
    return files, links


def _link_requests(links: Sequence[Item]) -> Iterable[list[str]]:
    """The values of requests that make links, so many at once as a shell takes without trouble."""
    for start in range(0, len(links), _LINKS_AT_ONCE):
        yield [value for item in links[start : start + _LINKS_AT_ONCE] for value in (item.name, item.link)]


def _make_links(session: Session, root: str, links: Sequence[Item]) -> None:
    """When all that they lead to is in place. Raises TransferFailed."""
    for values in _link_requests(links):
        session.request("links", root, *values)
        try:
            session.reply(timeout=PATIENCE)
        except Refusal as refusal:
            raise not_placed(session.host, refusal) from refusal


def _see_that_all_can_be_read(items: Iterable[Item]) -> None:
    """Before anything is sent, and in one wording: scp would say it of a number."""
    for item in items:
        if not item.is_folder and not os.access(item.source, os.R_OK):
            why = os.strerror(errno.EACCES if os.path.exists(item.source) else errno.ENOENT)
            raise TransferFailed(f"{visible(item.source)} cannot be read: {why}", "see whose it is, or leave it out")


def _grouped(pairs: Iterable[tuple[str, Item]]) -> list[tuple[str, list[Item]]]:
    groups: dict[str, list[Item]] = {}
    for key, item in pairs:
        groups.setdefault(key, []).append(item)
    return list(groups.items())


def _at_home(items: Sequence[Item], home: str) -> list[Item]:
    """The items with their folders here. What goes beneath `home` goes there, however it was said."""
    placed = []
    for item in items:
        root, name = home, item.name
        if item.root != ".":
            root = os.path.join(home, os.path.expanduser(item.root))
            path = os.path.normpath(os.path.join(root, name))
            if path.startswith(home + "/"):
                root, name = home, os.path.relpath(path, home)
        placed.append(item._replace(root=root, name=name))
    # Where none was said with a folder of its own, no two can mean the same.
    return placed if all(item.root == "." for item in items) else one_for_each(placed)


def _beside(item: Item, host: str, owned: Owned, kept: dict[str, str]) -> Item:
    """The item as it is placed here: where another file is kept, which is noted in `kept`, beside that one."""
    name = os.path.join(item.root, item.name)
    here = _status(name)
    if item.is_folder or here is None or _looks_like(item, name, here) or owned(name):
        return item

    def free(path: str) -> bool:
        status = _status(path)
        return owned(path) or (status is not None and _looks_like(item, path, status))  # of a try that was cut off

    kept[name] = beside(name, host, free)
    return item._replace(name=os.path.relpath(kept[name], item.root))


def _identities(paths: Iterable[str | os.PathLike[str]]) -> set[tuple[int, int]]:
    found = (_status(path) for path in paths)
    return {(status.st_dev, status.st_ino) for status in found if status is not None}


def _status(path: str | os.PathLike[str]) -> os.stat_result | None:
    try:
        return os.lstat(path)
    except OSError:
        return None


def _looks_like(item: Item, name: str, here: os.stat_result) -> bool:
    import stat

    if item.link:
        return stat.S_ISLNK(here.st_mode) and os.readlink(name) == item.link
    if item.is_folder:
        return stat.S_ISDIR(here.st_mode)
    return stat.S_ISREG(here.st_mode) and item.size == here.st_size and same_time(item.mtime_ns, here.st_mtime_ns)
