"""A real sshd for each test, the installed `sshrun` beside it, and a network in between that can break."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

import pytest

from sshrun import sandbox as sandboxes
from sshrun.sandbox import Sandbox
from support.installed import Sshrun
from support.relay import Relay


class StartSandbox(Protocol):
    def __call__(
        self, *extra: str, shell: Path | None = None, environment: dict[str, str] | None = None
    ) -> Sandbox: ...


@pytest.fixture
def start_sandbox() -> Iterator[StartSandbox]:
    """Starts servers with lines of sshd_config(5), a login shell, an environment; they end with the test."""
    with ExitStack() as servers:

        def start(*extra: str, shell: Path | None = None, environment: dict[str, str] | None = None) -> Sandbox:
            return servers.enter_context(sandboxes.start(extra=extra, shell=shell, environment=environment))

        yield start


@pytest.fixture
def sandbox(start_sandbox: StartSandbox) -> Sandbox:
    """A server with nothing special."""
    return start_sandbox()


@pytest.fixture
def relay(sandbox: Sandbox) -> Iterator[Relay]:
    """A network in front of `sandbox`: `sshrun` goes through it, whatever it does."""
    with Relay(sandbox.port) as network:
        # The key is known under the server's own port.
        direct = sandbox.config.read_text()
        through = direct.replace(
            f"Port {sandbox.port}\n", f"Port {network.port}\n    HostKeyAlias [127.0.0.1]:{sandbox.port}\n"
        )
        sandbox.config.write_text(through)
        yield network


@pytest.fixture
def plain_sshrun(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshrun]:
    """sshrun without any setting or option."""
    program = Sshrun(tmp_path, tmp_path_factory.mktemp("output"))
    yield program
    program.close()


@pytest.fixture
def no_project(sshrun: Sshrun, home: Path) -> None:
    """What is not about project mode and looks at the login directory of the host."""
    with (home / ".sshrun" / "user_settings.yaml").open("a") as file:
        file.write("  project: false\n")


@pytest.fixture
def sshrun(sandbox: Sandbox, home: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshrun]:
    """sshrun with `--host sandbox`, in the folder `tmp_path`; the user's file names the sandbox's ssh config."""
    settings = home / ".sshrun" / "user_settings.yaml"
    settings.parent.mkdir(mode=0o700)
    settings.write_text(f"ssh:\n  config_path: {json.dumps(str(sandbox.config))}\n")
    program = Sshrun(tmp_path, tmp_path_factory.mktemp("output"), "--host", sandbox.host)
    yield program
    program.close()
