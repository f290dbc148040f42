"""Where downloads arrive: a private directory beside their place, on the same file system.

Nothing that a host sends becomes a path outside of it, and nothing that arrives in it is more than a file: a link in
the way is neither created nor followed. A file gets its name, by a rename, when it is whole.
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
from sshrun.terminal import visible
from sshrun.transfer.items import PARTIAL_PREFIX, Item

_OPEN_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Staging:
    """The directory for what comes from `host` to `root`. What a transfer that was cut off left in it is still in it.

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
        own = f"{PARTIAL_PREFIX}-{hashlib.sha256(os.fsencode(host)).hexdigest()[:10]}"
        for name in (own, f"{own}-{os.getpid():x}-{os.urandom(3).hex()}"):
            self.directory = os.path.join(self.root, name)
            descriptor = _locked(self.directory)
            if descriptor is not None:
                self._directory = descriptor
                break
        else:
            raise TransferFailed(f"{visible(self.directory)} cannot be made")
        self._root = os.open(self.root, _OPEN_DIRECTORY)
        _clear(self._directory, keep_files=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @contextmanager
    def create(self, item: Item) -> Iterator[tuple[int, str]]:
        """A new file for an item: a descriptor to write to, and its name in the staging directory."""
        self._count += 1
        name = f"{self._prefix}{self._count}"
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(name, flags, 0o600, dir_fd=self._directory)
        try:
            yield descriptor, name
            _apply_metadata(descriptor, item)
        finally:
            os.close(descriptor)

    def subdirectory(self, name: str) -> str:
        """The path of a directory in it for a program to write to, made if need be."""
        path = os.path.join(self.directory, name)
        os.makedirs(path, mode=0o700, exist_ok=True)
        return path

    def open(self, name: str) -> int:
        """Opens a file that has arrived. Raises FileNotFoundError, and TransferFailed where it is no file."""
        directory = _walk(self._directory, os.path.dirname(name))
        try:
            return _open_file(directory, os.path.basename(name))
        finally:
            os.close(directory)

    def move_into_place(self, name: str, item: Item) -> None:
        """Moves what arrived as `name` to its place beneath the root."""
        source = _walk(self._directory, os.path.dirname(name))
        try:
            directory, _, final = item.name.rpartition("/")
            self._rename(source, os.path.basename(name), self._target(directory), final, item.name)
        finally:
            os.close(source)

    def link(self, item: Item) -> str:
        """Makes a link, once all that links lead to is in place; returns what keeps it from being made, or "".

        It takes the place of a file, a link or an empty directory, and of nothing that contains anything.
        """
        directory, _, final = item.name.rpartition("/")
        place = os.path.normpath(os.path.join(directory, item.link))
        if place.startswith("..") or not self._is_real(place):
            return "is a link to what did not arrive: left out"
        target = self._target(directory)
        try:
            os.rmdir(final, dir_fd=target)
        except OSError as error:
            if error.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.EBUSY):
                return (
                    f"is a local directory; on the host it is a link to {visible(item.link)}: move it away to have it"
                )
            if error.errno not in (errno.ENOENT, errno.ENOTDIR):
                raise self._refused(item.name, error) from error
        self._count += 1
        name = f"{self._prefix}{self._count}"
        try:
            os.symlink(item.link, name, dir_fd=self._directory)
            try:
                os.rename(name, final, src_dir_fd=self._directory, dst_dir_fd=target)
            except OSError as error:
                if error.errno != errno.EXDEV:
                    raise
                with suppress(FileNotFoundError):
                    os.unlink(final, dir_fd=target)
                os.symlink(item.link, final, dir_fd=target)  # a subdirectory on another disk
        except OSError as error:
            raise self._refused(item.name, error) from error
        return ""

    def _is_real(self, path: str) -> bool:
        """Whether something exists at a path beneath the root, and the path crosses no link."""
        directory, _, name = path.rpartition("/")
        try:
            descriptor = _walk(self._root, directory)
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
            _apply_metadata(descriptor, item)
        finally:
            os.close(descriptor)

    def make_directory(self, item: Item) -> None:
        self._target(item.name)

    def _rename(self, source: int, base: str, target: int, final: str, name: str) -> None:
        try:
            os.rename(base, final, src_dir_fd=source, dst_dir_fd=target)
        except OSError as error:
            if error.errno in (errno.EISDIR, errno.ENOTEMPTY, errno.EEXIST):
                raise TransferFailed(
                    f"{visible(name)} is a local directory, and a file on the host", "move the directory away"
                ) from error
            if error.errno != errno.EXDEV:
                raise self._refused(name, error) from error
            try:
                _copy(source, base, target, final)  # a subdirectory on another disk
            except OSError as reason:
                raise self._refused(name, reason) from reason

    def _refused(self, name: str, error: OSError) -> TransferFailed:
        hint = "free some space" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "see who may write to it"
        return TransferFailed(f"{visible(os.path.join(self.root, name))}: {error.strerror}", hint)

    def _target(self, directory: str) -> int:
        """A descriptor of a directory beneath the root, made if need be. The last one stays open for the next file."""
        if self._parent is not None and self._parent[0] == directory:
            return self._parent[1]
        try:
            descriptor = _walk(self._root, directory, make=True)
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.ENOTDIR):
                raise TransferFailed(
                    f"{visible(directory)} is, or lies behind, a local link or file, which downloads never follow",
                    "move it away, or name where the files go: REMOTE|LOCAL",
                ) from error
            raise self._refused(directory, error) from error
        if self._parent is not None:
            os.close(self._parent[1])
        self._parent = directory, descriptor
        return descriptor

    def close(self) -> None:
        """Removes the directory; with `keep`, what the next transfer can go on with stays."""
        try:
            _clear(self._directory, keep_files=self.keep)
            os.rmdir(self.directory)
        except (OSError, RecursionError):
            pass  # kept, or such as no rmdir can remove
        for descriptor in (self._directory, self._root, *(() if self._parent is None else (self._parent[1],))):
            os.close(descriptor)


