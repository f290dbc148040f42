"""Whether what arrived is what the host has: rsync sees to that itself, for tar and scp the host says SHA-256."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence

from sshrun.errors import TransferFailed
from sshrun.paths import Item
from sshrun.scripts import Refusal, Session
from sshrun.terminal import visible
from sshrun.transfer.engine import PATIENCE, Arrived, Changed
from sshrun.transfer.listing import same_content, standing

_HEX = 64


class Verification:
    """Compares digests, of files of one folder there. `said` is the first complaint of the program that read them."""

    def __init__(self, session: Session, base: str) -> None:
        self.session = session
        self.base = base
        self.said = ""
        self._doubtful: list[tuple[Item, str | None]] = []

    def read(self, items: Sequence[Item], staged: Mapping[str, tuple[str, str]]) -> Iterator[Arrived]:
        """Takes the answer to a request "digest" for `items`; `staged` says where they stand here, and our digests."""
        try:
            self.session.reply(timeout=PATIENCE)
        except Refusal as refusal:
            raise TransferFailed(
                f"{self.session.host} has no program for SHA-256, so that nothing can be verified",
                "install coreutils there",
            ) from refusal
        limit = sum(_HEX + 8 + 2 * len(os.fsencode(item.path)) for item in items)
        data = b""
        for chunk in self.session.raw(timeout=PATIENCE):
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
        """Settles what did not agree: a file that somebody writes to may differ, one that is gone may be missing."""
        if not self._doubtful:
            return
        there = standing(self.session, self.base, [item.path for item, _ in self._doubtful])
        for item, name in self._doubtful:
            entry = there.get(item.path)
            if entry is None:
                continue
            if name is None:
                raise TransferFailed(
                    f"{self.session.host} does not send {visible(item.path)}"
                    + (f": {visible(self.said)}" if self.said else ""),
                    "see whether it can be read there",
                )
            if same_content(item, entry):
                raise TransferFailed(
                    f"{visible(item.path)} did not arrive as it is on {self.session.host}", "try again"
                )
            yield Changed(item)
            yield Arrived(item, name)


def _read(data: bytes, paths: Sequence[str]) -> dict[str, str]:
    """What sha256sum printed for these files; it is silent about those it cannot read.

    coreutils escape a name that holds a newline or a backslash and say so with a backslash in front, busybox does not.
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
