"""Files over a real sshd, by each of the three engines."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sshrun.events import TransferProgress
from sshrun.sandbox import Sandbox
from sshrun.transfer.choice import LARGE, choose
from sshrun.transfer.engine import limited
from support.moving import Mover, grow, leftovers, programs
from support.relay import Direction, Relay
from support.trees import contents, globbed

ENGINES = ("rsync", "tar", "scp")
NAMES = ["a", "b", "c.csv", ".hidden", "-rf", " x", "n\nl", "q'\"$", "[1]", "\udcff\udc80", "back\\slash"]
# Where names are shorter than Linux has them (a FUSE), rsync's temporary ones still take up to 255 bytes.
NAME_MAX = os.pathconf("/tmp", "PC_NAME_MAX")
NAMES.append("l" * (255 if NAME_MAX >= 255 else NAME_MAX - 8))
# Runs a program, and removes a file once so many bytes have gone to it.
REMOVES = """
import os, subprocess, sys, threading
name, left, *argv = sys.argv[1:]
program = subprocess.Popen(argv, stdin=subprocess.PIPE)
def pass_on(left):
    while data := os.read(0, 65536):
        if 0 < left <= len(data):
            os.unlink(name)
        left -= len(data)
        while data:
            data = data[os.write(program.stdin.fileno(), data):]
    program.stdin.close()
