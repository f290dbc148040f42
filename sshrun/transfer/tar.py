"""Files through the session itself, as tar archives: needs no second session, and costs the least for each file.

We write and read the archives ourselves, in bundles: a connection that is lost costs one bundle, not all of them.
"""

from __future__ import annotations

import errno
import itertools
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import IO, BinaryIO, NamedTuple

from sshrun.errors import TransferFailed
from sshrun.session.protocol import Refusal, decode
from sshrun.session.session import Session
from sshrun.terminal import visible
from sshrun.transfer.comparison import name_list
from sshrun.transfer.digests import Verification
from sshrun.transfer.engine import REPLY_TIMEOUT, Arrived, Changed, Step, bundles, count_files, not_placed, size_limit
from sshrun.transfer.items import Item
from sshrun.transfer.staging import Staging

PIECE = 256 << 10
_STRETCH = 32 << 10
_PAGE = 4 << 10  # the smallest hole that the usual file systems make

_BLOCK = 512
_END = bytes(2 * _BLOCK)
_ZEROS = bytes(_BLOCK)
_LARGEST_OCTAL = 8**11 - 1
_NAME = 100
_NOBODY = b"0000000\0" * 2  # owner and group: not kept
_REST = (bytes(_NAME) + b"ustar  \0").ljust(_BLOCK - 157, b"\0")
_CHECKSUM_OF_THE_REST = sum(_REST) + 8 * ord(" ")  # the checksum itself counts as blanks
_LONGEST_NAME = 64 << 10
_MOST_MAP_BLOCKS = 1 << 16  # of 21 stretches of data each, of one file
_MOST_BLOCKS = 4096  # between two files: padding (10 KiB are usual), and the records ahead of the second


class Tar:
    """The engine. With `compress`, archives travel through gzip(1)."""

    name = "tar"

    def __init__(self, session: Session, *, compress: bool) -> None:
        self.session = session
        self.filter = "gzip" if compress else ""
        self._holes: bool | None = None

    def upload(self, root: str, items: Sequence[Item]) -> Iterator[Step]:
        sent: list[int] = []
        try:
            if any(item.is_sparse for item in items):
                self._leaves_holes_out()  # before anything else is under way, whose reply would be in its place
            for bundle in bundles(items):
                yield from self._put(root, bundle)
                sent.append(count_files(bundle))
            for files in sent:
                self.session.reply(timeout=REPLY_TIMEOUT)
                yield Step(files=files)
        except Refusal as refusal:
            raise not_placed(self.session.host, refusal) from refusal

    def _leaves_holes_out(self) -> bool:
        """Whether the host's tar can make holes. Asked when there is a file with some."""
        if self._holes is None:
            self.session.request("holes")
            self._holes = self.session.reply().values == "yes"
        return self._holes

    def _put(self, root: str, items: Sequence[Item]) -> Iterator[Step]:
        extents = [_extents(item) if item.is_sparse and self._leaves_holes_out() else None for item in items]
        headers = [header(item, found) for item, found in zip(items, extents, strict=True)]
        if self.filter:
            with _compressed(archive(items, headers, extents)) as file:
                self.session.request("put", root, str(file.seek(0, os.SEEK_END)), self.filter)
                file.seek(0)
                while piece := file.read(PIECE):
                    self.session.send(piece)
            yield Step(bytes=sum(_content(item) for item in items))
            return
        contents = [
            _content(item) if found is None else sum(length for _, length in found)
            for item, found in zip(items, extents, strict=True)
        ]
        length = sum(map(len, headers)) + sum(map(_padded, contents)) + len(_END)
        self.session.request("put", root, str(length), self.filter)
        for piece in archive(items, headers, extents):
            self.session.send(piece)
            yield Step(bytes=len(piece))
        yield Step(bytes=sum(_content(item) for item in items) - sum(contents))

    def download(self, base: str, items: Sequence[Item], staging: Staging) -> Iterator[Step | Arrived | Changed]:
        verification = Verification(self.session, base)
        rest = list(bundles(items))
        if rest:
            self._get(base, rest[0])
        for number, bundle in enumerate(rest):
            if number + 1 < len(rest):
                self._get(base, rest[number + 1])  # ahead, so that the host never waits for us
            staged: dict[str, tuple[str, str]] = {}
            self.session.reply(timeout=REPLY_TIMEOUT)
            stream = self.session.raw(timeout=REPLY_TIMEOUT)
            if self.filter:
                stream = _expanded(stream, self.session.host)
            yield from self._unpack(stream, bundle, staging, staged)
            verification.error = verification.error or os.fsdecode(
                decode(self.session.reply(timeout=REPLY_TIMEOUT).values)
            )
            yield from verification.read(bundle, staged)
        yield from verification.doubts()

    def _get(self, base: str, items: Sequence[Item]) -> None:
        names = name_list(item.path for item in items)
        self.session.request("get", base, str(len(names)), self.filter)
        self.session.send(names)
        self.session.request("digest", base, str(len(names)))
        self.session.send(names)

    def _unpack(
        self, stream: Iterable[bytes], items: Sequence[Item], staging: Staging, staged: dict[str, tuple[str, str]]
    ) -> Iterator[Step]:
        """Takes what was requested, each once, and nothing else; `staged` gets the name of each, and its digest."""
        import hashlib

        host = self.session.host
        wanted = {item.path: item for item in items}
        reader = TarReader(stream, host)
        for member in reader.members():
            path = os.fsdecode(member.name).removeprefix("./")
            item = wanted.pop(path, None)
            if item is None:
                raise TransferFailed(f"{host} sends {visible(path)}, which it was not asked for")
            if member.link is not None:
                # The second name of a file with two; tar sends its content only once.
                first = staged.get(os.fsdecode(member.link).removeprefix("./"))
                if first is None:
                    raise TransferFailed(f"{host} sends {visible(path)} as a link to what it did not send")
                staged[path] = _copied(staging, first[0], item), first[1]
                yield Step(bytes=item.size)
                continue
            if member.size > size_limit(item.size):
                raise TransferFailed(f"{host} sends {member.size} bytes as {visible(path)}, listed with {item.size}")
            digest = hashlib.sha256()
            with staging.create(item) as (descriptor, name):
                for piece in reader.content_with_holes(member):
                    digest.update(piece)
                    if item.is_sparse:
                        _write_with_holes(descriptor, piece)
                    else:
                        _write(descriptor, piece)
                    yield Step(bytes=len(piece))
                if item.is_sparse:
                    os.ftruncate(descriptor, member.size)
            staged[path] = name, digest.hexdigest()


