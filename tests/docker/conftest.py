"""Hosts with a character (docker/), and the loopback sandbox among them; and the table of what works on which."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
import uv
from pytest_docker.plugin import Services

from sshrun import sandbox as sandboxes
from sshrun.sandbox import Sandbox
from support.hosts import KINDS, SANDBOX, Compose, SshHost, answers, engine_answers, ssh_config
from support.installed import Sshrun
from support.relay import Relay

DOCKER = Path(__file__).parents[2] / "docker"
NO_ENGINE = "no docker engine answers: the hosts of docker/ are not tried"
READY = 60.0  # seconds that a container may take from its start to its first login


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "hosts(*names): the hosts that a test is about; without it, all of them")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Who asks for `ssh_host` runs on every one of them; mark `hosts` names fewer."""
    if "ssh_host" not in metafunc.fixturenames:
        return
    mark = metafunc.definition.get_closest_marker("hosts")
    names = mark.args if mark else (SANDBOX, *KINDS)
    parameters = [pytest.param(name, marks=[] if name == SANDBOX else [pytest.mark.docker]) for name in names]
    metafunc.parametrize("ssh_host", parameters, indirect=True)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """One place for all that an engine is missing for, so that the summary has one line for it."""
    report = yield
    if report.skipped and isinstance(report.longrepr, tuple) and NO_ENGINE in report.longrepr[2]:
        report.longrepr = (str(DOCKER), None, report.longrepr[2])  # type: ignore[assignment]
    return report


@pytest.fixture(scope="session")
def docker_compose_command() -> str:
    plugin = subprocess.run(["docker", "compose", "version"], capture_output=True, check=False)
    return "docker compose" if plugin.returncode == 0 else "docker-compose"


@pytest.fixture(scope="session")
def docker_compose_file() -> str:
    return str(DOCKER / "compose.yaml")


@pytest.fixture(scope="session")
def docker_setup() -> str:
    return "up --build --detach"


@pytest.fixture(scope="session")
def docker_cleanup() -> str:
    return "down --volumes --timeout 2"


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the key of all servers and the key that all accept, made for these tests."""
    folder = tmp_path_factory.mktemp("keys")
    for name in ("host_key", "user_key"):
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "sshrun-test", "-f", folder / name]
        subprocess.run(command, check=True)
    (folder / "authorized_keys").write_bytes((folder / "user_key.pub").read_bytes())
    return folder


@pytest.fixture(scope="session")
def engine(keys: Path) -> Iterator[None]:
    """What compose.yaml asks of the environment. Without an engine the whole tier is skipped."""
    if not engine_answers():
        pytest.skip(NO_ENGINE)
    base = subprocess.run([DOCKER / "base.sh"], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("BASE", base)
        environment.setenv("KEYS", str(keys))
        environment.setenv("UV", uv.find_uv_bin())
        yield


@pytest.fixture(scope="session")
def compose(engine: None, keys: Path, request: pytest.FixtureRequest) -> Compose:
    services: Services = request.getfixturevalue("docker_services")
    compose = Compose(services, keys)
    services.wait_until_responsive(lambda: all(map(answers, map(compose.port, KINDS.values()))), READY, 0.1)
    return compose


@pytest.fixture(scope="session")
def loopback() -> Iterator[Sandbox]:
    with sandboxes.start() as sandbox:
        yield sandbox


@pytest.fixture
def ssh_host(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshHost]:
    """A host, and a network in front of it."""
    config = tmp_path_factory.mktemp("ssh") / "config"
    if request.param == SANDBOX:
        sandbox: Sandbox = request.getfixturevalue("loopback")
        with Relay(sandbox.port) as relay:
            alias = f"HostKeyAlias [127.0.0.1]:{sandbox.port}"
            text = sandbox.config.read_text()
            config.write_text(text.replace(f"Port {sandbox.port}\n", f"Port {relay.port}\n    {alias}\n"))
            yield SshHost(SANDBOX, config, relay)
        return
    kind = KINDS[request.param]
    compose: Compose = request.getfixturevalue("compose")
    with Relay(compose.port(kind)) as relay:
        config.write_text(ssh_config(kind, relay.port, compose.keys))
        yield SshHost(kind.name, config, relay)


@pytest.fixture
def sshrun(ssh_host: SshHost, home: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshrun]:
    """sshrun with `--host` of this host, in the folder `tmp_path`."""
    write_settings(home, ssh_host)
    program = Sshrun(tmp_path, tmp_path_factory.mktemp("output"), "--host", ssh_host.name)
    yield program
    program.close()


def write_settings(home: Path, ssh_host: SshHost) -> None:
    settings = home / ".sshrun" / "user_settings.yaml"
    settings.parent.mkdir(mode=0o700, exist_ok=True)
    settings.write_text(
        f"ssh:\n  config_path: {json.dumps(str(ssh_host.config))}\n  create_venv: false\n  remote_dir: life\n"
    )


# The table

# Files whose tests make one column together; elsewhere each test is one.
_COLUMNS = {"test_character.py": "as weak as said", "test_doctor_faults.py": "doctor", "test_lacks.py": "degrades"}

_rows: dict[str, dict[str, str]] = {}


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    file, _, test = report.nodeid.partition("::")
    name, bracket, host = test.partition("]")[0].partition("[")  # workers add their group behind it
    folder, _, file = file.rpartition("/")
    if not folder.endswith("docker") or not bracket or (report.when != "call" and report.passed):
        return
    cells = _rows.setdefault(host, {})
    column = _COLUMNS.get(file, name.removeprefix("test_").replace("_", " "))
    if cells.get(column) != "FAILED":
        cells[column] = "ok" if report.passed else "skipped" if report.skipped else "FAILED"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    columns = list(dict.fromkeys(column for cells in _rows.values() for column in cells))
    if not columns:
        return
    terminalreporter.section("hosts with a character")
    terminalreporter.write_line(" " * 12 + "  ".join(columns))
    for host, cells in _rows.items():
        line = "  ".join(cells.get(column, "-").ljust(len(column)) for column in columns)
        terminalreporter.write_line(f"{host:<12}{line}".rstrip())
