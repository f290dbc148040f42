"""Wheels for a host without internet: collected on this machine, for the host's Python and platform."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from sshrun.errors import HostUnfit, UsageError
from sshrun.process import run
from sshrun.terminal import visible
from sshrun.transfer.items import Item
from sshrun.transfer.local_tree import local_item

# PEP 600 names platforms by the oldest C library they need; before it three names existed, with these versions.
_OLD_NAMES = {(2, 17): "manylinux2014", (2, 12): "manylinux2010", (2, 5): "manylinux1"}
_OLDEST_GLIBC = 5
_OLDEST_MACOS = 9  # 10.9, the oldest that wheels for x86_64 name


class HostPython(NamedTuple):
    """A Python as the host describes it: "cpython", "3.11", sysconfig.get_platform(), and the C library's version."""

    implementation: str
    version: str
    platform: str
    glibc: tuple[int, int] | None = None

    @classmethod
    def read(cls, words: str, host: str) -> HostPython:
        """`cpython 3.11 linux-x86_64 glibc 2.36`. Raises HostUnfit without Python on the host."""
        fields = words.split()
        if len(fields) < 3:
            raise HostUnfit(
                f"{host} has no Python that wheels could be collected for", "install one on the host, or set ssh.python"
            )
        implementation, version, platform, *library = fields
        glibc = None
        if library[:1] == ["glibc"] and len(library) == 2:
            major, minor = library[1].split(".")[:2]
            glibc = int(major), int(minor)
        return cls(implementation, version, platform, glibc)

    def platforms(self) -> Iterator[str]:
        """The platforms whose wheels run on the host, best first (PEP 600, PEP 656, platform compatibility tags)."""
        kind, _, machine = self.platform.partition("-")
        if kind == "linux" and self.glibc is not None:
            major, newest = self.glibc
            for minor in range(newest, _OLDEST_GLIBC - 1, -1):
                yield f"manylinux_{major}_{minor}_{machine}"
                if (major, minor) in _OLD_NAMES:
                    yield f"{_OLD_NAMES[major, minor]}_{machine}"
        elif kind == "linux":
            for minor in range(2, -1, -1):
                yield f"musllinux_1_{minor}_{machine}"
        elif kind == "macosx":
            release, _, machine = machine.partition("-")
            newest = int(release.split(".")[0])
            for major in range(newest, 10, -1):
                yield from (f"macosx_{major}_0_{name}" for name in (machine, "universal2"))
            for minor in range(16, _OLDEST_MACOS - 1, -1):
                yield from (f"macosx_10_{minor}_{name}" for name in (machine, "universal2"))
            return
        yield self.platform.replace("-", "_").replace(".", "_")


def collect(requirements: Sequence[str], python: HostPython, cache: str) -> list[str]:
    """The wheels that `requirements`, lines for pip, need on the host, in a directory of `cache`.

    Those of an earlier run are not downloaded again. pip judges markers such as `sys_platform` by this
    machine, not by the host.

    Raises UsageError without pip on this machine, or where no wheel fits.
    """
    import hashlib

    key = hashlib.sha256("\0".join((*python[:3], repr(python.glibc), *requirements)).encode()).hexdigest()[:16]
    directory = os.path.join(cache, key)
    os.makedirs(directory, mode=0o700, exist_ok=True)
    listed = os.path.join(directory, "requirements.txt")
    with open(os.open(listed, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.writelines(f"{line}\n" for line in requirements)
    argv = [*_pip(), "download", "--quiet", "--disable-pip-version-check", "--no-input", "--dest", directory]
    argv += [
        "--only-binary",
        ":all:",
        "--implementation",
        _tag(python.implementation),
        "--python-version",
        python.version,
    ]
    for platform in python.platforms():
        argv += ["--platform", platform]
    finished = run([*argv, "--find-links", directory, "--requirement", listed])
    os.unlink(listed)
    if finished.status:
        raise UsageError(
            f"ssh.wheels: {_reason(finished.stderr)}", f"the host has Python {python.version} on {python.platform}"
        )
    return sorted(os.path.join(directory, name) for name in os.listdir(directory) if name.endswith(".whl"))


def items(wheels: Sequence[str], directory: str) -> tuple[Item, ...]:
    """What is uploaded into `directory` on the host; the transfer leaves out what is on the host already."""
    return tuple(local_item(wheel, os.path.basename(wheel))._replace(root=directory) for wheel in wheels)


def _tag(implementation: str) -> str:
    return {"cpython": "cp", "pypy": "pp"}.get(implementation, "py")


def _pip() -> list[str]:
    """Our own Python's pip, or any: it need not be of the host's version. Raises UsageError where there is none."""
    from importlib.util import find_spec
    from shutil import which

    if find_spec("pip"):
        return [sys.executable, "-m", "pip"]
    for program in ("pip3", "pip"):
        if which(program):
            return [program]
    if which("uvx"):
        return ["uvx", "pip"]
    raise UsageError(
        "ssh.wheels needs pip on this machine, to collect wheels for the host", "install pip or uv on this machine"
    )


def _reason(errors: bytes) -> str:
    """pip's own reason: its last line with ERROR is a summary, the one before names what is missing."""
    lines = [line.removeprefix("ERROR: ") for line in errors.decode("utf-8", "replace").splitlines() if "ERROR" in line]
    return visible(lines[-1]) if lines else f"pip failed: {visible(errors.decode('utf-8', 'replace')[-200:].strip())}"