Extents = Sequence[tuple[int, int]]  # offset and length of all that is no hole


def _extents(item: Item) -> Extents | None:
    """Where a file has data; None where that cannot be asked."""
    found = []
    try:
        with open(item.source, "rb") as file:
            at = 0
            while at < item.size:
                try:
                    begin = os.lseek(file.fileno(), at, os.SEEK_DATA)
                except OSError as error:
                    if error.errno != errno.ENXIO:
                        return None
                    break  # a hole up to its end
                at = min(os.lseek(file.fileno(), begin, os.SEEK_HOLE), item.size)
                if at > begin:
                    found.append((begin, at - begin))
            if found == [(0, item.size)]:
                # It has holes; a file system that knows nothing of them reports this for every file (lseek(2)).
                return _extents_by_content(file)
    except OSError:
        return None
    return found


def _extents_by_content(file: BinaryIO) -> Extents:
    """Where a file is more than zeros, as GNU tar finds it with --hole-detection=raw."""
    found: list[tuple[int, int]] = []
    at = file.seek(0)
    while piece := file.read(PIECE):
        ends = at + len(piece)
        for start in range(at, ends, _PAGE):
            page = piece[start - at : start - at + _PAGE]
            if not page.strip(b"\0"):
                continue
            begin = found.pop()[0] if found and sum(found[-1]) == start else start
            found.append((begin, start + len(page) - begin))
        at = ends
    return found


