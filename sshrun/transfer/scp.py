"""Files by scp(1), where a host has neither rsync nor tar.

They travel under numbers, which no shell and no glob can mistake (`scp -O` gives names to a shell there), to and from a
folder among the state there; the program on the host knows which number is which file.
"""

from __future__ import annotations

import os
import select
import tempfile
from collections.abc import Iterator, Sequence

from sshrun.errors import TransferFailed
from sshrun.paths import Item
from sshrun.process import DEVNULL, PIPE, spawn
from sshrun.scripts import Refusal, Session
from sshrun.transfer.digests import Verification
from sshrun.transfer.engine import (
    PATIENCE,
    Arrived,
    Changed,
    Connection,
    NoSpace,
    SessionRefused,
    Step,
    failure,
    limited,
    not_placed,
)
from sshrun.transfer.listing import name_list
from sshrun.transfer.staging import Staging

_AT_ONCE = 100  # files a call

# Seconds without a sign of life that are borne: one may wait behind the files, of whose progress scp says nothing.
_SILENCE = 60.0


class Scp:
    """The engine. Compression is the connection's to have, and it is open already."""

    name = "scp"

    def __init__(self, session: Session, connection: Connection) -> None:
        self.session = session
        target = connection.target
        self._host = f"[{target}]" if ":" in target else target
        self._argv = [*connection.scp_argv(), "-p"]
        self._legacy = False

    def upload(self, root: str, items: Sequence[Item]) -> Iterator[Step]:
        folders = [item.name for item in items if item.is_folder]
        files = [item for item in items if not item.is_folder]
        try:
            if folders:
                self.session.request("folders", root, *folders)
                self.session.reply(timeout=PATIENCE)
            for start in range(0, len(files), _AT_ONCE):
                group = files[start : start + _AT_ONCE]
                drop = self._drop()
                with tempfile.TemporaryDirectory(prefix="sshrun-") as folder:
                    numbered = [os.path.join(folder, str(number)) for number in range(1, len(group) + 1)]
                    for item, path in zip(group, numbered, strict=True):
                        os.symlink(item.source, path)
                    said = self._scp([*numbered, f"{self._host}:{drop}/"])
                if said:
                    raise TransferFailed(said, "see what stands there")
                self.session.request("take", root, "1", *(item.name for item in group))
                self.session.reply(timeout=PATIENCE)
                yield Step(sum(item.size for item in group), len(group))
        except Refusal as refusal:
            raise not_placed(self.session.host, refusal) from refusal
        except SessionRefused:
            self._undrop()  # and its reply, since another engine goes on with this session
            raise
        except BaseException:
            self.session.request("undrop")
            raise
        self._undrop()

    def download(self, base: str, items: Sequence[Item], staging: Staging) -> Iterator[Step | Arrived | Changed]:
        verification = Verification(self.session, base)
        for start in range(0, len(items), _AT_ONCE):
            group = items[start : start + _AT_ONCE]
            drop = self._drop()
            self.session.request("lend", base, "1", *(item.path for item in group))
            self.session.reply()
            name = f"scp-{start}"
            numbers = range(1, len(group) + 1)
            sources = [f"{self._host}:{drop}/{number}" for number in numbers]
            largest = max(item.size for item in group)
            try:
                said = self._scp([*sources, f"{staging.subfolder(name)}/"], largest)
            except SessionRefused:
                self._undrop()
                raise
            verification.said = verification.said or said
            staged = {}
            for number, item in zip(numbers, group, strict=True):
                try:
                    staging.adopt(f"{name}/{number}", item)
                    staged[item.path] = f"{name}/{number}", _digest(staging.open(f"{name}/{number}"))
                except FileNotFoundError:
                    pass  # the host says why, or that it is gone
            yield Step(bytes=sum(item.size for item in group))
            names = name_list(item.path for item in group)
            self.session.request("digest", base, str(len(names)))
            self.session.send(names)
            yield from verification.read(group, staged)
        self._undrop()
        yield from verification.doubts()

    def _undrop(self) -> None:
        self.session.request("undrop")
        self.session.reply()

    def _drop(self) -> str:
        self.session.request("drop")
        return self.session.reply().values

    def _scp(self, paths: Sequence[str], size: int | None = None) -> str:
        """Copies files, with `size` none that is much larger; what scp complained of, or "".

        Raises SessionRefused, ConnectionFailed, NoSpace.
        """
        status, said = self._run(paths, size)
        if not self._legacy and ("subsystem request failed" in said or "Connection closed" in said):
            # No SFTP there: the way before OpenSSH 9.0, for this call and for all that follow.
            self._legacy = True
            status, said = self._run(paths, size)
        if status == 0:
            return ""
        reason = failure(self.session, "scp", said)
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
    said = b""
    try:
        while True:
            if session.watch(poll, _SILENCE):
                data = os.read(child.stderr, 1 << 16)
                if not data:
                    return child.wait(), said.decode("utf-8", "replace")
                said = (said + data)[: 1 << 16]
    finally:
        child.kill()
        child.close()


def _digest(descriptor: int) -> str:
    import hashlib

    with open(descriptor, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
