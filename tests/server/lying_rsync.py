"""An rsync server of protocol 29 that sends what a JSON file says, whatever it was asked for.

    lying_rsync.py LIES ARGUMENT…       LIES: a list of {"name", "mode", "text" or "endless"}

No real one can be made to lie. Written from what rsync 3.2 does on the wire (flist.c, sender.c, match.c): there is
no specification.
"""

from __future__ import annotations

import json
import os
import struct
import sys

PROTOCOL = 29
SEED = 0
DONE = -1
LONG_NAME = 0x40
BASIS_TYPE_FOLLOWS, NAME_FOLLOWS, TRANSFER = 1 << 11, 1 << 12, 1 << 15


def take(count: int) -> bytes:
    data = b""
    while len(data) < count:
        more = os.read(0, count - len(data))
        if not more:
            sys.exit(0)
        data += more
    return data


def take_int() -> int:
    return struct.unpack("<i", take(4))[0]


def take_list() -> None:
    """Passes over names that each end in a NUL, up to an empty one."""
    before = b"\0"
    while (byte := take(1)) != b"\0" or before != b"\0":
        before = byte


def say(data: bytes) -> None:
    """As the data channel of the multiplexed stream."""
    while data:
        part, data = data[:16_000], data[16_000:]
        os.write(1, struct.pack("<I", 7 << 24 | len(part)) + part)


def integer(*values: int) -> bytes:
    return struct.pack(f"<{len(values)}i", *values)


def main(lies: str) -> None:
    with open(lies) as file:
        entries = json.load(file)
    take_list()  # the arguments (--protect-args)
    take_int()  # the client's version
    os.write(1, integer(PROTOCOL, SEED))
    while length := take_int():
        take(length)  # a filter: it asks to be spared its partial files
    take_list()  # the names that it asks for
    for entry in entries:
        name = os.fsencode(entry["name"])
        size = len(entry.get("text", "x"))
        say(bytes((LONG_NAME,)) + integer(len(name)) + name + integer(size, 1_600_000_000, entry["mode"]))
    say(b"\0" + integer(0))
    if not entries:
        return
    # The client sorts its list; a test with several files knows in which order.
    entries.sort(key=lambda entry: entry["name"])
    for _ in range(3):
        while (index := take_int()) != DONE:
            send(entries[index], index)
        say(integer(DONE))
    say(integer(0, 0, 0, 0, 0))
    take(4)


def send(entry: dict, index: int) -> None:
    flags = struct.unpack("<H", take(2))[0]
    if flags & BASIS_TYPE_FOLLOWS:
        take(1)
    if flags & NAME_FOLLOWS:
        sys.exit("no names are expected here")
    if not flags & TRANSFER:
        say(integer(index) + struct.pack("<H", flags))
        return
    head = take(16)
    count, _, length, _ = struct.unpack("<4i", head)
    take(count * (4 + length))
    say(integer(index) + struct.pack("<H", TRANSFER) + integer(0, 0, 0, 0))
    while entry.get("endless"):
        say(integer(32_000) + bytes(32_000))
    data = entry["text"].encode()
    say(integer(len(data)) + data + integer(0) + md4(integer(SEED) + data))


def md4(data: bytes) -> bytes:
    """RFC 1320; OpenSSL 3 has it no more."""
    mask = 0xFFFFFFFF

    def rotate(value: int, by: int) -> int:
        return (value << by | (value & mask) >> (32 - by)) & mask

    bits = 8 * len(data)
    data += b"\x80" + bytes((55 - len(data)) % 64) + struct.pack("<Q", bits)
    state = [0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476]
    rounds = (
        (lambda b, c, d: b & c | ~b & d, 0, range(16), (3, 7, 11, 19)),
        (
            lambda b, c, d: b & c | b & d | c & d,
            0x5A827999,
            [i + j for i in range(4) for j in (0, 4, 8, 12)],
            (3, 5, 9, 13),
        ),
        (lambda b, c, d: b ^ c ^ d, 0x6ED9EBA1, [i + j for i in (0, 2, 1, 3) for j in (0, 8, 4, 12)], (3, 9, 11, 15)),
    )
    for at in range(0, len(data), 64):
        words = struct.unpack("<16I", data[at : at + 64])
        a, b, c, d = state
        for mix, constant, order, shifts in rounds:
            for step, word in enumerate(order):
                value = (a + mix(b, c, d) + words[word] + constant) & mask
                a, b, c, d = d, rotate(value, shifts[step % 4]), b, c
        state = [(old + new) & mask for old, new in zip(state, (a, b, c, d), strict=True)]
    return struct.pack("<4I", *state)


if __name__ == "__main__":
    main(sys.argv[1])
