"""Which setting wins, proven by what the server and the job saw. All that ranks below it names something else."""

from __future__ import annotations

import json
import os
import pwd
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest

from sshrun.sandbox import server_program
from support.desk import Desk, Entry


class Row(NamedTuple):
    """One setting in all the places from the winner down: on the command line, in the ssh config, in `connection`."""

    options: str = ""
    configured: str = ""
    connection: str = ""


# Right are host, near, joe and gold: a server that answers, its port, an account, a key. The others exist as well.
LOGINS = {
    "HostName": {
        "ssh config": Row("--host alias", "HostName {host}", "hostname={nowhere}"),
        "--host": Row("--host {host}", "", "hostname={nowhere}"),
        "connection": Row("", "", "hostname={host}"),
        "ssh config for connection": Row("", "HostName {host}", "hostname=alias"),
    },
    "Port": {
        "--port": Row("--host alias:{far} --port {near}", "Port {far}", "port={far}"),
        "--host": Row("--host alias:{near}", "Port {far}", "port={far}"),
        "ssh config": Row("--host alias", "Port {near}", "port={far}"),
        "connection": Row("--host alias", "", "port={near}"),
        "--port over connection": Row("--port {near}", "Port {far}", "hostname=alias port={far}"),
        "connection over ssh config": Row("", "Port {far}", "hostname=alias port={near}"),
        "ssh config for connection": Row("", "Port {near}", "hostname=alias"),
    },
    "User": {
        "--host": Row("--host {joe}@alias", "User {jane}", "username={jack}"),
        "ssh config": Row("--host alias", "User {joe}", "username={jack}"),
        "connection": Row("--host alias", "", "username={joe}"),
        "connection over ssh config": Row("", "User {jane}", "hostname=alias username={joe}"),
        "ssh config for connection": Row("", "User {joe}", "hostname=alias"),
    },
    "IdentityFile": {
        "-i": Row("--host alias -i {gold}", "IdentityFile {silver}", "key_filename={copper}"),
        "ssh config": Row("--host alias", "IdentityFile {gold}", "key_filename={copper}"),
        "connection": Row("--host alias", "", "key_filename={gold}"),
        "-i over connection": Row("-i {gold}", "IdentityFile {silver}", "hostname=alias key_filename={copper}"),
        "connection over ssh config": Row("", "IdentityFile {silver}", "hostname=alias key_filename={gold}"),
        "ssh config for connection": Row("", "IdentityFile {gold}", "hostname=alias"),
    },
}


@pytest.mark.parametrize(
    ("keyword", "row"),
    [
        pytest.param(keyword, row, id=f"{keyword} by {winner}")
        for keyword, rows in LOGINS.items()
        for winner, row in rows.items()
    ],
)
def test_a_login_goes_where_the_strongest_place_says(desk: Desk, keyword: str, row: Row) -> None:
    words = desk.words
    rest = {"HostName": "{host}", "Port": "{near}", "User": "{joe}", "IdentityFile": "{gold}"}
    del rest[keyword]
    lines = [row.configured, *(f"{other} {value}" for other, value in rest.items())]
    alias = "alias" if "alias" in row.options + row.connection else "{host}"
    desk.ssh_config("\n  ".join([f"Host {alias}", *lines]).format(**words))
    connection = dict(setting.format(**words).split("=") for setting in row.connection.split())
    desk.user_file(connection=connection)
    desk(*row.options.format(**words).split(), "--", "true")
    assert desk.world.entries() == [Entry("near", "joe", "gold")]


def test_nothing_said_is_port_22_and_the_account_here(desk: Desk, tmp_path: Path) -> None:
    # Port 22 of this machine is somebody's; so ssh is told what to speak to instead, and the key is nobody's: a job
    # would run in the real home of whoever runs the tests.
    near = desk.world.near
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "key"], check=True)
    sshd = f"{server_program()} -i -f {near.folder}/sshd_config -E {near.log}"
    speak = f"sh -c 'echo %p >{tmp_path}/port; exec {sshd}'"
    desk.ssh_config(f"Host alias\n  HostKeyAlias [127.0.0.1]:{near.port}\n  ProxyCommand {speak}\n")
    desk.user_file()
    finished = desk("-h", "alias", "-i", tmp_path / "key", "--", "true", status=255)
    assert "Permission denied" in finished.stderr, near.news()
    assert (tmp_path / "port").read_text() == "22\n"
    assert f"Failed publickey for {pwd.getpwuid(os.getuid()).pw_name} " in near.news()


