"""A project of 10,000 files, and a small one: beside `git ls-files | rsync --files-from` by hand."""

from __future__ import annotations

import itertools
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from measure import SSHRUN, Row, by_turns, call, settings

from sshrun import sandbox

FILES = 10_000
TURNS = 3
SMALL_TURNS = 7

BY_HAND = """\
$1 -fNM $0 >/dev/null 2>&1
git ls-files -z | rsync -a -0 --files-from=- -e "$1" ./ "$0:$2/"
$1 $0 "cd $2 && touch .began && true"
$1 $0 "cd $2 && find . -newer .began -type f" >new
rsync -a --files-from=new -e "$1" "$0:$2/" ./
rm new
$1 -O exit $0 2>/dev/null
"""


def rows() -> Iterator[Row]:
    with sandbox.start() as server, tempfile.TemporaryDirectory() as folder:
        settings(server.config, create_venv="false")
        large, small = Path(folder, "large"), Path(folder, "small")
        _make(large, FILES)
        _make(small, 10)
        sides = (lambda project: _ours(server.host, project), lambda project: _by_hand(server, project))
        first = [_fresh(side(large)) for side in sides]
        yield Row(f"a project of {FILES} files, first run", *by_turns(*first, TURNS), goal=1.1)
        again = [_unchanged(side(large)) for side in sides]
        yield Row(f"a project of {FILES} files, unchanged", *by_turns(*again, TURNS), goal=1.0)
        again = [_unchanged(side(small)) for side in sides]
        yield Row("a project of 10 files, unchanged", *by_turns(*again, SMALL_TURNS))


def _make(project: Path, files: int) -> None:
    for number in range(files):
        path = project / f"directory{number // 100}" / f"file{number}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"# {number}\n" * 50)
    subprocess.run(["git", "init", "-q", project], check=True)
    subprocess.run(["git", "-C", project, "add", "."], check=True)


def _ours(host: str, project: Path) -> Callable[[str], None]:
    return lambda place: call([SSHRUN, "-q", "-h", f"{host}/{place}", "--project", "--", "true"], project)


def _by_hand(server: sandbox.Sandbox, project: Path) -> Callable[[str], None]:
    """One login, as sshrun has: files there, the command, what is newer back."""
    socket = server.config.with_name("by-hand")
    ssh = f"ssh -F {server.config} -S {socket}"

    def run(place: str) -> None:
        remote = f"{place}-by-hand"
        call(["sh", "-ec", BY_HAND, server.host, ssh, remote], project)

    return run


def _fresh(side: Callable[[str], None]) -> Callable[[], None]:
    places = (f"place{number}" for number in itertools.count())
    return lambda: side(next(places))


def _unchanged(side: Callable[[str], None]) -> Callable[[], None]:
    return lambda: side("unchanged")