threading.Thread(target=pass_on, args=[int(left)], daemon=True).start()
os._exit(program.wait())
"""
STEPS = ["*", "**", "?", "*.csv", "[!a]*", ".*", "a", "b", "c.csv", ".hidden", "[[]1]", "l*"]


@pytest.fixture
def connect() -> Iterator[Callable[[Sandbox], Mover]]:
    movers: list[Mover] = []

    def connect(sandbox: Sandbox) -> Mover:
        movers.append(Mover(sandbox))
        return movers[-1]

    yield connect
    for mover in movers:
        mover.close()


@pytest.fixture
def mover(sandbox: Sandbox, connect: Callable[[Sandbox], Mover]) -> Mover:
    return connect(sandbox)


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def here(tmp_path: Path) -> Path:
    folder = tmp_path / "here"
    folder.mkdir()
    return folder


def test_what_glob_selects_arrives_and_comes_home_by_each_engine(mover: Mover, engine: str) -> None:
    @settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(
        st.sets(st.lists(st.sampled_from(NAMES), min_size=1, max_size=3).map("/".join), min_size=1, max_size=8),
        st.lists(st.sampled_from(STEPS), min_size=1, max_size=3).map("/".join),
    )
    def check(names: set[str], pattern: str) -> None:
        with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as two:
            here, home = Path(one), Path(two)
            for name in sorted(names):
                try:
                    grow(here, name)
                except (FileExistsError, NotADirectoryError, IsADirectoryError):
                    pass
            expected = globbed(here, pattern)
            shutil.rmtree(mover.there, ignore_errors=True)
            mover.upload(here, pattern, engine=engine)
            assert contents(mover.there) == {name: (here / name).read_bytes() for name in expected}
            mover.download(home, pattern, engine=engine)
            assert contents(home) == contents(mover.there)

    check()


def test_each_engine_is_the_one_that_was_asked_for(mover: Mover, here: Path, tmp_path: Path, engine: str) -> None:
    grow(here, "small", "d/large")
    (here / "d" / "large").write_bytes(os.urandom(LARGE))
    assert mover.upload(here, ".", engine=engine).engine == engine
    assert mover.download(tmp_path / "home", ".", engine=engine).engine == engine
    assert contents(tmp_path / "home") == contents(here)
    assert not leftovers(mover.home, tmp_path)


def test_rsync_takes_what_is_large_and_tar_what_is_small(mover: Mover, here: Path, tmp_path: Path) -> None:
    grow(here, "small")
    grow(here, "large", size=LARGE)
    assert mover.upload(here, "small").engine == "tar"
    assert mover.upload(here, "large").engine == "rsync"
    assert mover.upload(here, "large", "small").engine == ""
    done = mover.download(tmp_path / "home", "*")
    assert (done.engine, done.files, done.unchanged) == ("tar and rsync", 2, 0)
    assert mover.download(tmp_path / "home", "*").unchanged == 2


def test_what_did_not_change_is_not_sent_again(mover: Mover, here: Path, tmp_path: Path, engine: str) -> None:
    grow(here, *(f"d/{number}" for number in range(20)), "large")
    (here / "large").write_bytes(os.urandom(LARGE))
    assert mover.upload(here, ".", engine=engine).files == 21
    assert mover.upload(here, ".", engine=engine)[:3] == (0, 0, 21)
    os.utime(here / "d" / "7", (1_600_000_000, 1_600_000_000))  # scp keeps whole seconds
    assert mover.upload(here, ".", engine=engine)[:2] == (1, 3000)
    mover.download(tmp_path / "home", "**", engine=engine)
    assert mover.download(tmp_path / "home", "**", engine=engine)[2:5] == (0, 0, 21)


def test_one_file_may_come_home_under_several_names(mover: Mover, tmp_path: Path, engine: str) -> None:
    grow(mover.there, "d/x", "d/y")
    home = tmp_path / "home"
    done = mover.download(home, "d/x", "d/x|one", "d/x|deep/two", "d", engine=engine)
    x, y = ((mover.there / "d" / name).read_bytes() for name in "xy")
    assert contents(home) == {"d/x": x, "one": x, "deep/two": x, "d/y": y}
    assert done.files == 4


def test_of_a_file_and_a_folder_for_one_target_the_later_counts(
    mover: Mover, here: Path, tmp_path: Path, engine: str
) -> None:
    grow(here, "a", "d/b")
    mover.upload(here, "d|x", "a|x", "a|y", "d|y", engine=engine)
    data = contents(here)
    assert contents(mover.there) == {"x": data["a"], "y/b": data["d/b"]}
    mover.download(tmp_path / "home", "y|z", f"x|{tmp_path}/home/z", engine=engine)
    assert contents(tmp_path / "home") == {"z": data["a"]}


def test_modes_and_times_are_kept(mover: Mover, here: Path, tmp_path: Path, engine: str) -> None:
    grow(here, "run.sh", "d/secret")
    os.chmod(here / "run.sh", 0o750)
    os.chmod(here / "d" / "secret", 0o600)
    for name in ("run.sh", "d/secret"):
        os.utime(here / name, (1_600_000_000, 1_600_000_000))
    mover.upload(here, "**", engine=engine)
    mover.download(tmp_path / "home", "**", engine=engine)
    for folder in (mover.there, tmp_path / "home"):
        found = {name: (folder / name).stat() for name in ("run.sh", "d/secret")}
        assert [status.st_mode & 0o7777 for status in found.values()] == [0o750, 0o600]
        assert {status.st_mtime for status in found.values()} == {1_600_000_000}


def test_folders_that_may_not_be_written_to_are_no_obstacle(
    mover: Mover, here: Path, tmp_path: Path, engine: str
) -> None:
    for folder in (here, mover.there):
        grow(folder, "d/closed/a", "d/b")
        (folder / "d" / "closed").chmod(0o500)
    if os.access(here / "d" / "closed", os.W_OK):
        pytest.skip("root may write everywhere")
    mover.upload(here, "d|e", engine=engine)
    mover.download(tmp_path / "home", "d", engine=engine)
    (mover.there / "d" / "closed").chmod(0o700)  # or the sandbox could not be removed
    assert contents(mover.there / "e") == contents(here / "d")
    assert contents(tmp_path / "home" / "d") == contents(mover.there / "d")
    assert not leftovers(mover.there, tmp_path)


def test_a_file_that_may_not_be_read_there_keeps_no_other_one(mover: Mover, tmp_path: Path, engine: str) -> None:
    grow(mover.there, "a", "b", "c")
    (mover.there / "b").chmod(0)
    if os.access(mover.there / "b", os.R_OK):
        pytest.skip("root may read everything")
    error = mover.fail(lambda: mover.download(tmp_path / "home", "*", engine=engine))
    assert "Permission denied" in error.message
    assert error.hint.startswith("see w")
    assert sorted(contents(tmp_path / "home")) == ["a", "c"]


def test_a_file_that_may_not_be_read_here_is_told_before_anything_is_sent(
    mover: Mover, here: Path, engine: str
) -> None:
    grow(here, "a", "b", "c")
    (here / "b").chmod(0)
    if os.access(here / "b", os.R_OK):
        pytest.skip("root may read everything")
    error = mover.fail(lambda: mover.upload(here, "*", engine=engine))
    assert error.message == f"{here}/b cannot be read: Permission denied"
    assert not contents(mover.there)


def test_a_file_that_vanishes_here_while_another_is_sent_is_missed(
    start_sandbox, connect, here: Path, tmp_path: Path
) -> None:
    """An rsync of the host's that removes a file here once a good deal of another one has arrived."""
    rsync = tmp_path / "programs" / "rsync"
    rsync.parent.mkdir()
    run = f'{shutil.which("rsync")} "$@"'
    removes = f"{sys.executable} -c '{REMOVES}' {here}/b 8000000"
    rsync.write_text(f"#!/bin/sh\ncase $* in *--server*) exec {removes} {run} ;; *) exec {run} ;; esac\n")
    rsync.chmod(0o755)
    mover = connect(start_sandbox(environment={"PATH": f"{rsync.parent}:{os.environ['PATH']}"}))
    grow(here, "a", size=60_000_000)
    grow(here, "b", size=2_000_000)
    error = mover.fail(lambda: mover.upload(here, "a", "b"))
    assert "vanished" in error.message


