"""The relay does to a network what the tests believe that it does."""

from __future__ import annotations

import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from sshrun.sandbox import Sandbox
from support.relay import Direction, Relay


@contextmanager
def echo_server() -> Iterator[int]:
    """Sends back what it gets; ends each connection when its client does."""

    def serve(connection: socket.socket) -> None:
        with connection:
            try:
                while data := connection.recv(1 << 16):
                    connection.sendall(data)
            except OSError:
                pass

    def accept() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=[connection], daemon=True).start()

    listening = socket.create_server(("127.0.0.1", 0))
    accepting = threading.Thread(target=accept)
    accepting.start()
    yield listening.getsockname()[1]
    listening.shutdown(socket.SHUT_RDWR)
    accepting.join()
    listening.close()


@pytest.fixture
def echo() -> Iterator[int]:
    with echo_server() as port:
        yield port


def connect(relay: Relay, timeout: float = 10) -> socket.socket:
    return socket.create_connection(("127.0.0.1", relay.port), timeout)


def ask(client: socket.socket, data: bytes = b"?") -> bytes:
    client.sendall(data)
    answer = b""
    while len(answer) < len(data) and (more := client.recv(1 << 16)):
        answer += more
    return answer


def test_bytes_arrive_unchanged_in_order_and_are_counted(echo: int) -> None:
    data = bytes(range(256)) * 4096
    with Relay(echo, delay=0.01) as relay, connect(relay) as client:
        sending = threading.Thread(target=client.sendall, args=[data])
        sending.start()
        answer = b""
        while len(answer) < len(data):
            answer += client.recv(1 << 16)
        sending.join()
        assert answer == data
        assert relay.carried(Direction.TO_TARGET) == relay.carried(Direction.TO_CLIENT) == len(data)


def test_the_end_of_a_stream_passes_and_the_other_direction_stays_open(echo: int) -> None:
    with Relay(echo, delay=0.01) as relay, connect(relay) as client:
        client.sendall(b"last words")
        client.shutdown(socket.SHUT_WR)
        assert client.recv(100) == b"last words"
        assert client.recv(100) == b""


def test_a_round_trip_takes_its_time_and_what_is_sent_together_travels_together(echo: int) -> None:
    with Relay(echo, delay=0.2) as relay, connect(relay) as client:
        started = time.monotonic()
        for _ in range(3):
            ask(client)
        assert time.monotonic() - started >= 0.6
        assert relay.waits() == 3
        relay.forget()
        for _ in range(10):
            client.sendall(b"?")
            time.sleep(0.001)
        ask(client, b"")
        received = 0
        while received < 10:
            received += len(client.recv(100))
        assert relay.waits() == 1


def test_the_rate_is_limited(echo: int) -> None:
    with Relay(echo, rate=100_000) as relay, connect(relay) as client:
        started = time.monotonic()
        ask(client, b"x" * 50_000)
        assert time.monotonic() - started >= 0.5


def test_a_cut_resets_what_is_there_and_new_connections_work(echo: int) -> None:
    with Relay(echo) as relay:
        with connect(relay) as client:
            ask(client)
            assert relay.cut() == 1
            with pytest.raises(ConnectionResetError):
                client.recv(1)
        with connect(relay) as client:
            assert ask(client) == b"?"
        assert relay.connections == 2


def test_a_stalled_network_is_silent_and_goes_on_where_it_was(echo: int) -> None:
    with Relay(echo) as relay, connect(relay, timeout=0.3) as client:
        ask(client)
        relay.stall()
        with connect(relay, timeout=0.3) as other:
            for silent in (client, other):
                silent.sendall(b"!")
                with pytest.raises(TimeoutError):
                    silent.recv(1)
            relay.restore()
            for awake in (client, other):
                awake.settimeout(10)
                assert awake.recv(1) == b"!"


def test_refusing_leaves_old_connections_alone_and_the_port_comes_back(echo: int) -> None:
    with Relay(echo) as relay, connect(relay) as client:
        ask(client)
        relay.refuse()
        with pytest.raises(ConnectionRefusedError):
            connect(relay)
        assert ask(client) == b"?"
        relay.restore()
        with connect(relay) as other:
            assert ask(other) == b"?"


def test_a_target_that_is_gone_resets_the_client() -> None:
    with echo_server() as port:
        pass
    # The reset may come as early as in connect().
    with Relay(port) as relay, pytest.raises(ConnectionResetError), connect(relay) as client:
        client.recv(1)


def test_ssh_goes_through_it(sandbox: Sandbox, relay: Relay) -> None:
    command = ["ssh", "-F", str(sandbox.config), "sandbox", "echo through"]
    said = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=True, text=True)
    assert said.stdout == "through\n"
    assert relay.connections == sandbox.logins() == 1
