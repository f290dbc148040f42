"""A machine of ours whose folders hold no sockets, so that no login can be shared: each session logs in by itself."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from sshrun.sandbox import Sandbox
from support.installed import Sshrun
from support.relay import Relay
from support.specs import write_spec

# The real ssh, which finds that there can be no socket: none can be made in /proc.
SSH = """#!/bin/sh
for word do
    shift
    [ "$before" != -S ] || word=/proc/none
    before=$word
    set -- "$@" "$word"
done
exec {ssh} "$@"
"""


@pytest.fixture(autouse=True)
def without_sockets(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    tools = tmp_path_factory.mktemp("tools")
    (tools / "ssh").write_text(SSH.format(ssh=shutil.which("ssh")))
    (tools / "ssh").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")


@pytest.mark.parametrize("engine", ["rsync", "tar", "scp"])
def test_a_whole_run_works_and_says_so_once(sshrun: Sshrun, sandbox: Sandbox, tmp_path: Path, engine: str) -> None:
    data = os.urandom(2 << 20)
    (tmp_path / "large").write_bytes(data)
    write_spec(tmp_path, "cp large my_model.zip; exit 7", upload_files=["large"], transfer=engine)
    ended = sshrun("train", "my_model")
    assert ended.status == 7, ended.stderr
    assert (tmp_path / "my_model.zip").read_bytes() == data
    assert ended.stderr.count("each session logs in by itself") == 1
    assert "cannot bind to path /proc/none" in ended.stderr
    assert sandbox.logins() > 1


def test_a_lost_connection_is_made_again(sshrun: Sshrun, relay: Relay, tmp_path: Path) -> None:
    write_spec(tmp_path, "n=0; while [ $n -lt 40 ]; do n=$((n + 1)); echo line $n; sleep 0.1; done; exit 3")
    running = sshrun.start("train", "my_model")
    running.wait_until(lambda run: b"line 5\n" in run.stdout)
    relay.cut()
    ended = running.wait()
    assert ended.status == 3, ended.stderr
    assert ended.stdout == b"".join(b"line %d\n" % number for number in range(1, 41))
    assert ended.stderr.count("each session logs in by itself") == 1
    assert "trying again by itself" in ended.stderr


def test_a_key_that_nobody_takes_is_one_line(sshrun: Sshrun, sandbox: Sandbox, tmp_path: Path) -> None:
    (sandbox.directory / "authorized_keys").write_text("")
    ended = sshrun("--", "true")
    assert ended.status == 255
    assert "Permission denied" in ended.stderr


def test_doctor_names_it(sshrun: Sshrun) -> None:
    ended = sshrun("doctor", "--json")
    assert ended.status == 0, ended.stderr
    found = {finding["check"]: finding for finding in map(json.loads, ended.stdout.splitlines()) if "check" in finding}
    assert found["sharing"]["verdict"] == "warning", found
    assert "cannot bind" in found["sharing"]["text"]
