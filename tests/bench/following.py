"""The log: how fast it comes, how soon a line is here, how soon the end is noticed."""

from __future__ import annotations

import os
import shlex
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from measure import SSHRUN, Row, by_turns, call, settings

from sshrun import sandbox

SIZE = 1 << 30  # bytes of log
LINES = 40
TAIL = "tail --pid=$! -f log"


def rows() -> Iterator[Row]:
    with sandbox.start() as server, tempfile.TemporaryDirectory() as folder:
        settings(server.config)
        yield from _throughput(server, Path(folder))
        yield from _line(server)
        yield _end(server)


def _throughput(server: sandbox.Sandbox, folder: Path) -> Iterator[Row]:
    """A log that is there already, so that the job's own speed does not count."""
    host = server.host
    printer = f"head -c {SIZE} /dev/zero | tr '\\0' 'x' | fold -w 99"
    call([SSHRUN, "-q", "-h", host, "--no-wait", "--", "sh", "-c", printer])
    log = next((server.home / ".sshrun").glob("hosts/*/jobs/*/log"))
    while not list(log.parent.glob("rc.[0-9]*")):
        time.sleep(0.1)
    size = log.stat().st_size
    copies = Path(os.environ["HOME"], ".sshrun", "jobs", log.parent.name)
    peak = 0

    def ours() -> None:
        nonlocal peak
        (copies / "log").unlink(missing_ok=True)
        (copies / "retrieved").unlink(missing_ok=True)
        peak = max(peak, _peak_memory([SSHRUN, "-q", "-h", host, "--resume"], folder))

    def rival() -> None:
        command = f"ssh -F {server.config} {host} cat {log} | tee {folder}/copy | cat >/dev/null"
        subprocess.run(["sh", "-c", command], check=True)

    mine, theirs = by_turns(ours, rival, 3)
    rates = size / mine / 1e6, size / theirs / 1e6
    yield Row(f"log of {size >> 20} MiB followed / ssh cat | tee", *rates, 0.9, "MB/s", at_least=True)
    yield Row("memory of Python meanwhile", peak / 1e6, None, 60, "MB")


def _peak_memory(argv: list[str], folder: Path) -> int:
    """Bytes; runs a command whose output goes through a pipe, as to a terminal's."""
    reader = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    child = subprocess.Popen(argv, stdout=reader.stdin, stdin=subprocess.DEVNULL, cwd=folder)
    assert reader.stdin is not None
    reader.stdin.close()
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    reader.wait()
    if child.returncode != 0:
        raise RuntimeError(f"{argv} ended with {child.returncode}")
    return usage.ru_maxrss * 1024


def _line(server: sandbox.Sandbox) -> Iterator[Row]:
    """From the job's write to our stdout; the job prints the time at which it writes."""
    code = f"import time\nfor i in range({LINES}):\n print(time.time(), flush=True)\n time.sleep(0.05)"
    (server.home / "clock.py").write_text(code)
    host = server.host
    ours, theirs = by_turns(
        lambda: _lag([SSHRUN, "-q", "-h", host, "--", "python3", "clock.py"]),
        lambda: _lag(["ssh", "-F", str(server.config), host, f": >log; python3 clock.py >log & {TAIL}"]),
        3,
    )
    yield Row("a line's way from the job to stdout / ssh tail -f", ours * 1000, theirs * 1000, 1.2, "ms")
    # What a second process between ssh and the reader costs, though it does nothing.
    piped = shlex.join(["ssh", "-F", str(server.config), host, f": >log; python3 clock.py >log & {TAIL}"]) + " | cat"
    hop = statistics.median(_lag(["sh", "-c", piped]) for _ in range(3))
    yield Row("  of which ssh tail -f | cat", hop * 1000, theirs * 1000, unit="ms")


def _lag(argv: list[str]) -> float:
    lags = []
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL) as child:
        assert child.stdout is not None
        for line in child.stdout:
            lags.append(time.time() - float(line))
    return statistics.median(lags)


def _end(server: sandbox.Sandbox) -> Row:
    """From the end of the job to the exit of sshrun, with nothing to download."""
    figures = []
    for _ in range(10):
        argv = [SSHRUN, "-q", "-h", server.host, "--", "sh", "-c", "sleep 0.3; date +%s.%N"]
        done = subprocess.run(argv, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, check=True)
        figures.append(time.time() - float(done.stdout))
    return Row("end of job to exit of sshrun, on loopback", statistics.median(figures) * 1000, None, 100, "ms")