def test_links_to_what_goes_along_stay_links(
    sandbox: Sandbox, relay: Relay, mover: Mover, here: Path, tmp_path: Path, engine: str
) -> None:
    """As Hugging Face lays out its cache, and as many a training keeps its runs."""
    grow(here, "hub/blobs/1", "hub/blobs/2", "runs/run1/m", "runs/run2/m", size=2_000_000)
    for number in (1, 2):
        for revision in ("a", "b"):
            link = here / "hub" / "snapshots" / revision / f"model{number}"
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(f"../../blobs/{number}")
    (here / "runs" / "latest").symlink_to(here / "runs" / "run2")  # absolute here, and relative there
    mover.upload(here, "hub", "runs/**/*", engine=engine)
    mover.download(tmp_path / "home", ".", engine=engine)
    for folder in (mover.there, tmp_path / "home"):
        assert contents(folder) == contents(here)
        assert os.readlink(folder / "hub/snapshots/b/model2") == "../../blobs/2"
        assert os.readlink(folder / "runs/latest") == "run2"
    for direction in (Direction.TO_TARGET, Direction.TO_CLIENT):
        assert relay.carried(direction) < 10_000_000
    assert not leftovers(mover.home, tmp_path)


def sparse(path: Path, size: int = 200_000_000) -> None:
    """A file with data at some places, its last byte among them, and holes between."""
    with open(path, "wb") as file:
        for place in (0, *range(3_000_000, size, size // 40), size - 4096):
            file.seek(place)
            file.write(os.urandom(4096))


@pytest.mark.parametrize("compress", [False, True], ids=["plain", "compressed"])
def test_holes_of_sparse_files_stay_holes(
    sandbox: Sandbox, relay: Relay, mover: Mover, here: Path, tmp_path: Path, engine: str, compress: bool
) -> None:
    if engine == "scp":
        pytest.skip("scp knows no holes")
    sparse(here / "disk.img")
    with open(here / "hole", "wb") as file:
        file.truncate(50_000_000)
    grow(here, "plain", size=3_000_000)
    os.chmod(here / "disk.img", 0o640)
    mover.upload(here, "*", engine=engine, compress=compress)
    assert relay.carried(Direction.TO_TARGET) < 6_000_000
    assert mover.upload(here, "*", engine=engine).unchanged == 3
    mover.download(tmp_path / "home", "*", engine=engine, compress=compress)
    assert relay.carried(Direction.TO_CLIENT) < 6_000_000
    assert contents(mover.there) == contents(tmp_path / "home") == contents(here)
    for folder in (mover.there, tmp_path / "home"):
        assert sum((folder / name).stat().st_blocks * 512 for name in ("disk.img", "hole")) < 3_000_000
        assert (folder / "disk.img").stat().st_mode & 0o777 == 0o640
    assert not leftovers(mover.home, tmp_path)


@pytest.mark.usefixtures("mounts")
def test_a_sparse_file_larger_than_the_disk_fits(mover: Mover, here: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    for place in (mover.there, home):
        place.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "none", place], check=True)
    try:
        sparse(here / "disk.img", 50_000_000)
        mover.upload(here, "disk.img")
        mover.download(home, "disk.img")
        assert contents(home) == contents(here)
    finally:
        for place in (mover.there, home):
            subprocess.run(["umount", "--lazy", place], check=True)


def test_links_are_resolved_by_the_sender(mover: Mover, here: Path, tmp_path: Path, engine: str) -> None:
    grow(tmp_path, "elsewhere/epoch7")
    (here / "best").symlink_to("../elsewhere/epoch7")
    (here / "all").symlink_to("../elsewhere")
    mover.upload(here, ".", engine=engine)
    assert contents(mover.there) == contents(here) | {"all/epoch7": (here / "best").read_bytes()}
    (mover.there / "again").symlink_to("best")
    mover.download(tmp_path / "home", "again", "all", engine=engine)
    mover.download(tmp_path / "home", "best", engine=engine)
    assert sorted(contents(tmp_path / "home")) == ["again", "all/epoch7", "best"]
    for folder in (mover.there / "best", mover.there / "all", tmp_path / "home" / "again"):
        assert not folder.is_symlink()


def test_links_in_the_way_there_are_replaced_not_followed(mover: Mover, here: Path, engine: str) -> None:
    grow(here, "d/a", "b")
    grow(mover.home, "outside/keep")
    mover.there.mkdir()
    (mover.there / "d").symlink_to("../outside")
    (mover.there / "b").symlink_to("../outside/keep")
    before = contents(mover.home / "outside")
    mover.upload(here, "d", "b", engine=engine)
    assert contents(mover.home / "outside") == before
    assert contents(mover.there) == contents(here)


def test_folders_there_are_made_behind_no_link_and_in_place_of_a_file(mover: Mover, here: Path, engine: str) -> None:
    grow(here, "d/a", "e/b")
    for name in ("d", "e"):
        (here / name / "empty").mkdir()
    (mover.home / "outside").mkdir()
    grow(mover.there, "e")
    (mover.there / "d").symlink_to("../outside")
    mover.upload(here, "d", "e", engine=engine)
    assert list((mover.home / "outside").iterdir()) == []
    found = sorted(path.relative_to(mover.there) for path in mover.there.rglob("*"))
    assert found == sorted(path.relative_to(here) for path in here.rglob("*"))


def test_other_names_and_places(mover: Mover, here: Path, tmp_path: Path, engine: str) -> None:
    grow(here, "a", "d/b")
    mover.upload(here, f"a|{mover.home}/so me/c[1]", "d|~/e", "a|sub/", engine=engine)
    data = contents(here)
    assert contents(mover.home / "so me") == {"c[1]": data["a"]}
    assert contents(mover.home / "e") == {"b": data["d/b"]}
    assert contents(mover.there) == {"sub/a": data["a"]}
    mover.download(tmp_path / "home", "~/so me/c[1]|x", f"../e|{tmp_path}/out/", engine=engine)
    assert contents(tmp_path / "home") == {"x": data["a"]}
    assert contents(tmp_path / "out") == {"e/b": data["d/b"]}


def test_folders_that_rsync_would_take_for_patterns(mover: Mover, here: Path, tmp_path: Path, engine: str) -> None:
    grow(here, "a")
    mover.there = mover.home / "w[o]rk * \\ 'x'"
    grow(mover.home / "work * \\ 'x'", "decoy")
    mover.upload(here, "a", engine=engine)
    assert contents(mover.there) == contents(here)
    mover.download(tmp_path / "home", "a", engine=engine)
    assert contents(tmp_path / "home") == contents(here)
    assert list(contents(mover.home / "work * \\ 'x'")) == ["decoy"]


def test_compressed_is_the_same(mover: Mover, here: Path, tmp_path: Path, engine: str) -> None:
    grow(here, "noise")
    (here / "zeros").write_bytes(bytes(5_000_000))
    mover.upload(here, "*", engine=engine, compress=True)
    mover.download(tmp_path / "home", "*", engine=engine, compress=True)
    assert contents(tmp_path / "home") == contents(mover.there) == contents(here)


@pytest.mark.parametrize("engine", ["rsync", "tar"])  # scp's would be the connection's, which is open already
def test_compression_saves_what_it_can(sandbox: Sandbox, relay: Relay, mover: Mover, here: Path, engine: str) -> None:
    (here / "zeros").write_bytes(bytes(3_000_000))
    mover.upload(here, "zeros", engine=engine, compress=True)
    assert relay.carried(Direction.TO_TARGET) < 1_000_000


def test_a_delta_is_all_that_travels_of_a_large_file(
    sandbox: Sandbox, relay: Relay, mover: Mover, here: Path, tmp_path: Path
) -> None:
    grow(here, "model", size=8_000_000)
    mover.upload(here, "model")
    mover.download(tmp_path / "home", "model")
    with open(here / "model", "r+b") as file:
        file.seek(4_000_000)
        file.write(b"changed")
    sent, received = relay.carried(Direction.TO_TARGET), relay.carried(Direction.TO_CLIENT)
    mover.upload(here, "model")
    assert relay.carried(Direction.TO_TARGET) - sent < 500_000
    mover.download(tmp_path / "home", "model")
    assert relay.carried(Direction.TO_CLIENT) - received < 500_000
    assert contents(tmp_path / "home") == contents(here)


def test_progress_goes_up_to_the_whole(mover: Mover, here: Path, tmp_path: Path, engine: str) -> None:
    grow(here, "a", "b/c", size=2_000_000)
    for direction, work in (
        ("upload", lambda: mover.upload(here, "**", engine=engine)),
        ("download", lambda: mover.download(tmp_path / "home", "**", engine=engine)),
    ):
        work()
        moved = [event for event in mover.events if isinstance(event, TransferProgress)]
        assert {(event.direction, event.total) for event in moved} == {(direction, 4_000_000)}
        assert [event.done for event in moved] == sorted(event.done for event in moved)
        assert (moved[-1].done, moved[-1].files, moved[-1].finished) == (4_000_000, 2, True)


def test_one_session_is_enough(start_sandbox, connect, here: Path, tmp_path: Path) -> None:
    mover = connect(start_sandbox("MaxSessions 1"))
    grow(here, "large", "larger", size=2_000_000)
    assert mover.upload(here, "*").engine == "tar"
    assert mover.warnings == ["sandbox allows no second session over one connection: tar instead of rsync"]
    assert contents(mover.there) == contents(here)
    assert mover.download(tmp_path / "home", "*").engine == "tar"
    assert contents(tmp_path / "home") == contents(here)
    assert not leftovers(mover.home, tmp_path)


def test_scp_is_no_way_where_every_shell_prints(start_sandbox, connect, here: Path, tmp_path: Path) -> None:
    """As with an "echo" in ~/.zshenv: the sftp subsystem is started by the login shell too."""
    noisy = tmp_path / "noisy"
    noisy.write_text('#!/bin/sh\necho Welcome\nexec /bin/sh "$@"\n')
    noisy.chmod(0o755)
    mover = connect(start_sandbox(shell=noisy))
    grow(here, "a", "b", size=2_000_000)
    assert mover.upload(here, "*", engine="scp").engine == "tar"
    assert "a start file of the login shell prints" in mover.warnings[0]
    assert "tar instead of scp" in mover.warnings[0]
    assert contents(mover.there) == contents(here)
    assert mover.download(tmp_path / "home", "*", engine="scp").engine == "tar"
    assert contents(tmp_path / "home") == contents(here)


def test_a_shell_that_prints_disturbs_nobody(start_sandbox, connect, here: Path, tmp_path: Path, engine: str) -> None:
    sandbox = start_sandbox(shell=Path("/bin/bash"))
    (sandbox.home / ".bashrc").write_text("echo; echo Welcome to the cluster; echo to you >&2; printf 'no newline'\n")
    mover = connect(sandbox)
    grow(here, "small")
    grow(here, "large", size=2_000_000)
    if engine == "scp":
        pytest.skip("scp has nothing to tell noise from files by")
    mover.upload(here, "*", engine=engine)
    mover.download(tmp_path / "home", "*", engine=engine)
    assert contents(tmp_path / "home") == contents(mover.there) == contents(here)


def test_a_config_for_logins_by_hand_does_not_cut_off_what_travels(
    sandbox: Sandbox, connect: Callable[[Sandbox], Mover], here: Path, tmp_path: Path, engine: str
) -> None:
    with sandbox.config.open("a") as config:
        config.write("StdinNull yes\nForkAfterAuthentication yes\nSessionType none\nRequestTTY force\n")
    grow(here, "large", size=LARGE)
    mover = connect(sandbox)
    assert mover.upload(here, ".", engine=engine).engine == engine
    mover.download(tmp_path / "home", ".", engine=engine)
    assert contents(tmp_path / "home") == contents(here)


def test_scp_does_without_sftp(start_sandbox, connect, here: Path, tmp_path: Path) -> None:
    sandbox = start_sandbox("Subsystem sftp /bin/false")
    mover = connect(sandbox)
    grow(here, "a b", "$(touch x)", "n\nl")
    mover.upload(here, "*", engine="scp")
    assert contents(mover.there) == contents(here)
    mover.download(tmp_path / "home", "*", engine="scp")
    assert contents(tmp_path / "home") == contents(here)


def test_without_rsync_and_tar_it_is_scp(start_sandbox, connect, here: Path, tmp_path: Path) -> None:
    mover = connect(start_sandbox(environment={"PATH": str(programs(tmp_path, "rsync", "tar"))}))
    grow(here, "a", "d/b")
    (here / "d" / "empty").mkdir()
    assert mover.upload(here, ".").engine == "scp"
    assert contents(mover.there) == contents(here)
    assert (mover.there / "d" / "empty").is_dir()
    assert mover.download(tmp_path / "home", ".").engine == "scp"
    assert contents(tmp_path / "home") == contents(here)


def test_an_engine_that_is_not_there_is_one_clear_line(start_sandbox, connect, here: Path, tmp_path: Path) -> None:
    mover = connect(start_sandbox(environment={"PATH": str(programs(tmp_path, "rsync"))}))
    grow(here, "a")
    error = mover.fail(lambda: mover.upload(here, "a", engine="rsync"))
    assert error.message.startswith("transfer: rsync, but ")


@pytest.mark.parametrize(
    ("line", "engine"),
    [
        ("rsync  version 3.2.7  protocol version 31", "rsync"),
        ("rsync  version v3.3.0  protocol version 31", "rsync"),
        ("rsync  version 2.6.9  protocol version 29", "tar"),
        ("openrsync: protocol version 29", "tar"),
        ("", "tar"),
    ],
)
def test_rsync_is_known_by_its_version(line: str, engine: str) -> None:
    assert choose({"tools": "tar xargs rsync", "rsync": line}) == engine


@pytest.mark.usefixtures("mounts")
def test_a_full_disk_there_is_one_clear_line_and_leaves_nothing(mover: Mover, here: Path, engine: str) -> None:
    mover.there.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "none", mover.there], check=True)
    try:
        grow(here, "a", size=1_500_000)
        mover.upload(here, "a", engine=engine)
        # The space is looked at before: only a file that fits and then does not can fail later.
        old = (mover.there / "a").read_bytes()
        grow(here, "a", size=1_900_000)
        error = mover.fail(lambda: mover.upload(here, "a", engine=engine))
        assert "1.9 MB to upload" in error.message
        assert "free in" in error.message
        grow(here, *(f"many/{number}" for number in range(400)), size=1)
        error = mover.fail(lambda: mover.upload(here, "many", engine=engine))
        assert "No space left" in error.message
        assert error.hint
        assert not leftovers(mover.there)
        assert (mover.there / "a").read_bytes() == old
    finally:
        subprocess.run(["umount", "--lazy", mover.there], check=True)


