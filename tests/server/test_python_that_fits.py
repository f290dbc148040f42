"""Where the host's Python is not one that the script allows, the error names one of the host that is."""

from __future__ import annotations

from pathlib import Path

import pytest

from sshrun.sandbox import Sandbox
from support.installed import Sshrun


@pytest.mark.parametrize(
    ("programs", "hint"),
    [
        (["python3.10", "python3.13"], "set python: 3.13, which sandbox has"),
        (["uv"], "set python: 3.12, which uv on sandbox fetches"),
        ([], "sandbox has no other that fits: install one, or uv"),
    ],
)
def test_another_python_of_the_host_is_named(
    sshrun: Sshrun, sandbox: Sandbox, tmp_path: Path, programs: list[str], hint: str
) -> None:
    tools = sandbox.home / "bin"
    tools.mkdir()
    for name in programs:
        (tools / name).write_text("#!/bin/sh\n")
        (tools / name).chmod(0o755)
    (tools / "python3").write_text("#!/bin/sh\necho 3.11.2\n")
    (tools / "python3").chmod(0o755)
    (sandbox.home / ".bash_profile").write_text("PATH=$HOME/bin; echo noise\n")
    (tmp_path / "fit.py").write_text('# /// script\n# requires-python = ">=3.12"\n# ///\nprint(1)\n')
    finished = sshrun("run", "fit.py")
    assert finished.status == 255 and hint in finished.stderr
    assert "fit.py:2 requires-python: >=3.12 is required, and sandbox would use Python 3.11.2" in finished.stderr
