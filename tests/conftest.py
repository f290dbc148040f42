"""What holds for every test: a home of its own, and nothing happens to the real one."""

from __future__ import annotations

import os
import pwd
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

# So that tests find what they share (`from support.relay import Relay`); sshrun itself is what is installed.
sys.path.append(str(Path(__file__).parent))

# What a shell ignores for "make test &", and nohup, would stay ignored in everything that tests start and then signal.
for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)

# A loaded machine is no failure; and where nobody looks at what was found by chance, nothing is found by chance.
hypothesis.settings.register_profile("sshrun", deadline=None, derandomize="CI" in os.environ)
hypothesis.settings.load_profile("sshrun")

# What a developer has activated is no part of a test: sshrun would look for an mltk in it.
os.environ.pop("VIRTUAL_ENV", None)

REAL_HOME = Path(pwd.getpwuid(os.getuid()).pw_dir)
PRIVATE = (".sshrun", ".mltk", ".ssh")


def private_files() -> dict[Path, int]:
    """The files of the real home that sshrun, mltk and ssh would write to, and their sizes."""
    return {
        Path(folder, name): os.lstat(os.path.join(folder, name)).st_size
        for private in PRIVATE
        for folder, _, files in os.walk(REAL_HOME / private)
        for name in files
    }


# What tests of one folder share is made once, by the one worker that runs them all.
TOGETHER = ("tests/docker", "tests/fresh", "tests/server/settings")


# Before xdist's own, which reads the marks.
@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        for folder in TOGETHER:
            if folder in item.path.as_posix():
                item.add_marker(pytest.mark.xdist_group(folder))
    # First what one worker has to do alone, so that the others have enough to do beside it.
    items.sort(key=lambda item: item.get_closest_marker("xdist_group") is None)


@pytest.fixture(scope="session")
def mounts() -> None:
    """File systems of a test's own, to be full, read-only or empty: root may have them, but not in every container."""
    words = ("unshare", "--mount", "mount", "-t", "tmpfs", "none", "/mnt")
    if subprocess.run(words, capture_output=True, check=False).returncode != 0:
        give_up = pytest.fail if "CI" in os.environ else pytest.skip
        give_up("this needs to mount: be root, and in a container have --cap-add SYS_ADMIN")


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The home folder of the test, empty; and no agent, no setting of the person who runs it."""
    before = private_files()
    folder = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(folder))
    for name in os.environ:
        if name.startswith(("SSH_", "SSHRUN_", "MLTK_", "XDG_")):
            monkeypatch.delenv(name)
    yield folder
    touched = {str(path) for path, _ in private_files().items() ^ before.items()}
    assert not touched, "the real home was touched: by this test, or by somebody who uses sshrun or ssh meanwhile"
