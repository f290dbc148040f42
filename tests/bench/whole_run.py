"""A whole run of a trivial spec: connect, upload, job, log, archive, release, beside the same by hand."""

from __future__ import annotations

import contextlib
import itertools
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from measure import SSHRUN, Row, by_turns, call

from sshrun import sandbox
from support.relay import Direction, Relay

SPEC = 'print("trained", flush=True)\nopen("tiny.zip", "wb").write(b"model" * 200)\n'
TURNS = 15
ROUND_TRIP = 0.1  # seconds
LARGE = 8 << 10  # bytes of a packet; only those with the program are larger
PHASES = (
    "python, settings, spec, ssh's own start",
    "login, and a channel",
    "the host: claim, files, job, log, archive",
    "the way out",
)
WAITS = 3  # on the network after authentication: see ARCHITECTURE.md


def rows() -> Iterator[Row]:
    with sandbox.start() as server, tempfile.TemporaryDirectory() as folder:
        run = Run(server, Path(folder))
        yield Row("whole run on loopback / by hand", *by_turns(run.ours, run.by_hand, TURNS), 1.0)
        with run.open_master():
            yield Row("the same on an open master", *by_turns(run.ours, run.by_hand_on_master, TURNS), 1.2)
        ours, by_hand = run.resume()
        yield Row("--resume --no-wait of a running job / ssh cat pidfile", ours, by_hand, 1.3)
        shared = by_turns(run.cat_shared, run.cat, TURNS)[0]
        yield Row("  of which the cat, over a connection to be shared", shared, by_hand)
        with Relay(server.port) as network:
            run.through(network.port)
            yield from run.profile(network)
            run.through(server.port)
        with Relay(server.port, delay=ROUND_TRIP, handshake=True) as network:
            run.through(network.port)
            ours, by_hand = by_turns(run.ours, run.by_hand, 5)
            yield Row("whole run at 100 ms / by hand", ours, by_hand, 0.45)
            floor = by_turns(run.log_in, run.log_out, 5)[0] + WAITS * ROUND_TRIP
            yield Row("  of which a login and three waits, and nothing done", floor, by_hand)
            with run.open_master():
                yield Row("the same on an open master", *by_turns(run.ours, run.by_hand_on_master, 5), 0.5)
                network.packets.clear()
                run.ours()
                waits = _waits(network)
            yield Row("waits on the network after authentication", waits, None, 4, unit="")


class Run:
    """One spec, one server, one ssh config: ours beside the commands of a person."""

    def __init__(self, server: sandbox.Sandbox, folder: Path) -> None:
        self.server = server
        self.folder = folder
        self.config = folder / "ssh_config"
        self.config.write_text(server.config.read_text())
        self.socket = folder / "master"
        self.spec = folder / "tiny.py"
        self.spec.write_text(SPEC + "class Model: pass\ntiny = Model()\ntiny.ssh_create_venv = False\n")
        settings = Path(os.environ["HOME"], ".sshrun")
        settings.mkdir(mode=0o700, exist_ok=True)
        (settings / "user_settings.yaml").write_text(f"ssh:\n  config_path: {self.config}\n  project: false\n")

    def through(self, port: int) -> None:
        """Everything goes through a relay from now on."""
        self.config.write_text(
            self.server.config.read_text().replace(
                f"Port {self.server.port}\n", f"Port {port}\n    HostKeyAlias [127.0.0.1]:{self.server.port}\n"
            )
        )

    def ours(self) -> None:
        call([SSHRUN, "-q", "-h", f"{self.server.host}/ours", "train", "tiny"], self.folder)

    def profile(self, network: Relay) -> Iterator[Row]:
        """Where the time of a run goes, as the packets tell it: the program is the only large one."""
        figures: list[tuple[float, ...]] = []
        for _ in range(TURNS):
            began = time.monotonic()
            self.ours()
            ended = time.monotonic()
            # The run before may still have been saying goodbye, over a connection of its own.
            latest = max(packet.connection for packet in network.packets)
            packets = [packet for packet in network.packets if packet.connection == latest and packet.time < ended]
            sent = next(packet.time for packet in packets if packet.size > LARGE)
            answered = packets[-1].time
            figures.append((packets[0].time - began, sent - packets[0].time, answered - sent, ended - answered))
        for name, seconds in zip(PHASES, zip(*figures, strict=True), strict=True):
            yield Row(f"  of a whole run: {name}", statistics.median(seconds) * 1000, unit="ms")

    def by_hand(self) -> None:
        self.log_in()
        self.by_hand_on_master()
        self.log_out()

    def log_in(self) -> None:
        self._ssh("-fNM")

    def log_out(self) -> None:
        self._ssh("-O", "exit")

    def cat(self) -> None:
        call(["ssh", "-F", str(self.config), self.server.host, "cat pidfile"])

    def cat_shared(self) -> float:
        began = time.perf_counter()
        self.log_in()
        call(["ssh", "-F", str(self.config), "-S", str(self.socket), self.server.host, "cat pidfile"])
        took = time.perf_counter() - began
        self.log_out()
        return took

    def by_hand_on_master(self) -> None:
        shell = f"ssh -F {self.config} -S {self.socket}"
        host = self.server.host
        call(["rsync", "-a", "-e", shell, "tiny.py", f"{host}:by-hand/"], self.folder)
        call([*shell.split(), host, "cd by-hand && python3 tiny.py train"])
        call(["rsync", "-a", "-e", shell, f"{host}:by-hand/tiny.zip", "."], self.folder)

    @contextlib.contextmanager
    def open_master(self) -> Iterator[None]:
        """A master that the user has open, found by the ControlPath of the ssh config."""
        plain = self.config.read_text()
        self.config.write_text(f"{plain}\nHost *\n    ControlPath {self.socket}\n")
        self.log_in()
        try:
            yield
        finally:
            self.log_out()
            self.config.write_text(plain)

    def resume(self) -> tuple[float, float]:
        host = self.server.host
        call([SSHRUN, "-q", "-h", host, "--no-wait", "--", "sleep", "600"])
        (self.server.home / "pidfile").write_text("1\n")
        try:
            return by_turns(
                lambda: call([SSHRUN, "-q", "-h", host, "--resume", "--no-wait"], expected=75),
                self.cat,
                TURNS,
            )
        finally:
            call([SSHRUN, "-q", "-h", host, "stop"])
            call([SSHRUN, "-q", "-h", host, "retrieve"], expected=143)

    def _ssh(self, *options: str) -> None:
        argv = ["ssh", "-F", str(self.config), "-S", str(self.socket), *options, self.server.host]
        subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)


def _waits(network: Relay) -> int:
    """How often the client fell silent until the host had answered: changes from its packets to the host's."""
    directions = [packet.direction for packet in network.packets]
    return sum(
        one is Direction.TO_TARGET and other is Direction.TO_CLIENT for one, other in itertools.pairwise(directions)
    )