def header(item: Item, extents: Extents | None = None) -> bytes:
    """The header of a file in an archive; with `extents`, one whose holes are left out.

    Times keep their nanoseconds in a pax record (POSIX.1-2001 pax(1)), which a tar that does not know it passes over;
    long names use GNU's record, which busybox knows and the pax one it does not.
    """
    name = os.fsencode("./" + item.name)
    seconds, nanoseconds = divmod(item.mtime_ns, 10**9)
    if item.is_directory:
        # Ours to write to, or its files could not be put into their places.
        kind, mode, size, name = b"5", item.mode & 0o777 | 0o700, 0, name + b"/"
    else:
        kind, mode, size = b"0", item.mode & 0o777, item.size
    before = b""
    if len(name) > _NAME:
        length = len(name) + 1
        before = _block(b"././@LongLink", 0, length, 0, b"L") + name.ljust(_padded(length), b"\0")
        name = name[:_NAME]
    if nanoseconds:
        sign = b"-" if item.mtime_ns < 0 else b""
        record = b"mtime=%b%d.%09d\n" % (sign, *divmod(abs(item.mtime_ns), 10**9))
        record = b"%d %b" % (len(record) + 3, record)
        before += _block(b"././@PaxHeader", 0, len(record), 0, b"x") + record.ljust(_BLOCK, b"\0")
    if extents is not None:
        return before + _sparse_block(name, mode, size, seconds, extents)
    return before + _block(name, mode, size, seconds, kind)


# GNU tar, "Old GNU Format": four pairs of offset and length, a sign that more follow, the size with the holes; then
# blocks of 21 pairs, each with such a sign behind them.
_SPARSE_AT, _SPARSE_SIGN, _SPARSE_SIZE = 386, 482, 483
_SPARSE_FIRST, _SPARSE_MORE = 4, 21


def _sparse_block(name: bytes, mode: int, size: int, seconds: int, extents: Extents) -> bytes:
    pairs = [_field(offset) + _field(length) for offset, length in (*extents, (size, 0))]
    more = pairs[_SPARSE_FIRST:]
    block = bytearray(_block(name, mode, sum(length for _, length in extents), seconds, b"S"))
    first = b"".join(pairs[:_SPARSE_FIRST])
    block[_SPARSE_AT : _SPARSE_AT + len(first)] = first
    block[_SPARSE_SIGN] = bool(more)
    block[_SPARSE_SIZE : _SPARSE_SIZE + 12] = _field(size)
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    while more:
        pairs, more = more[:_SPARSE_MORE], more[_SPARSE_MORE:]
        following = b"".join(pairs).ljust(_BLOCK, b"\0")
        block += following[: 24 * _SPARSE_MORE] + bytes((bool(more),)) + following[24 * _SPARSE_MORE + 1 :]
    return bytes(block)


def _block(name: bytes, mode: int, size: int, seconds: int, kind: bytes) -> bytes:
    fields = b"%b%07o\0%b%b%b" % (name, mode, _NOBODY, _field(size), _field(seconds))
    checksum = sum(fields) + kind[0] + _CHECKSUM_OF_THE_REST
    return b"%b%b%06o\0 %b%b" % (fields[: len(name)].ljust(_NAME, b"\0"), fields[len(name) :], checksum, kind, _REST)


def _field(number: int) -> bytes:
    if 0 <= number <= _LARGEST_OCTAL:
        return b"%011o\0" % number
    # From 8 GiB or the year 2242 on, and before 1970, GNU's binary form, which bsdtar and busybox read too.
    return ((1 << 95) + number if number > 0 else (1 << 96) + number).to_bytes(12, "big")


def archive(items: Sequence[Item], headers: Sequence[bytes], extents: Sequence[Extents | None] = ()) -> Iterator[bytes]:
    """The bytes of an archive, in large pieces. Raises TransferFailed for a file that cannot be read to its end."""
    pieces: list[bytes] = []
    waiting = 0
    for item, head, found in itertools.zip_longest(items, headers, extents):
        pieces.append(head)
        waiting += len(head)
        if not item.is_directory:
            size = 0
            for piece in _contents(item, [(0, item.size)] if found is None else found):
                pieces.append(piece)
                waiting += len(piece)
                size += len(piece)
                if waiting >= PIECE:
                    yield b"".join(pieces)
                    pieces, waiting = [], 0
            pieces.append(_ZEROS[: -size % _BLOCK])
    pieces.append(_END)
    yield b"".join(pieces)


