"""A server that allows one session over a connection (MaxSessions 1): everything goes through it, in turn."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from sshrun.sandbox import Sandbox
from support.installed import Sshrun
from support.specs import write_spec


@pytest.fixture
def sandbox(start_sandbox: Callable[..., Sandbox]) -> Sandbox:
    return start_sandbox("MaxSessions 1")


@pytest.mark.parametrize("engine", ["", "rsync", "tar"])
def test_files_of_every_size_pass_with_one_login(sshrun: Sshrun, sandbox: Sandbox, tmp_path: Path, engine: str) -> None:
    data = os.urandom(3 << 20)
    (tmp_path / "large").write_bytes(data)
    wanted = {"transfer": engine} if engine else {}
    write_spec(
        tmp_path, "cp large my_model.zip; cp large copy", upload_files=["large"], download_files=["copy"], **wanted
    )
    ended = sshrun("train", "my_model")
    assert ended.status == 0, ended.stderr
    assert (tmp_path / "my_model.zip").read_bytes() == (tmp_path / "copy").read_bytes() == data
    assert sandbox.logins() == 1