# -- what is not the login: a spec, its script block, the project file, the user file

PLACES = ("spec", "script block", "project file", "user file", "default")
PROBE = """
import json, os
from pathlib import Path
class Model: pass
{name} = Model()
{attributes}
print(json.dumps({{
    "folder": os.getcwd(),
    "environment": dict(os.environ),
    "uploaded": {{path.name: path.read_text() for path in Path.cwd().glob("*.txt")}},
}}))
for path in Path.cwd().glob("from *.txt"):
    Path(f"made {{path.name}}").write_text(path.read_text())
    Path(f"made also {{path.name}}").write_text(path.read_text())
"""


def layered(desk: Desk, place: str) -> None:
    """Writes a spec and all files so that `place`, and all that ranks below it, name everything."""

    def said(layer: str) -> dict[str, object]:
        if PLACES.index(layer) < PLACES.index(place):
            return {}
        name = layer.replace(" ", "-")
        desk.write(f"from {layer}.txt", layer)
        desk.write(f"also from {layer}.txt", layer)
        return {
            "remote_dir": f"of-{name}",
            "create_venv": layer != place,
            "environment": [f"WINNER={layer}", f"{name.replace('-', '_')}=1"],
            "startup_cmds": [f"export STARTED=$STARTED,{name}"],
            "upload_files": [f"from {layer}.txt", f"also from {layer}.txt|same.txt"],
            "download_files": [f"made from {layer}.txt", f"made also from {layer}.txt|same.txt"],
            "shutdown_cmds": [f"echo {layer} >>~/shutdown"],
        }

    def toml(layer: str, prefix: str = "") -> str:
        lines = ["[tool.sshrun]", *(f"{key} = {json.dumps(value)}" for key, value in said(layer).items())]
        return "".join(f"{prefix}{line}\n" for line in lines)

    attributes = "".join(f"probe.ssh_{key} = {value!r}\n" for key, value in said("spec").items())
    desk.write("pyproject.toml", toml("project file"))
    block = f"# /// script\n# dependencies = []\n{toml('script block', '# ')}# ///\n"
    desk.write("probe.py", block + PROBE.format(name="probe", attributes=attributes))
    desk.log_in_as(**said("user file"))


@pytest.mark.parametrize("place", PLACES)
def test_a_job_gets_what_the_strongest_place_says(desk: Desk, place: str) -> None:
    joe = desk.world.accounts["joe"]
    layered(desk, place)
    folders = {other: f"of-{other.replace(' ', '-')}" for other in PLACES[:-1]} | {"default": "."}
    folder = joe.home / folders[place]
    # Somebody's: used, without the time it takes to make one.
    (folder / ".venv/bin").mkdir(parents=True)
    (folder / ".venv/bin/python").write_text('#!/bin/sh\nexec python3 "$@"\n')
    (folder / ".venv/bin/python").chmod(0o755)
    joe.own(joe.home)
    saw = json.loads(desk("--no-project", "train", "probe").stdout)
    below = [other for other in reversed(PLACES[:-1]) if PLACES.index(other) >= PLACES.index(place)]
    names = [other.replace(" ", "-") for other in below]

    assert saw["folder"] == os.path.realpath(folder)
    # Whoever wins says no, all below say yes; and so does the default.
    assert ("VIRTUAL_ENV" in saw["environment"]) is (place == "default")
    assert saw["environment"].get("WINNER") == (place if below else None)
    assert [name for name in names if name.replace("-", "_") in saw["environment"]] == names
    assert saw["environment"].get("STARTED", "") == "".join(f",{name}" for name in names)
    expected = {f"from {other}.txt": other for other in below}
    assert saw["uploaded"] == expected | ({"same.txt": place} if below else {})
    for other in below:
        assert (desk.folder / f"made from {other}.txt").read_text() == other
    if below:
        assert (desk.folder / "same.txt").read_text() == place
        assert (joe.home / "shutdown").read_text().splitlines() == below


@pytest.mark.parametrize("path", ["/of-option", "/{home}/absolute", "/~/of option"])
def test_the_path_of_the_option_beats_every_file(desk: Desk, path: str) -> None:
    joe = desk.world.accounts["joe"]
    layered(desk, "spec")
    target = f"{joe.name}@127.0.0.1:{desk.world.near.port}{path.format(home=joe.home)}"
    saw = json.loads(desk("--host", target, "-i", desk.words["gold"], "train", "probe").stdout)
    assert saw["folder"] == str(joe.home / path.rpartition("/")[2])
