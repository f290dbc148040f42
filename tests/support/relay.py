"""A network that can be made slow, silent or broken: a TCP relay on 127.0.0.1 in front of a port.

    python tests/support/relay.py LISTEN TARGET [--delay MILLISECONDS] [--rate BYTES_PER_SECOND]

`delay` is the round trip: each direction waits for half of it, and what is sent meanwhile travels in parallel, as on a
long line. `rate` holds for each direction. Every piece that passes is noted with the time at which the client's side
saw it, so that `waits()` can say how often the client had to wait for an answer.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import socket
import struct
import threading
from collections.abc import Coroutine
from dataclasses import dataclass
from enum import Enum
from typing import Any, Self, TypeVar

Result = TypeVar("Result")

PIECE = 1 << 16
PIECES_UNDER_WAY = 256


class Direction(Enum):
    TO_TARGET = ">"
    TO_CLIENT = "<"


@dataclass(frozen=True)
class Packet:
    """One piece of a stream: seconds of the monotonic clock at the client's side, and bytes."""

    time: float
    direction: Direction
    size: int
    connection: int


@dataclass(eq=False)
class Line:
    """One connection through the relay, and the task that serves it."""

    number: int
    task: asyncio.Task[Any]
    client: asyncio.StreamWriter
    target: asyncio.StreamWriter | None = None

    def cut(self) -> None:
        self.reset()
        self.task.cancel()

    def reset(self) -> None:
        for end in (self.client, self.target):
            if end is not None:
                with contextlib.suppress(OSError):
                    # not to linger means to reset: the other side hears of it at once, and loses what is under way
                    end.get_extra_info("socket").setsockopt(
                        socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
                    )
                end.transport.abort()


class Relay:
    """The relay, in a thread of its own. What its methods do has happened when they return."""

    def __init__(
        self, target: int, *, listen: int = 0, delay: float = 0.0, rate: float | None = None, handshake: bool = False
    ) -> None:
        """`delay`: seconds of a round trip. `rate`: bytes a second in each direction. With `handshake`, opening a
        connection takes as long as on a real line too: one and a half round trips until the server knows of it.
        """
        self.target = target
        self.port = listen
        self.delay = delay
        self.rate = rate
        self.handshake = handshake
        self.packets: list[Packet] = []
        self.connections = 0
        self._lines: set[Line] = set()
        self._server: asyncio.Server | None = None
        self._flowing = asyncio.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="relay", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self.restore()
        return self

    def __exit__(self, *_: object) -> None:
        self.refuse()
        self.cut()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def cut(self) -> int:
        """Resets every connection; new ones are served. Returns how many there were."""
        return self._do(self._cut())

    def stall(self) -> None:
        """From now on nothing passes, and nobody is told; new connections are accepted and stay silent."""
        self._do(self._stall())

    def refuse(self) -> None:
        """New connections are refused; those that are there go on."""
        self._do(self._refuse())

    def restore(self) -> None:
        """New connections are served, and everything passes again, what was held back first."""
        self._do(self._restore())

    def carried(self, direction: Direction | None = None) -> int:
        """Bytes that have passed, in one direction or in both."""
        return sum(packet.size for packet in self.packets if direction in (None, packet.direction))

    def forget(self) -> None:
        """Empties the packet log."""
        self.packets.clear()

    def waits(self) -> int:
        """How many round trips one after the other the client has waited for.

        An answer is what comes a round trip or more after something was sent; whatever else was sent in the meantime
        has travelled along with it. With delay 0 every turn from sending to hearing counts.
        """
        count = 0
        sent: float | None = None
        for packet in sorted(self.packets, key=lambda packet: packet.time):
            if packet.direction is Direction.TO_TARGET:
                sent = packet.time if sent is None else sent
            elif sent is not None and packet.time >= sent + self.delay:
                count += 1
                sent = None
        return count

    def _do(self, work: Coroutine[Any, Any, Result]) -> Result:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=10)

    async def _cut(self) -> int:
        lines = list(self._lines)
        for line in lines:
            line.cut()
        await asyncio.gather(*(line.task for line in lines), return_exceptions=True)
        return len(lines)

    async def _stall(self) -> None:
        self._flowing.clear()

    async def _refuse(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    async def _restore(self) -> None:
        self._flowing.set()
        if self._server is None:
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, backlog=1000)
            self.port = self._server.sockets[0].getsockname()[1]

    async def _serve(self, from_client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.connections += 1
        line = Line(self.connections, task, to_client)
        self._lines.add(line)
        try:
            if self.handshake:
                await asyncio.sleep(1.5 * self.delay)
            await self._flowing.wait()
            from_target, line.target = await asyncio.open_connection("127.0.0.1", self.target)
            async with asyncio.TaskGroup() as group:
                group.create_task(self._carry(from_client, line.target, Direction.TO_TARGET, line.number))
                group.create_task(self._carry(from_target, to_client, Direction.TO_CLIENT, line.number))
            line.target.close()
            to_client.close()
        except* OSError:
            line.reset()
        except* asyncio.CancelledError:
            pass  # by cut()
        finally:
            self._lines.discard(line)

    async def _carry(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, direction: Direction, connection: int
    ) -> None:
        under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(PIECES_UNDER_WAY)

        def note(data: bytes) -> None:
            if data:
                self.packets.append(Packet(self._loop.time(), direction, len(data), connection))

        async def send() -> None:
            line_is_free = 0.0
            while True:
                data = await reader.read(PIECE if self.rate is None else max(1, min(PIECE, int(self.rate / 50))))
                if direction is Direction.TO_TARGET:
                    note(data)
                line_is_free = max(line_is_free, self._loop.time()) + (len(data) / self.rate if self.rate else 0)
                await under_way.put((line_is_free + self.delay / 2, data))
                if not data:
                    return

        async def deliver() -> None:
            while True:
                due, data = await under_way.get()
                if (left := due - self._loop.time()) > 0:
                    await asyncio.sleep(left)
                await self._flowing.wait()
                if direction is Direction.TO_CLIENT:
                    note(data)
                if not data:
                    writer.write_eof()
                    return
                writer.write(data)
                await writer.drain()

        async with asyncio.TaskGroup() as group:
            group.create_task(send())
            group.create_task(deliver())


def main() -> None:
    parser = argparse.ArgumentParser(description="a TCP relay on 127.0.0.1")
    parser.add_argument("listen", type=int, help="the port to listen on; 0 for a free one")
    parser.add_argument("target", type=int, help="the port to forward to")
    parser.add_argument("--delay", type=float, default=0.0, metavar="MS", help="milliseconds of a round trip")
    parser.add_argument("--rate", type=float, metavar="BYTES", help="bytes a second in each direction")
    parser.add_argument("--handshake", action="store_true", help="a new connection takes round trips too")
    given = parser.parse_args()
    # before the relay's thread exists, which inherits it
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    relay = Relay(
        given.target, listen=given.listen, delay=given.delay / 1000, rate=given.rate, handshake=given.handshake
    )
    with relay:
        print(relay.port, flush=True)
        signal.sigwait({signal.SIGINT, signal.SIGTERM})
    print(f"{relay.connections} connections, {relay.carried()} bytes, {relay.waits()} waits")


if __name__ == "__main__":
    main()
