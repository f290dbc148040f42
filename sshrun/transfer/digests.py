"""Checks that what arrived is what the host has, by SHA-256, for tar and scp; rsync does so itself."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence

from sshrun.errors import TransferFailed
from sshrun.session.protocol import Refusal
from sshrun.session.session import Session
from sshrun.terminal import visible
from sshrun.transfer.comparison import entries_at, same_content
from sshrun.transfer.engine import REPLY_TIMEOUT, Arrived, Changed
from sshrun.transfer.items import Item

_HEX = 64


class Verification:
    """Compares digests of files in a remote directory. `error` is the first message of the program that read them."""

    def __init__(self, session: Session, base: str) -> None:
        self.session = session
        self.base = base
        self.error = ""
        self._doubtful: list[tuple[Item, str | None]] = []

    def read(self, items: Sequence[Item], staged: Mapping[str, tuple[str, str]]) -> Iterator[Arrived]:
        """Takes the answer to a request "digest" for `items`; `staged` holds the local name and digest of each."""
        try:
            self.session.reply(timeout=REPLY_TIMEOUT)
        except Refusal as refusal:
            raise TransferFailed(
                f"{self.session.host} has no program for SHA-256, so that nothing can be verified",
                "install coreutils on the host",
            ) from refusal
        limit = sum(_HEX + 8 + 2 * len(os.fsencode(item.path)) for item in items)
        data = b""
        for chunk in self.session.raw(timeout=REPLY_TIMEOUT):
            data += chunk
            if len(data) > limit:
                raise TransferFailed(f"{self.session.host} sends more digests than it was asked for")
        self.session.reply()
        digests = _read(data, [item.path for item in items])
        for item in items:
            name, digest = staged.get(item.path, (None, ""))
            if name is not None and digests.get(item.path) == digest:
                yield Arrived(item, name)
            else:
                self._doubtful.append((item, name))

    def doubts(self) -> Iterator[Arrived | Changed]:
        """Decides about what did not agree: a file that is being written may differ, a deleted one be missing."""
        if not self._doubtful:
            return
        remote = entries_at(self.session, self.base, [item.path for item, _ in self._doubtful])
        for item, name in self._doubtful:
            entry = remote.get(item.path)
            if entry is None:
                continue
            if name is None:
                raise TransferFailed(
                    f"{self.session.host} does not send {visible(item.path)}"
                    + (f": {visible(self.error)}" if self.error else ""),
                    "see whether it can be read on the host",
                )
            if same_content(item, entry):
                raise TransferFailed(
                    f"{visible(item.path)} did not arrive as it is on {self.session.host}", "try again"
                )
            yield Changed(item)
            yield Arrived(item, name)


def _read(data: bytes, paths: Sequence[str]) -> dict[str, str]:
    """What sha256sum printed for these files; none for those it cannot read.

    coreutils escape a name that contains a newline or a backslash, and put a backslash in front; busybox does not.
    """
    digests = {}
    at = 0
    for path in paths:
        name = b"./" + os.fsencode(path)
        escaped = name.replace(b"\\", b"\\\\").replace(b"\n", b"\\n")
        for mark, shown in ((b"", name), (b"\\", escaped), (b"\\", escaped.replace(b"\r", b"\\r"))):
            start = at + len(mark)
            if data.startswith(mark, at) and data.startswith(b"  %b\n" % shown, start + _HEX):
                digests[path] = data[start : start + _HEX].decode("ascii", "replace")
                at = start + _HEX + 2 + len(shown) + 1
                break
    return digests