def _locked(path: str) -> int | None:
    """Makes a directory, or takes one of our own that nobody uses; None where somebody does. The lock ends with us."""
    while True:
        try:
            os.mkdir(path, 0o700)
        except FileExistsError:
            pass
        try:
            descriptor = os.open(path, _OPEN_DIRECTORY)
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
            pass  # a file system without locks (some Lustre, some NFS): another user of it cannot be detected
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
    """A descriptor of the directory `path` beneath the open directory `start`, through no link."""
    descriptor = os.dup(start)
    for step in path.split("/"):
        if not step:
            continue
        if step in (".", ".."):
            os.close(descriptor)
            raise TransferFailed(f"{visible(path)} leads out of its directory")
        try:
            try:
                below = os.open(step, _OPEN_DIRECTORY, dir_fd=descriptor)
            except FileNotFoundError:
                if not make:
                    raise
                os.mkdir(step, dir_fd=descriptor)
                below = os.open(step, _OPEN_DIRECTORY, dir_fd=descriptor)
        finally:
            os.close(descriptor)
        descriptor = below
    return descriptor


def _apply_metadata(descriptor: int, item: Item) -> None:
    os.fchmod(descriptor, item.mode & 0o777)
    os.utime(descriptor, ns=(item.mtime_ns, item.mtime_ns))


def _open_file(directory: int, name: str) -> int:
    # O_NONBLOCK: opening a FIFO would wait for somebody to write to it.
    try:
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory)
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

    part = f"{PARTIAL_PREFIX}-{os.getpid():x}"
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


def _clear(directory: int, *, keep_files: bool = False) -> None:
    """Empties an open directory; with `keep_files`, of all that is neither a plain file nor on the way to one."""
    with os.scandir(directory) as listing:
        found = list(listing)
    for entry in found:
        if entry.is_dir(follow_symlinks=False):
            os.chmod(entry.name, 0o700, dir_fd=directory)  # rsync gave it the mode that the host sent
            below = os.open(entry.name, _OPEN_DIRECTORY, dir_fd=directory)
            try:
                _clear(below, keep_files=keep_files)
            finally:
                os.close(below)
            try:
                os.rmdir(entry.name, dir_fd=directory)
            except OSError:
                if not keep_files:
                    raise
        elif not keep_files or not entry.is_file(follow_symlinks=False):
            os.unlink(entry.name, dir_fd=directory)
