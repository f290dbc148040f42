"""Where downloads arrive: a private folder beside their place, on the same file system.

Nothing that a host says becomes a path outside of it, and nothing that arrives in it is more than a file: a link in the
way is neither created nor followed. A file gets its name, by a rename, when it is whole.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Self

from sshrun.errors import TransferFailed
from sshrun.paths import PART, Item
from sshrun.terminal import visible

_OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Staging:
    """The folder for what comes from `host` to `root`. What a transfer that was cut off left in it is still there.

    Another sshrun that uses it at this moment keeps it, and this one takes a fresh one.
    """

    def __init__(self, root: str, host: str) -> None:
        import hashlib

        os.makedirs(root, exist_ok=True)
        self.root = os.path.realpath(root)
        self.keep = False
        self._count = 0
        self._prefix = f"{os.getpid():x}-{os.urandom(3).hex()}-"
        self._parent: tuple[str, int] | None = None
        own = f"{PART}-{hashlib.sha256(os.fsencode(host)).hexdigest()[:10]}"
        for name in (own, f"{own}-{os.getpid():x}-{os.urandom(3).hex()}"):
            self.folder = os.path.join(self.root, name)
            descriptor = _locked(self.folder)
            if descriptor is not None:
                self._folder = descriptor
                break
        else:
            raise TransferFailed(f"{visible(self.folder)} cannot be made")
        self._root = os.open(self.root, _OPEN_FOLDER)
        _clear(self._folder, keep_files=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @contextmanager
    def create(self, item: Item) -> Iterator[tuple[int, str]]:
        """A new file for an item: a descriptor to write to, and its name in the staging folder."""
        self._count += 1
        name = f"{self._prefix}{self._count}"
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(name, flags, 0o600, dir_fd=self._folder)
        try:
            yield descriptor, name
            _dress(descriptor, item)
        finally:
            os.close(descriptor)

    def subfolder(self, name: str) -> str:
        """The path of a folder in here for a program to write to, made if it is not there."""
        path = os.path.join(self.folder, name)
        os.makedirs(path, mode=0o700, exist_ok=True)
        return path

    def open(self, name: str) -> int:
        """Opens a file that has arrived. Raises FileNotFoundError, and TransferFailed where it is no file."""
        folder = _walk(self._folder, os.path.dirname(name))
        try:
            return _open_file(folder, os.path.basename(name))
        finally:
            os.close(folder)

    def install(self, name: str, item: Item) -> None:
        """Gives what arrived as `name` its place beneath the root."""
        source = _walk(self._folder, os.path.dirname(name))
        try:
            folder, _, final = item.name.rpartition("/")
            self._rename(source, os.path.basename(name), self._target(folder), final, item.name)
        finally:
            os.close(source)

    def link(self, item: Item) -> str:
        """Makes a link, once all that links lead to is in place; returns what keeps it from being made, or "".

        It takes the place of a file, a link or an empty directory, and of nothing that holds anything.
        """
        folder, _, final = item.name.rpartition("/")
        place = os.path.normpath(os.path.join(folder, item.link))
        if place.startswith("..") or not self._is_real(place):
            return "is a link to what did not arrive: left out"
        target = self._target(folder)
        try:
            os.rmdir(final, dir_fd=target)
        except OSError as error:
            if error.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.EBUSY):
                return f"is a directory here and a link to {visible(item.link)} there: move it away to have the link"
            if error.errno not in (errno.ENOENT, errno.ENOTDIR):
                raise self._refused(item.name, error) from error
        self._count += 1
        name = f"{self._prefix}{self._count}"
        try:
            os.symlink(item.link, name, dir_fd=self._folder)
            try:
                os.rename(name, final, src_dir_fd=self._folder, dst_dir_fd=target)
            except OSError as error:
                if error.errno != errno.EXDEV:
                    raise
                with suppress(FileNotFoundError):
                    os.unlink(final, dir_fd=target)
                os.symlink(item.link, final, dir_fd=target)  # a subfolder on another disk
        except OSError as error:
            raise self._refused(item.name, error) from error
        return ""

    def _is_real(self, path: str) -> bool:
        """Whether something stands there beneath the root, and one comes to it through no link."""
        folder, _, name = path.rpartition("/")
        try:
            descriptor = _walk(self._root, folder)
        except OSError:
            return False
        try:
            return not stat.S_ISLNK(os.lstat(name, dir_fd=descriptor).st_mode)
        except OSError:
            return False
        finally:
            os.close(descriptor)

    def adopt(self, name: str, item: Item) -> None:
        """Takes what another program wrote as `name` for the item. Raises FileNotFoundError, and as `open` does."""
        descriptor = self.open(name)
        try:
            _dress(descriptor, item)
        finally:
            os.close(descriptor)

    def make_folder(self, item: Item) -> None:
        self._target(item.name)

    def _rename(self, source: int, base: str, target: int, final: str, name: str) -> None:
        try:
            os.rename(base, final, src_dir_fd=source, dst_dir_fd=target)
        except OSError as error:
            if error.errno in (errno.EISDIR, errno.ENOTEMPTY, errno.EEXIST):
                raise TransferFailed(
                    f"{visible(name)} is a folder here and a file there", "move the folder away"
                ) from error
            if error.errno != errno.EXDEV:
                raise self._refused(name, error) from error
            try:
                _copy(source, base, target, final)  # a subfolder on another disk
            except OSError as reason:
                raise self._refused(name, reason) from reason

    def _refused(self, name: str, error: OSError) -> TransferFailed:
        hint = "free some space" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "see who may write there"
        return TransferFailed(f"{visible(os.path.join(self.root, name))}: {error.strerror}", hint)

    def _target(self, folder: str) -> int:
        """A descriptor of a folder beneath the root, made if need be. The last one stays open: files come in flocks."""
        if self._parent is not None and self._parent[0] == folder:
            return self._parent[1]
        try:
            descriptor = _walk(self._root, folder, make=True)
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.ENOTDIR):
                raise TransferFailed(
                    f"{visible(folder)} is, or lies behind, a link or a file here, and what a host sends follows none",
                    "move it away, or say where the files go: REMOTE|LOCAL",
                ) from error
            raise self._refused(folder, error) from error
        if self._parent is not None:
            os.close(self._parent[1])
        self._parent = folder, descriptor
        return descriptor

    def close(self) -> None:
        """Removes the folder; with `keep`, what the next transfer can go on with stays."""
        try:
            _clear(self._folder, keep_files=self.keep)
            os.rmdir(self.folder)
        except (OSError, RecursionError):
            pass  # kept, or such as no rmdir can remove
        for descriptor in (self._folder, self._root, *(() if self._parent is None else (self._parent[1],))):
            os.close(descriptor)


def _locked(path: str) -> int | None:
    """Makes a folder, or takes one of our own that nobody uses; None where somebody does. The lock ends with us."""
    while True:
        try:
            os.mkdir(path, 0o700)
        except FileExistsError:
            pass
        try:
            descriptor = os.open(path, _OPEN_FOLDER)
        except FileNotFoundError:
            continue  # removed by the one who used it
        except OSError as error:
            raise TransferFailed(f"{visible(path)} is in the way", "remove it") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        except OSError:
            pass  # a file system without locks (some Lustre, some NFS): nobody can be told from nobody else
        opened = os.fstat(descriptor)
        if opened.st_uid != os.geteuid():
            os.close(descriptor)
            return None
        try:
            if os.path.samestat(opened, os.lstat(path)):
                os.fchmod(descriptor, 0o700)
                return descriptor
        except FileNotFoundError:
            pass
        os.close(descriptor)


def _walk(start: int, path: str, *, make: bool = False) -> int:
    """A descriptor of the folder `path` beneath the open folder `start`, through no link."""
    descriptor = os.dup(start)
    for step in path.split("/"):
        if not step:
            continue
        if step in (".", ".."):
            os.close(descriptor)
            raise TransferFailed(f"{visible(path)} leads out of its folder")
        try:
            try:
                below = os.open(step, _OPEN_FOLDER, dir_fd=descriptor)
            except FileNotFoundError:
                if not make:
                    raise
                os.mkdir(step, dir_fd=descriptor)
                below = os.open(step, _OPEN_FOLDER, dir_fd=descriptor)
        finally:
            os.close(descriptor)
        descriptor = below
    return descriptor


def _dress(descriptor: int, item: Item) -> None:
    os.fchmod(descriptor, item.mode & 0o777)
    os.utime(descriptor, ns=(item.mtime_ns, item.mtime_ns))


def _open_file(folder: int, name: str) -> int:
    # O_NONBLOCK: opening a FIFO would wait for somebody to write to it.
    try:
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    except OSError as error:
        if error.errno not in (errno.ELOOP, errno.ENXIO, errno.EACCES):
            raise
        raise TransferFailed(f"{visible(name)} did not arrive as a file") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise TransferFailed(f"{visible(name)} did not arrive as a file")
    return descriptor


def _copy(source: int, base: str, target: int, final: str) -> None:
    import shutil

    part = f"{PART}-{os.getpid():x}"
    status = os.stat(base, dir_fd=source, follow_symlinks=False)
    try:
        with (
            open(os.open(base, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=source), "rb") as reader,
            open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600, dir_fd=target), "wb") as writer,
        ):
            shutil.copyfileobj(reader, writer, 1 << 20)
            writer.flush()
            os.fchmod(writer.fileno(), status.st_mode & 0o777)
            os.utime(writer.fileno(), ns=(status.st_mtime_ns, status.st_mtime_ns))
        os.rename(part, final, src_dir_fd=target, dst_dir_fd=target)
    except BaseException:
        with suppress(OSError):  # which would hide why it could not even be made
            os.unlink(part, dir_fd=target)
        raise
    os.unlink(base, dir_fd=source)


def _clear(folder: int, *, keep_files: bool = False) -> None:
    """Empties an open folder; with `keep_files`, of all that is neither a plain file nor on the way to one."""
    with os.scandir(folder) as listing:
        found = list(listing)
    for entry in found:
        if entry.is_dir(follow_symlinks=False):
            os.chmod(entry.name, 0o700, dir_fd=folder)  # rsync gave it the mode that the host said
            below = os.open(entry.name, _OPEN_FOLDER, dir_fd=folder)
            try:
                _clear(below, keep_files=keep_files)
            finally:
                os.close(below)
            try:
                os.rmdir(entry.name, dir_fd=folder)
            except OSError:
                if not keep_files:
                    raise
        elif not keep_files or not entry.is_file(follow_symlinks=False):
            os.unlink(entry.name, dir_fd=folder)
