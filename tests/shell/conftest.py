"""What each test of the host's program finds: a host under each shell that one may have."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sshrun.session.protocol import Refusal
from sshrun.session.session import Session
from support.shell_host import BOUND, SYSTEM_PATH, HoldBack, RefusalOf, ShellHost, give_up, required


@pytest.fixture(params=["dash", "bash", "busybox", "ksh93"])
def shell(request: pytest.FixtureRequest) -> str:
    if request.param == "ksh93" and not shutil.which("ksh93", path=SYSTEM_PATH):
        give_up("there is no ksh93: apt install ksh93u+m")
    return str(request.param)


@pytest.fixture
def host(shell: str, tmp_path: Path) -> Iterator[ShellHost]:
    host = ShellHost(tmp_path, shell)
    yield host
    host.close()


@pytest.fixture
def hold(host: ShellHost) -> Iterator[HoldBack]:
    """Makes a program of the host wait where its last argument has a certain end; returns what lets it go on.

    While it waits there is a file "held" in the home folder.
    """
    gate = host.home / "gate"

    def hold_back(program: str, end: str) -> Callable[[], None]:
        path = host.vacant(program)
        real = f"{required('busybox')} {program}" if host.shell == "busybox" else required(program)
        path.write_text(
            f"#!{host.tools}/sh\nfor last; do :; done\ncase $last in *{end}) [ -e {gate} ] || : >{host.home}/held; "
            f'while [ ! -e {gate} ]; do sleep 0.05; done ;; esac\nexec {real} "$@"\n'
        )
        path.chmod(0o755)
        return gate.touch

    yield hold_back
    gate.touch()


@pytest.fixture
def refusal() -> RefusalOf:
    """The refusal with which a session ends."""

    def get(session: Session) -> Refusal:
        with pytest.raises(Refusal) as caught:
            for _ in session.replies("never", timeout=BOUND):
                pass
        return caught.value

    return get
