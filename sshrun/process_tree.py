"""The processes of this machine, as Linux lists them in /proc: which was started by which, and which still run."""

from __future__ import annotations

import os
from collections.abc import Mapping


def is_listed() -> bool:
    """Whether this machine has such a list: proc(5)."""
    return os.path.exists("/proc/self/stat")


def parents() -> dict[int, int]:
    """The parent of each process; empty where there is no list."""
    if not is_listed():
        return {}
    pids = [int(name) for name in os.listdir("/proc") if name.isdecimal()]
    return {pid: int(fields[1]) for pid in pids if (fields := _stat(pid))}


def descendants(ancestor: int, parents: Mapping[int, int]) -> list[int]:
    """The processes that a process has started, those that they have started, and so on."""
    found = [ancestor]
    for pid in found:  # which grows
        found += [child for child, parent in parents.items() if parent == pid]
    return found[1:]


def runs(pid: int) -> bool:
    """Whether a process exists and is no zombie. Zombies may stay for good: PID 1 of a container is any program."""
    if is_listed():
        return _stat(pid)[:1] not in ([], [b"Z"])
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True


def _stat(pid: int) -> list[bytes]:
    """State, parent and so on: proc(5), from the third field on, since the second may contain anything."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b") ")[2].split()
    except OSError:
        return []
