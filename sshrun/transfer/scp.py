"""Files by scp(1), where a host has neither rsync nor tar.

They travel under numbers, which no shell and no glob can mistake (`scp -O` gives names to a remote shell), to and
from a directory of the remote state; the program on the host knows which number is which file.
"""

from __future__ import annotations

import os
import select
import tempfile
from collections.abc import Iterator, Sequence

from sshrun.errors import TransferFailed
from sshrun.process import DEVNULL, PIPE, spawn
from sshrun.session.protocol import Refusal
from sshrun.session.session import Session
from sshrun.transfer.comparison import name_list
from sshrun.transfer.digests import Verification
from sshrun.transfer.engine import (
    REPLY_TIMEOUT,
    Arrived,
    Changed,
    NoSpace,
    SessionRefused,
    SharedConnection,
    Step,
    failure,
    limited,
    not_placed,
)
from sshrun.transfer.items import Item
from sshrun.transfer.staging import Staging

_AT_ONCE = 100  # files a call

# Seconds without a heartbeat: one may wait behind the files, and scp does not report how far it is.
_TIMEOUT = 60.0


class Scp:
    """The engine. Compression is the connection's to have, and it is open already."""

    name = "scp"

    def __init__(self, session: Session, connection: SharedConnection) -> None:
        self.session = session
        target = connection.target
        self._host = f"[{target}]" if ":" in target else target
        self._argv = [*connection.scp_argv(), "-p"]
        self._legacy = False

    def upload(self, root: str, items: Sequence[Item]) -> Iterator[Step]:
        directories = [item.name for item in items if item.is_directory]
        files = [item for item in items if not item.is_directory]
        try:
            if directories:
                self.session.request("directories", root, *directories)
                self.session.reply(timeout=REPLY_TIMEOUT)
            for start in range(0, len(files), _AT_ONCE):
                group = files[start : start + _AT_ONCE]
                exchange = self._begin()
                with tempfile.TemporaryDirectory(prefix="sshrun-") as directory:
                    numbered = [os.path.join(directory, str(number)) for number in range(1, len(group) + 1)]
                    for item, path in zip(group, numbered, strict=True):
                        os.symlink(item.source, path)
                    message = self._scp([*numbered, f"{self._host}:{exchange}/"])
                if message:
                    raise TransferFailed(message, "see what is in the way")
                self.session.request("scp_take", root, "1", *(item.name for item in group))
                self.session.reply(timeout=REPLY_TIMEOUT)
                yield Step(sum(item.size for item in group), len(group))
        except Refusal as refusal:
            raise not_placed(self.session.host, refusal) from refusal
        except SessionRefused:
            self._end()  # and its reply, since another engine goes on with this session
            raise
        except BaseException:
            self.session.request("scp_end")
            raise
        self._end()

    def download(self, base: str, items: Sequence[Item], staging: Staging) -> Iterator[Step | Arrived | Changed]:
        verification = Verification(self.session, base)
        for start in range(0, len(items), _AT_ONCE):
            group = items[start : start + _AT_ONCE]
            exchange = self._begin()
            self.session.request("scp_link", base, "1", *(item.path for item in group))
            self.session.reply()
            name = f"scp-{start}"
            numbers = range(1, len(group) + 1)
            sources = [f"{self._host}:{exchange}/{number}" for number in numbers]
            largest = max(item.size for item in group)
            try:
                message = self._scp([*sources, f"{staging.subdirectory(name)}/"], largest)
            except SessionRefused:
                self._end()
                raise
            verification.error = verification.error or message
            staged = {}
            for number, item in zip(numbers, group, strict=True):
                try:
                    staging.adopt(f"{name}/{number}", item)
                    staged[item.path] = f"{name}/{number}", _digest(staging.open(f"{name}/{number}"))
                except FileNotFoundError:
                    pass  # the digests show why, or that it is gone
            yield Step(bytes=sum(item.size for item in group))
            names = name_list(item.path for item in group)
            self.session.request("digest", base, str(len(names)))
            self.session.send(names)
            yield from verification.read(group, staged)
        self._end()
        yield from verification.doubts()

    def _end(self) -> None:
        self.session.request("scp_end")
        self.session.reply()

    def _begin(self) -> str:
        """Has the host make the directory through which files are exchanged; its path."""
        self.session.request("scp_begin")
        return self.session.reply().values

    def _scp(self, paths: Sequence[str], size: int | None = None) -> str:
        """Copies files, with `size` none that is much larger; the error of scp, or "".

        Raises SessionRefused, ConnectionFailed, NoSpace.
        """
        status, message = self._run(paths, size)
        if not self._legacy and ("subsystem request failed" in message or "Connection closed" in message):
            # No SFTP on the host: the way before OpenSSH 9.0, for this call and for all that follow.
            self._legacy = True
            status, message = self._run(paths, size)
        if status == 0:
            return ""
        reason = failure(self.session, "scp", message)
        if isinstance(reason, SessionRefused | NoSpace):
            raise reason
        return str(reason)

    def _run(self, paths: Sequence[str], size: int | None) -> tuple[int, str]:
        argv = [*self._argv, *(["-O"] if self._legacy else []), "--", *paths]
        return _run(self.session, argv if size is None else limited(argv, size))


def _run(session: Session, argv: Sequence[str]) -> tuple[int, str]:
    child = spawn(argv, stdin=DEVNULL, stdout=DEVNULL, stderr=PIPE, session=True)
    assert child.stderr is not None
    poll = select.poll()
    poll.register(child.stderr, select.POLLIN)
    message = b""
    try:
        while True:
            if session.watch(poll, _TIMEOUT):
                data = os.read(child.stderr, 1 << 16)
                if not data:
                    return child.wait(), message.decode("utf-8", "replace")
                message = (message + data)[: 1 << 16]
    finally:
        child.kill()
        child.close()


def _digest(descriptor: int) -> str:
    import hashlib

    with open(descriptor, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
