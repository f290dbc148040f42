"""A host behind another one: each gets its own port, account and key, whatever is said about the inner host."""

from __future__ import annotations

import os
import pwd
import re
from pathlib import Path

import pytest

from support.desk import Desk, Entry

BASTION = """
Host bastion
  HostName {host}
  Port {far}
  User {jane}
  IdentityFile {silver}
"""
INNER = "Host inner\n  HostName {host}\n  ProxyJump "
CONNECTION = {"port": "{near}", "username": "{joe}", "key_filename": "{gold}"}


def fill(desk: Desk, settings: dict[str, str]) -> dict[str, str]:
    return {key: value.format(**desk.words) for key, value in settings.items()}


@pytest.mark.parametrize(
    ("options", "connection", "jump"),
    [
        pytest.param("-h inner", CONNECTION, "bastion", id="with --host"),
        pytest.param("", {"hostname": "inner", **CONNECTION}, "bastion", id="without --host"),
        pytest.param("-h {joe}@inner:{near} -i {gold}", {}, "bastion", id="by options"),
        pytest.param("-h inner", CONNECTION, "{jane}@{host}:{far}", id="a bastion without a block of its own"),
    ],
)
def test_the_bastion_and_the_inner_host_each_get_their_own(
    desk: Desk, options: str, connection: dict[str, str], jump: str
) -> None:
    # Both have one address here: the name that was asked for tells them apart.
    key = BASTION if jump == "bastion" else "Match originalhost {host}\n  IdentityFile {silver}\n"
    desk.ssh_config(f"{INNER}{jump}\n{key}".format(**desk.words))
    desk.user_file(connection=fill(desk, connection))
    desk(*options.format(**desk.words).split(), "--", "true")
    assert desk.world.entries() == [Entry("near", "joe", "gold"), Entry("far", "jane", "silver")]


NAMED_OR_NOT = pytest.mark.parametrize("options", [("-h", "inner"), ()], ids=["with --host", "without --host"])


@NAMED_OR_NOT
def test_a_bastion_that_nothing_is_said_about_gets_what_ssh_gives_it(
    desk: Desk, options: tuple[str, ...], tmp_path: Path
) -> None:
    # Port 22 of this machine is somebody's: what the bastion would be asked for is written down instead.
    ask = f"Host {{nowhere}}\n  ProxyCommand sh -c 'echo %r %p >{tmp_path}/asked; exit 1'\n"
    desk.ssh_config(f"{INNER}{{nowhere}}\n{ask}".format(**desk.words))
    desk.user_file(connection=fill(desk, {"hostname": "inner", **CONNECTION}))
    desk(*options, "--", "true", status=255)
    assert (tmp_path / "asked").read_text() == f"{pwd.getpwuid(os.getuid()).pw_name} 22\n"
    assert desk.world.entries() == []


@NAMED_OR_NOT
def test_the_inner_hosts_key_is_not_offered_to_the_bastion(desk: Desk, options: tuple[str, ...]) -> None:
    desk.ssh_config(f"{INNER}bastion\n{BASTION.replace('IdentityFile', '# IdentityFile')}".format(**desk.words))
    desk.user_file(connection=fill(desk, {"hostname": "inner", **CONNECTION}))
    told = desk(*options, "--", "true", status=255).stderr
    assert re.search(r"inner: \S+: Permission denied", told), f"not the bastion's own words: {told}"
    assert "Connection from" in desk.world.far.news()
    assert desk.world.entries() == []


def test_files_travel_through_the_bastion_too(desk: Desk) -> None:
    desk.ssh_config((INNER + "bastion\n" + BASTION).format(**desk.words))
    desk.user_file(connection=fill(desk, {"hostname": "inner", **CONNECTION}), create_venv=False)
    desk.write("fit.py", "print(open('large').read(3)); open('result', 'w').write('x' * 1_000_000)\n")
    desk.write("pyproject.toml", '[tool.sshrun]\nupload_files = ["large"]\ndownload_files = ["result"]\n')
    desk.write("large", "abc" + "." * 1_000_000)
    assert desk("run", "fit.py").stdout == b"abc\n"
    assert (desk.folder / "result").stat().st_size == 1_000_000
    assert desk.world.entries() == [Entry("near", "joe", "gold"), Entry("far", "jane", "silver")]
