"""A host without internet: what a job needs is collected here and sent there."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from sshrun.sandbox import Sandbox
from support.installed import Sshrun

SPEC = """
import tiny
print("tiny says", tiny.WORD)

class Model: pass

uses_tiny = Model()
uses_tiny.ssh_requirements = ["tiny"]
uses_tiny.ssh_wheels = True
uses_tiny.ssh_environment = ["PIP_FIND_LINKS=", "UV_FIND_LINKS=", "PIP_NO_INDEX=1", "UV_NO_INDEX=1"]
"""


def make_wheel(folder: Path, version: str, word: str) -> None:
    """The smallest thing that pip installs: binary distribution format, PEP 427."""
    folder.mkdir(exist_ok=True)
    info = f"tiny-{version}.dist-info"
    with zipfile.ZipFile(folder / f"tiny-{version}-py3-none-any.whl", "w") as wheel:
        wheel.writestr("tiny.py", f"WORD = {word!r}\n")
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: tiny\nVersion: {version}\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", f"tiny.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n")


def test_what_the_host_cannot_fetch_is_sent(
    sshrun: Sshrun, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_wheel(tmp_path / "index", "1.0", "hello")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "index"))
    (tmp_path / "uses_tiny.py").write_text(SPEC)
    done = sshrun("train", "uses_tiny", seconds=120)
    assert (done.status, done.stdout) == (0, b"tiny says hello\n"), done.stderr
    assert [wheel.name for wheel in sandbox.home.glob(".sshrun/wheels/*")] == ["tiny-1.0-py3-none-any.whl"]
    assert "collecting wheels" in done.stderr

    again = sshrun("train", "uses_tiny", seconds=120)
    assert (again.status, again.stdout) == (0, b"tiny says hello\n"), again.stderr
    assert "collecting wheels" not in again.stderr, "the environment is as it should be: nothing is to be collected"


def test_wheels_are_for_the_python_that_the_job_will_find(
    sshrun: Sshrun, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The login shell of a job has another PATH than the session that asks."""
    make_wheel(tmp_path / "index", "1.0", "hello")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "index"))
    (sandbox.home / "bin").mkdir()
    (sandbox.home / "bin" / "python3").write_text("#!/bin/sh\necho cpython 3.99 linux-x86_64 glibc 2.36\n")
    (sandbox.home / "bin" / "python3").chmod(0o755)
    (sandbox.home / ".bash_profile").write_text("PATH=$HOME/bin:$PATH; echo noise; sleep 60 &\n")
    (tmp_path / "uses_tiny.py").write_text(SPEC)
    assert "collecting wheels for Python 3.99" in sshrun("train", "uses_tiny").stderr