def test_a_limit_to_the_size_of_files_here_stops_none_that_fits() -> None:
    program = limited(["sh", "-c", "ulimit -f"], 10**9)
    keep = ["setpriv", "--bounding-set=-sys_resource", "--inh-caps=-sys_resource"] if os.geteuid() == 0 else []
    for limit, said in (("unlimited", str((2 * 10**9) // 512 + 1)), ("1000", "1000")):
        run = [*keep, "sh", "-c", f'ulimit -f {limit} && exec "$@"', "sh", *program]
        finished = subprocess.run(run, capture_output=True, text=True, check=True)
        assert finished.stdout.strip() == said


@pytest.mark.usefixtures("mounts")
def test_sizes_are_shown_as_a_person_writes_them(mover: Mover, here: Path) -> None:
    mover.there.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=40k", "none", mover.there], check=True)
    try:
        grow(here, "a", size=999_900)
        assert "sandbox: 1 MB to upload, 41 kB free" in mover.fail(lambda: mover.upload(here, "a")).message
    finally:
        subprocess.run(["umount", "--lazy", mover.there], check=True)


@pytest.mark.usefixtures("mounts")
def test_a_full_disk_here_is_one_clear_line_and_leaves_nothing(mover: Mover, tmp_path: Path, engine: str) -> None:
    home = tmp_path / "home"
    home.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "none", home], check=True)
    try:
        grow(mover.there, "large", size=3_000_000)
        assert "3 MB to download" in mover.fail(lambda: mover.download(home, "large", engine=engine)).message
        grow(mover.there, *(f"many/{number}" for number in range(700)), size=1)
        error = mover.fail(lambda: mover.download(home, "many", engine=engine))
        assert "No space left" in error.message
        assert not leftovers(home)
    finally:
        subprocess.run(["umount", "--lazy", home], check=True)


@pytest.mark.usefixtures("mounts")
@pytest.mark.parametrize(
    ("options", "said", "hint"),
    [
        ("ro", "Read-only file system", "see who may write to it"),
        ("nr_inodes=1", "No space left on device", "free some space"),
    ],
)
def test_a_subfolder_here_that_cannot_be_written_to_is_named(
    mover: Mover, tmp_path: Path, engine: str, options: str, said: str, hint: str
) -> None:
    grow(mover.there, "d/a")
    (tmp_path / "home" / "d").mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", tmp_path / "home" / "d"], check=True)
    try:
        error = mover.fail(lambda: mover.download(tmp_path / "home", "d", engine=engine))
        assert (error.message, error.hint) == (f"{tmp_path}/home/d/a: {said}", hint)
    finally:
        subprocess.run(["umount", "--lazy", tmp_path / "home" / "d"], check=True)


@pytest.mark.usefixtures("mounts")
def test_a_subfolder_on_another_disk(mover: Mover, here: Path, tmp_path: Path, engine: str) -> None:
    grow(here, "d/a", "d/e/b")
    home = tmp_path / "home"
    places = [mover.there / "d", home / "d"]
    for place in places:
        place.mkdir(parents=True)
        subprocess.run(["mount", "-t", "tmpfs", "none", place], check=True)
    try:
        mover.upload(here, "d", engine=engine)
        mover.download(home, "d", engine=engine)
        assert contents(mover.there) == contents(home) == contents(here)
        assert not leftovers(mover.there, home)
    finally:
        for place in places:
            subprocess.run(["umount", "--lazy", place], check=True)
