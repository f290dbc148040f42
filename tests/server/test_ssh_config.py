"""What a person's ssh configuration and the names that they type mean for a run, as a real ssh takes them."""

from __future__ import annotations

import json
import os
import pwd
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from sshrun.sandbox import Sandbox
from support.installed import Sshrun
from support.relay import Relay
from support.specs import write_spec

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


# Programs that a config has ssh run


OWN_MASTER = "    ControlPath {folder}/master\n"
VARIABLES = '    SendEnv ONE_* TWO\n    SetEnv THREE="a b"\n'


@pytest.mark.parametrize(
    ("lines", "times"),
    [
        ("", 1),
        # Where the file may say what we have to know first, it is read once more for that.
        (OWN_MASTER, 2),
        ("    ControlPath {folder}/%r@%h-%p\n", 2),
        (VARIABLES, 2),
        (OWN_MASTER + VARIABLES, 2),
    ],
)
def test_a_program_of_a_match_is_run_once_a_reading_and_not_once_a_session(
    sshrun: Sshrun, sandbox: Sandbox, tmp_path: Path, lines: str, times: int
) -> None:
    """A run with a session for the job, and others for rsync in both directions."""
    count = tmp_path / "count"
    config = sandbox.config.read_text() + lines.format(folder=tmp_path)
    sandbox.config.write_text(f'{config}Match exec "echo >>{count}; false"\n    User nobody\n')
    large = tmp_path / "large"
    large.write_bytes(os.urandom(2 << 20))
    write_spec(tmp_path, "cp large copy", upload_files=["large"], download_files=["copy"], transfer="rsync")
    finished = sshrun("train", "my_model")
    assert finished.status == 0, finished.stderr
    assert (tmp_path / "copy").read_bytes() == large.read_bytes()
    assert count.read_text() == "\n" * times
    assert sandbox.logins() == 1


def test_a_lost_connection_has_it_run_once_more(relay: Relay, sshrun: Sshrun, sandbox: Sandbox, tmp_path: Path) -> None:
    count = tmp_path / "count"
    sandbox.config.write_text(f'{sandbox.config.read_text()}Match exec "echo >>{count}; false"\n    User nobody\n')
    running = sshrun.start("--", "sh", "-c", "echo up; until [ -e go ]; do sleep 0.05; done")
    running.wait_until(lambda run: run.stdout == b"up\n")
    relay.cut()
    running.wait_until(lambda run: "connected to sandbox again" in run.stderr)
    (sandbox.home / "go").touch()
    assert running.wait().status == 0
    assert count.read_text() == "\n\n"


@pytest.mark.parametrize("match", ["", "Match exec true\n    User nobody\n"])
@pytest.mark.parametrize("where", ["config", "include"])
def test_variables_that_a_config_sends_reach_the_session(
    start_sandbox: Callable[..., Sandbox],
    plain_sshrun: Sshrun,
    use_config: UseConfig,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    match: str,
    where: str,
) -> None:
    sandbox = start_sandbox("AcceptEnv ONE_* TWO THREE")
    monkeypatch.setenv("ONE_A", "1 $HOME")
    monkeypatch.setenv("TWO", "2")
    monkeypatch.setenv("NOT_SENT", "3")
    lines = VARIABLES
    if where == "include":
        (home / "included").write_text(f"Host {sandbox.host}\n{VARIABLES}")
        lines = f"Include {home}/included\n"
    use_config(f"{sandbox.config.read_text()}{lines}{match}")
    finished = plain_sshrun("-h", sandbox.host, "--", "sh", "-c", "echo $ONE_A, $TWO, $THREE, $NOT_SENT")
    assert finished.stdout == b"1 $HOME, 2, a b,\n", finished.stderr


def test_a_control_path_with_tokens_is_found_where_the_account_is_that_of_the_user_file(
    sshrun: Sshrun, sandbox: Sandbox, home: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Neither account nor port in the config: what ranks below it counts in the tokens too."""
    folder = tmp_path_factory.mktemp("c")
    text = "".join(
        line for line in sandbox.config.read_text().splitlines(True) if line.split()[0] not in ("Port", "User")
    )
    sandbox.config.write_text(f"{text}    ControlPath {folder}/%r-%p\n    HostKeyAlias [127.0.0.1]:{sandbox.port}\n")
    user = pwd.getpwuid(os.getuid()).pw_name
    settings = home / ".sshrun" / "user_settings.yaml"
    settings.write_text(settings.read_text() + f"  connection: {{port: {sandbox.port}, username: {user}}}\n")
    ssh = ["ssh", "-F", sandbox.config, "-p", str(sandbox.port), sandbox.host]
    subprocess.run([*ssh, "-fNM"], check=True, stdin=subprocess.DEVNULL, capture_output=True)
    try:
        assert sshrun("--", "true").status == 0
        assert sandbox.logins() == 1
    finally:
        subprocess.run([*ssh, "-O", "exit"], check=True, capture_output=True)
