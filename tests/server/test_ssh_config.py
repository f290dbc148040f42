"""What a person's ssh configuration and the names that they type mean for a run, as a real ssh takes them."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from installed import Sshrun
from sshrun.sandbox import Sandbox

UseConfig = Callable[[str], None]


@pytest.fixture
def use_config(home: Path) -> UseConfig:
    """Writes the ssh config that the user file names."""

    def use(text: str) -> None:
        config = home / "ssh_config"
        config.write_text(text)
        settings = home / ".sshrun" / "user_settings.yaml"
        settings.parent.mkdir(mode=0o700, exist_ok=True)
        settings.write_text(f"ssh:\n  config_path: {json.dumps(str(config))}\n")

    return use


# Addresses with a zone


@pytest.fixture
def link_local() -> str:
    """A link-local address of this machine, of which several links may have the same."""
    try:
        lines = Path("/proc/net/if_inet6").read_text().splitlines()
    except OSError:
        lines = []
    for line in lines:
        digits, _, _, scope, _, device = line.split()
        if scope == "20":
            return f"{socket.inet_ntop(socket.AF_INET6, bytes.fromhex(digits))}%{device}"
    pytest.skip("this machine has no link-local address")


def test_an_address_with_a_zone_is_logged_in_to_and_brings_files(
    start_sandbox: Callable[..., Sandbox],
    plain_sshrun: Sshrun,
    use_config: UseConfig,
    tmp_path: Path,
    link_local: str,
) -> None:
    with socket.create_server(("::", 0), family=socket.AF_INET6) as server:
        port = server.getsockname()[1]
    sandbox = start_sandbox(f"ListenAddress [{link_local}]:{port}")
    use_config(
        sandbox.config.read_text()
        .replace(f"Host {sandbox.host}\n    HostName 127.0.0.1\n    Port {sandbox.port}\n", "Host *\n")
        .replace("    StrictHostKeyChecking yes\n", f"    HostKeyAlias [127.0.0.1]:{sandbox.port}\n")
    )
    (tmp_path / "large").write_bytes(os.urandom(2 << 20))
    (tmp_path / "fit.py").write_text(
        "class fit: pass\nfit.ssh_upload_files = ['large']\nfit.ssh_download_files = ['copy']\n"
        "fit.ssh_create_venv = False\nimport shutil\nshutil.copy('large', 'copy')\n"
    )
    finished = plain_sshrun("-h", f"[{link_local}]:{port}", "run", "fit.py")
    assert finished.status == 0, finished.stderr
    assert (tmp_path / "copy").read_bytes() == (tmp_path / "large").read_bytes()
    assert sandbox.logins() == 1
