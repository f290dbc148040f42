"""A world of two servers, three accounts, three keys, made once; each test finds it as new."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from sshrun import sandbox as sandboxes
from support.accounts import Accounts
from support.desk import Desk, Server, World
from support.installed import Sshrun


def fingerprint(public: Path) -> str:
    listed = subprocess.run(["ssh-keygen", "-lf", public], capture_output=True, check=True, text=True).stdout
    return listed.split()[1]


@pytest.fixture(scope="session")
def made_world() -> Iterator[World]:
    if os.getuid() != 0:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("only root can make the accounts that this needs")
    with ExitStack() as stack:
        accounts = stack.enter_context(Accounts("joe", "jane", "jack"))
        folder = accounts.folder / "keys"
        folder.mkdir()
        keys = {name: folder / name for name in ("gold", "silver", "copper")}
        authority = folder / "authority"
        for path in (*keys.values(), authority):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", path], check=True)
        publics = {name: path.with_suffix(".pub") for name, path in keys.items()}
        authorized = accounts.folder / "authorized_keys"
        authorized.write_text("".join(public.read_text() for public in publics.values()))
        fingerprints = {fingerprint(public): name for name, public in publics.items()}
        # As an account meets it: its own home, its own environment.
        extra = ["ForceCommand none", "SetEnv MACHINE={}", f"AuthorizedKeysFile {authorized}", "UsePAM no"]
        extra.append(f"TrustedUserCAKeys {authority}.pub")
        servers = [
            Server(
                name,
                stack.enter_context(sandboxes.start(extra=[line.format(name) for line in extra])),
                authorized,
                fingerprints,
            )
            for name in ("near", "far")
        ]
        yield World(*servers, {account.home.name: account for account in accounts.all}, keys, authority)


@pytest.fixture
def world(made_world: World) -> World:
    """As if nobody had been there yet."""
    for account in made_world.accounts.values():
        account.clear()
    made_world.near.forget()
    made_world.far.forget()
    return made_world


@pytest.fixture
def desk(tmp_path: Path, home: Path, world: World, plain_sshrun: Sshrun) -> Desk:
    return Desk(tmp_path, home, world, plain_sshrun)
