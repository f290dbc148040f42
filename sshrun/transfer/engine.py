"""What the three ways to move files have in common."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

from sshrun.errors import ConnectionFailed, RemoteError, TransferFailed
from sshrun.session.login_shell import GUARDS
from sshrun.session.protocol import Refusal, decode
from sshrun.session.session import Session
from sshrun.terminal import visible
from sshrun.transfer.items import Item
from sshrun.transfer.staging import Staging

REPLY_TIMEOUT = 600.0  # seconds for an answer: much may be in buffers on the way, and a dead connection shows elsewhere
_GROWTH = 64 << 20

_BUNDLE_BYTES = 32 << 20
_BUNDLE_NAMES = 256 << 10  # characters: so many fit into what ssh buffers, and sending them never waits for the host


class SharedConnection(Protocol):
    """The shared connection, as programs that open a session of their own need it."""

    @property
    def host(self) -> str: ...

    @property
    def target(self) -> str:
        """The HOST argument of ssh."""

    def remote_shell(self) -> list[str]:
        """ssh and its options, without HOST: what rsync calls a remote shell."""

    def scp_argv(self) -> list[str]:
        """scp and its options."""


class Step(NamedTuple):
    """So many more bytes on their way; `files` of an upload are complete on the host."""

    bytes: int = 0
    files: int = 0


class Arrived(NamedTuple):
    """A file of a download is whole, and what the host has: it is in the staging directory as `name`."""

    item: Item
    name: str


class Changed(NamedTuple):
    """A file was written to while it was read; what arrived is what it held on the way."""

    item: Item


class SessionRefused(ConnectionFailed):
    """No second session over this connection: MaxSessions of sshd_config(5), or a login shell that prints into it."""


class NoSpace(TransferFailed):
    """A disk is full, or a file larger than it can be: what has arrived of it is of no use, and in the way."""


class Engine(Protocol):
    name: str

    def upload(self, root: str, items: Sequence[Item]) -> Iterator[Step]:
        """Sends items to `root`, an absolute remote path."""

    def download(self, base: str, items: Sequence[Item], staging: Staging) -> Iterator[Step | Arrived | Changed]:
        """Downloads items, all of one base, into a staging directory. A file that is gone by now does not arrive."""


def bundles(items: Sequence[Item]) -> Iterator[list[Item]]:
    """Items in their order, so many at once as are worth the while."""
    bundle: list[Item] = []
    size = names = 0
    for item in items:
        length = len(os.fsencode(item.path)) + len(os.fsencode(item.name))
        if bundle and (size + item.size > _BUNDLE_BYTES or names + length > _BUNDLE_NAMES):
            yield bundle
            bundle, size, names = [], 0, 0
        bundle.append(item)
        size += item.size
        names += length
    if bundle:
        yield bundle


def count_files(items: Sequence[Item]) -> int:
    return sum(not item.is_directory for item in items)


def not_placed(host: str, refusal: Refusal) -> RemoteError:
    """The host's reason for not taking files, as an error for the user."""
    reason = visible(os.fsdecode(decode(refusal.values)))
    if refusal.word == "put":
        hint = (
            "free some space on the host"
            if "No space" in reason or "quota" in reason
            else "see who owns what is in the way"
        )
        return TransferFailed(f"{host} cannot store the files: {reason}", hint)
    if refusal.word == "directory":
        return TransferFailed(f"{host}: the directory {reason} cannot be made or written", "name another")
    return refusal


def failure(session: Session, program: str, output: str) -> Exception:
    """Why a program with a session of its own failed: by itself, or for lack of one, if ours still gets an answer.

    Raises ConnectionFailed where it gets none: how rsync and scp end is the same in these cases.
    """
    if "open refused by peer" in output or "session request failed" in output:
        return SessionRefused(f"{session.host} allows no second session over one connection")
    if "Received message too long" in output:  # OpenSSH's sftp-client.c: text where a packet should be
        return SessionRefused(
            f"{session.host}: a start file of the login shell prints, which {program} takes for an answer",
            f"on the host, first line of {GUARDS['bash']} (zsh: {GUARDS['zsh']})",
        )
    session.request("ping")
    session.reply()
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    message = f"{session.host}: {program}: {visible(lines[0])}" if lines else f"{session.host}: {program} failed"
    if any(words in output for words in ("No space left", "quota exceeded", "File too large")):
        return NoSpace(message, "free some space")
    if "Permission denied" in output:
        return TransferFailed(message, "see who may read and write on the host")
    if "has vanished" in output:
        return TransferFailed(message, "try again")
    return TransferFailed(message, "transfer: tar does without it")


def limited(argv: Sequence[str], size: int) -> list[str]:
    """A program that may write no file larger than one that is listed with `size` bytes can have become.

    Where that cannot be had, a lower limit is in force already, and the file may well fit.
    """
    blocks = size_limit(size) // 512 + 1
    return ["sh", "-c", 'ulimit -f "$0" 2>/dev/null; exec "$@"', str(blocks), *argv]


def size_limit(size: int) -> int:
    """So large may a file be that was listed with `size` bytes, since a job may still be writing to it."""
    return max(2 * size, size + _GROWTH)
