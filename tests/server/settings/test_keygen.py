"""A key that `sshrun ssh-keygen` made is one that a server lets in."""

from __future__ import annotations

import pytest

from support.desk import Desk


@pytest.mark.parametrize("options", [[], ["-t", "rsa", "-b", "2048"]])
def test_a_new_key_logs_in_once_the_host_knows_it(desk: Desk, options: list[str]) -> None:
    key = desk.home / ".ssh/id_gpu1"
    public = desk("ssh-keygen", "gpu1", *options).stdout
    desk.log_in_as("joe")
    login = ["-h", f"{desk.words['joe']}@127.0.0.1:{desk.world.near.port}", "-i", key]
    refused = desk(*login, "--", "true", status=255)
    assert "Permission denied" in refused.stderr
    # What ssh-copy-id would do.
    authorized = desk.world.near.authorized
    before = authorized.read_bytes()
    authorized.write_bytes(before + public)
    try:
        desk(*login, "--", "true")
    finally:
        authorized.write_bytes(before)
    assert f"Accepted publickey for {desk.words['joe']}" in desk.world.near.news()
