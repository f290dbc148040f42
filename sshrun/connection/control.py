"""The files of a connection: the socket that its sessions share, configs, logs; in a directory that is ours alone."""

from __future__ import annotations

import fcntl
import os
import time

from sshrun import dirs
from sshrun.errors import ConnectionFailed

# Seconds after which files that nobody locks count as stale.
STALE_AFTER = 60

# A control socket's path may have 108 bytes (104 on macOS), of which ssh needs 17 for a temporary name beside it.
SOCKET_PATH_LIMIT = 104 - 18

# The files of a connection, each the connection's name with one of these behind it.
ENDINGS = ("", ".log", ".proxy", ".batch", ".session", ".config")


class ControlFiles:
    """The files of one connection. `create` makes those that ssh reads; ssh makes the others."""

    def __init__(self) -> None:
        self._directory = control_directory()
        self._name = new_name(self._directory)
        self.socket, self.log, self.proxy_log, self.batch_config, self.session_config, self.config = (
            self._name + ending for ending in ENDINGS
        )
        self._lock = -1

    def create(self, config: bytes, session_config: bytes) -> None:
        self._lock = _create_locked(self.config, config)
        write(self.session_config, session_config)

    def create_batch_config(self, config: bytes) -> None:
        """A config for a login in which nobody is asked anything."""
        remove(self.batch_config)
        write(self.batch_config, config + b"Host *\n  BatchMode yes\n")

    def read_log(self) -> str:
        """What ssh wrote about the login."""
        return _read(self.log)

    def read_proxy_log(self) -> str:
        """What the programs printed that the login went through."""
        return _read(self.proxy_log)

    def empty_proxy_log(self) -> None:
        try:
            os.truncate(self.proxy_log, 0)
        except OSError:
            pass

    def remove_login(self) -> None:
        """Removes what remains of a login, for the next one."""
        for path in (self.socket, self.log, self.proxy_log):
            remove(path)

    def remove(self) -> None:
        """Removes all but the socket, which is the master's, and the files of clients that were killed."""
        for ending in ENDINGS[1:]:
            remove(self._name + ending)
        os.close(self._lock)
        _sweep(self._directory)


def control_directory() -> str:
    """A directory for control sockets: short, and nobody else's. Raises ConnectionFailed."""
    candidates = dirs.control_sockets()
    for directory in candidates:
        if len(os.fsencode(directory)) > SOCKET_PATH_LIMIT - 16 or "%" in directory or "${" in directory:
            continue  # ssh has tokens and variables in such a path: ssh_config(5), ControlPath
        try:
            os.makedirs(directory, mode=0o700, exist_ok=True)
            status = os.lstat(directory)
        except OSError:
            continue
        if status.st_uid == os.getuid() and status.st_mode & 0o170077 == 0o040000:
            return directory
    where = ", ".join(candidates)
    raise ConnectionFailed(f"no directory for the control socket: none of {where} is short, writable and yours alone")


def new_name(directory: str) -> str:
    return os.path.join(directory, f"{os.getpid():x}-{os.urandom(3).hex()}")


def write(path: str, content: bytes) -> None:
    """Creates a file that did not exist."""
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)


def remove(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass


def is_socket(path: str) -> bool:
    try:
        return os.stat(path).st_mode & 0o170000 == 0o140000
    except OSError:
        return False


def _create_locked(path: str, content: bytes) -> int:
    """Creates a file that stays locked until this process ends, in whatever way; returns its descriptor."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    os.write(descriptor, content)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    except OSError:
        pass  # a file system without locks: no other client can take our file for a stale one either
    return descriptor


def _sweep(directory: str) -> None:
    """Removes what remains of clients that were killed: files that nobody locks, or is about to."""
    for name in os.listdir(directory):
        path = os.path.join(directory, name)
        try:
            if name.endswith(".config") and time.time() - os.stat(path).st_mtime > STALE_AFTER:
                with open(path, "rb") as file:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    for ending in ENDINGS:
                        remove(path.removesuffix(".config") + ending)
        except OSError:
            continue


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""