def _contents(item: Item, extents: Extents) -> Iterator[bytes]:
    try:
        descriptor = os.open(item.source, os.O_RDONLY | os.O_CLOEXEC)
        try:
            for offset, left in extents:
                if offset:
                    os.lseek(descriptor, offset, os.SEEK_SET)
                while left:
                    piece = os.read(descriptor, min(left, PIECE))
                    if not piece:
                        raise TransferFailed(f"{visible(item.source)} became shorter while it was sent", "try again")
                    left -= len(piece)
                    yield piece
        finally:
            os.close(descriptor)
    except OSError as error:
        raise TransferFailed(f"{visible(item.source)} cannot be read: {error.strerror}") from error


def _compressed(pieces: Iterable[bytes]) -> IO[bytes]:
    import gzip
    import tempfile

    file = tempfile.SpooledTemporaryFile(max_size=16 << 20)  # noqa: SIM115 (the caller's to close)
    with gzip.GzipFile(fileobj=file, mode="wb", compresslevel=1) as packed:
        for piece in pieces:
            packed.write(piece)
    return file


def _expanded(stream: Iterable[bytes], host: str) -> Iterator[bytes]:
    """What gzip made on the host, as plain bytes, never much at once: a little of gzip's can be a lot."""
    import zlib

    expander = zlib.decompressobj(wbits=31)
    try:
        for chunk in stream:
            if expander.eof:
                raise _broken(host)
            while chunk:
                yield expander.decompress(chunk, PIECE)
                chunk = expander.unconsumed_tail
        yield expander.flush()
    except zlib.error as error:
        raise _broken(host) from error


def _content(item: Item) -> int:
    return 0 if item.is_directory else item.size


