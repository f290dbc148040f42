"""A small upload travels with the request that starts a job: no question, no wait, no program for it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from sshrun.session.session import Session
from sshrun.transfer.items import Item, links_apart
from sshrun.transfer.tar import archive, header

INLINE_LIMIT = 64 << 10  # bytes, archive overhead included

_LINKS_PER_REQUEST = 50


class Inline(NamedTuple):
    """A small upload: an archive, and the links among what is in it."""

    data: bytes
    links: Sequence[Item] = ()


def inline(items: Sequence[Item]) -> Inline | None:
    """The files as they travel with the request that starts a job, or None where they are too many or go elsewhere.

    Nothing has to be known of the host for it. Raises TransferFailed for a file that cannot be read.
    """
    if (
        any(item.root != "." for item in items)
        or sum(item.size for item in items if not item.is_directory) > INLINE_LIMIT
    ):
        return None
    files, links = links_apart(items)
    data = b"".join(archive(files, [header(item) for item in files])) if files else b""
    return Inline(data, links) if len(data) <= INLINE_LIMIT else None


def request_inline(session: Session, small: Inline) -> None:
    """Sends what `inline` made, behind "place"; the reply is "put". Where the host has no tar it is a Refusal "notar",
    and nothing that was sent behind it is carried out.
    """
    if small.data:
        session.request("put", ".", str(len(small.data)), "")
        session.send(small.data)
    for values in link_requests(small.links):
        session.request("links", ".", *values)


def link_requests(links: Sequence[Item]) -> Iterable[list[str]]:
    """The values of requests that make links, so many at once as a shell takes without trouble."""
    for start in range(0, len(links), _LINKS_PER_REQUEST):
        yield [value for item in links[start : start + _LINKS_PER_REQUEST] for value in (item.name, item.link)]
