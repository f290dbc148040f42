"""What needs the 3 GB of mltk: a server on which it is installed once for all tests."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sshrun import sandbox as sandboxes
from support.installed import Sshrun
from support.mltk_host import CACHES, INSTALLATION, MltkHost, desk


@pytest.fixture(scope="session")
def mltk_host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MltkHost]:
    """A server on which a command of mltk's that needs no training has run: the environment is there."""
    if not (3, 10) <= sys.version_info[:2] <= (3, 12):
        pytest.fail(f"mltk has no wheel for Python {sys.version_info[0]}.{sys.version_info[1]}: use 3.10 to 3.12")
    scratch = tmp_path_factory.mktemp("host")
    environment = {
        "PIP_CACHE_DIR": str(CACHES / "pip"),
        "UV_CACHE_DIR": str(CACHES / "uv"),
        "MLTK_TEMP_DIR": str(scratch / "temporary"),
    }
    # A terminal is what `mltk ssh` insists on.
    with (
        sandboxes.start(extra=["PermitTTY yes"], environment=environment) as server,
        pytest.MonkeyPatch.context() as own,
    ):
        # The "python3" of this machine may be one that mltk has no package for.
        python = Path(sys.executable).resolve().parent
        (server.home / ".bash_profile").write_text(f"PATH={python}:$PATH\n")
        folder = desk(scratch, server)
        own.setenv("HOME", str(scratch / "home"))
        sshrun = Sshrun(folder, scratch, "--host", server.host)
        try:
            began = time.monotonic()
            finished = sshrun("summarize", "waves", "--build", seconds=INSTALLATION)
            print(f"\nenvironment with mltk made in {time.monotonic() - began:.0f} s")
            assert finished.status == 0, finished.stdout.decode(errors="replace")[-4000:] + finished.stderr
        finally:
            sshrun.close()
        yield MltkHost(server, server.home / "sshrun-waves")


@pytest.fixture
def models(mltk_host: MltkHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the example; HOME, empty but for settings, is beside it."""
    folder = desk(tmp_path, mltk_host.sandbox)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return folder


@pytest.fixture
def sshrun(mltk_host: MltkHost, models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshrun]:
    program = Sshrun(models, tmp_path_factory.mktemp("output"), "--host", mltk_host.sandbox.host)
    yield program
    program.close()