def _padded(size: int) -> int:
    return -(-size // _BLOCK) * _BLOCK


class Member(NamedTuple):
    """A file in an archive; with `link`, another name of one that came before; with `extents`, of `size` with holes."""

    name: bytes
    size: int
    link: bytes | None
    extents: Extents | None = None


class TarReader:
    """Reads archives that follow one another. Takes files only; raises TransferFailed for anything else."""

    def __init__(self, stream: Iterable[bytes], host: str) -> None:
        self._stream = iter(stream)
        self._chunk = b""
        self._at = 0
        self._left = 0
        self._blocks = 0  # since the last member
        self._host = host

    def members(self) -> Iterator[Member]:
        """Each member; what of its `content` was not taken is passed over."""
        name = link = None
        records: dict[bytes, bytes] = {}
        while block := self._header():
            kind = block[156:157]
            size = _decimal(records[b"size"]) if b"size" in records else _number(block[124:136])
            if size < 0:
                raise _broken(self._host)
            extents = self._extents(block, size) if kind == b"S" else None
            self._left = _padded(size)
            if kind in (b"L", b"K", b"x", b"g"):
                if size > _LONGEST_NAME:
                    raise _broken(self._host)
                data = b"".join(self.content(size))
                if kind == b"L":
                    name = data.rstrip(b"\0")
                elif kind == b"K":
                    link = data.rstrip(b"\0")
                elif kind == b"x":
                    records = _pax(data)
            else:
                own = records.get(b"path") or name or _name(block)
                target = None
                if kind == b"1":
                    target = records.get(b"linkpath") or link or block[157:257].rstrip(b"\0")
                elif kind not in (b"0", b"\0", b"S"):
                    raise TransferFailed(f"{self._host} sends {visible(os.fsdecode(own))}, which is not a file")
                if extents is not None:
                    size = _number(block[_SPARSE_SIZE : _SPARSE_SIZE + 12])
                yield Member(own, size, target, extents)
                name = link = None
                records = {}
                self._blocks = 0
            for _ in self.content(self._left):
                pass

    def content(self, size: int) -> Iterator[bytes]:
        """The next `size` bytes of the present member."""
        while size:
            piece = self._take(size)
            if not piece:
                raise _broken(self._host)
            size -= len(piece)
            self._left -= len(piece)
            yield piece

    def content_with_holes(self, member: Member) -> Iterator[bytes]:
        """All of the present member; a hole is zeros."""
        if member.extents is None:
            yield from self.content(member.size)
            return
        at = 0
        for offset, length in (*member.extents, (member.size, 0)):
            while at < offset:
                yield bytes(min(offset - at, PIECE))
                at += min(offset - at, PIECE)
            yield from self.content(length)
            at += length

    def _extents(self, block: bytes, size: int) -> Extents:
        """Where a member with holes has its `size` bytes of data. Raises TransferFailed where that cannot be."""
        pairs = block[_SPARSE_AT : _SPARSE_AT + 24 * _SPARSE_FIRST]
        follows = block[_SPARSE_SIGN]
        real_size = _number(block[_SPARSE_SIZE : _SPARSE_SIZE + 12])
        extents: list[tuple[int, int]] = []
        at = blocks = 0
        while real_size >= 0:
            for start in range(0, len(pairs), 24):
                offset, length = _number(pairs[start : start + 12]), _number(pairs[start + 12 : start + 24])
                if length == 0:
                    continue  # its end, or an unused pair
                if not at <= offset <= offset + length <= real_size or length < 0:
                    raise _broken(self._host)
                extents.append((offset, length))
                at = offset + length
            if not follows:
                break
            following = self._whole_block()
            blocks += 1
            if not following or blocks > _MOST_MAP_BLOCKS:
                raise _broken(self._host)
            pairs, follows = following[: 24 * _SPARSE_MORE], following[24 * _SPARSE_MORE]
        if real_size < 0 or sum(length for _, length in extents) != size:
            raise _broken(self._host)
        return extents

    def _whole_block(self) -> bytes:
        """Empty at the end of the stream."""
        block = self._take(_BLOCK)
        while 0 < len(block) < _BLOCK:
            more = self._take(_BLOCK - len(block))
            if not more:
                raise _broken(self._host)
            block += more
        return block

    def _header(self) -> bytes:
        """The next block that is no padding; empty at the end of the stream."""
        while True:
            block = self._whole_block()
            if not block:
                return b""
            self._blocks += 1
            if self._blocks > _MOST_BLOCKS:
                raise _broken(self._host)
            if block != _ZEROS:
                if _number(block[148:156]) != sum(block) - sum(block[148:156]) + 8 * ord(" "):
                    raise _broken(self._host)
                return block

    def _take(self, size: int) -> bytes:
        """At most `size` bytes, at least one before the end of the stream."""
        while self._at == len(self._chunk):
            chunk = next(self._stream, None)
            if chunk is None:
                return b""
            self._chunk, self._at = chunk, 0
        piece = self._chunk[self._at : self._at + size]
        self._at += len(piece)
        return piece


def _broken(host: str) -> TransferFailed:
    return TransferFailed(f"{host} sends an archive that cannot be read", "see whether `tar` works on it")


def _number(field: bytes) -> int:
    if field[0] & 0x80:
        return int.from_bytes(bytes((field[0] & 0x7F,)) + field[1:], "big")
    try:
        return int(field.strip(b" \0") or b"0", 8)
    except ValueError:
        return -1


def _name(block: bytes) -> bytes:
    name = block[:100].split(b"\0", 1)[0]
    # POSIX has a prefix for long names; in GNU's own format has times in its place.
    prefix = block[345:500].split(b"\0", 1)[0] if block[257:263] == b"ustar\0" else b""
    return prefix + b"/" + name if prefix else name


def _decimal(digits: bytes) -> int:
    return int(digits) if digits.isdigit() and len(digits) < 20 else -1


def _pax(data: bytes) -> dict[bytes, bytes]:
    records = {}
    while data:
        digits = data.split(b" ", 1)[0]
        length = _decimal(digits)
        if not 0 < length <= len(data):
            break
        record, data = data[:length], data[length:]
        key, _, value = record[len(digits) + 1 : -1].partition(b"=")
        records[key] = value
    return records


def _copied(staging: Staging, name: str, item: Item) -> str:
    source = staging.open(name)
    try:
        with staging.create(item) as (descriptor, copy):
            while piece := os.read(source, PIECE):
                _write(descriptor, piece)
    finally:
        os.close(source)
    return copy


def _write(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def _write_with_holes(descriptor: int, data: bytes) -> None:
    """Writes, and leaves out what is nothing but zeros."""
    for start in range(0, len(data), _STRETCH):
        stretch = data[start : start + _STRETCH]
        if stretch.strip(b"\0"):
            _write(descriptor, stretch)
        else:
            os.lseek(descriptor, len(stretch), os.SEEK_CUR)
