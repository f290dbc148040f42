"""A mirror of a directory on the host, under each shell: what was sent once and is gone goes, and nothing else does."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sshrun.errors import TransferFailed
from sshrun.session.session import Session
from sshrun.transfer.items import Mirror
from sshrun.transfer.local_tree import select_local
from sshrun.transfer.mirror import request_mirror, update
from sshrun.transfer.patterns import parse_upload
from support.shell_host import NO_CONNECTION, ShellHost
from support.trees import contents

TAR = {"tools": "tar xargs"}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    for name in ["train.py", "model/__init__.py", "model/net.py", "-rf", "n\nl", "deep/er/file"]:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("" if name.endswith("__init__.py") else name)
    return folder


@pytest.fixture
def work(host: ShellHost) -> Path:
    return host.home / "work"


def placed(host: ShellHost) -> Session:
    session = host.session()
    session.request("place", str(host.home / "work"))
    assert session.reply().word == "placed"
    return session


def items_of(folder: Path) -> tuple[Any, ...]:
    return tuple(item for item in select_local([parse_upload("./")], folder).items if not item.is_directory)


def send(session: Session, folder: Path, name: str = "one") -> int:
    """How many files were sent."""
    mirror = Mirror(name, items_of(folder))
    request_mirror(session, mirror)
    steps = update(session, NO_CONNECTION, mirror, TAR)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return int(end.value.files)


def mirrored(work: Path) -> dict[str, Any]:
    return {name: what for name, what in contents(work).items() if not name.startswith(".sshrun")}


def test_a_directory_arrives_whole_and_a_second_time_nothing_is_sent(
    host: ShellHost, project: Path, work: Path
) -> None:
    assert send(placed(host), project) == 6
    assert mirrored(work) == contents(project)
    assert send(placed(host), project) == 0


def test_what_is_gone_on_the_client_goes_and_what_the_job_made_stays(
    host: ShellHost, project: Path, work: Path
) -> None:
    session = placed(host)
    send(session, project)
    (work / "deep" / "result.bin").write_text("of the job")
    (work / "kept").mkdir()
    for name in ["model/net.py", "-rf", "n\nl", "deep/er/file"]:
        (project / name).unlink()
    shutil.rmtree(project / "deep")
    (project / "model" / "network.py").write_text("renamed")
    assert send(session, project) == 1
    assert mirrored(work) == {**contents(project), "deep/result.bin": b"of the job"}
    assert (work / "kept").is_dir()
    assert not (work / "deep" / "er").exists()


def test_what_somebody_changed_on_the_host_is_sent_again(host: ShellHost, project: Path, work: Path) -> None:
    session = placed(host)
    send(session, project)
    (work / "train.py").write_text("changed by the job")
    assert send(session, project) == 1
    (work / "model" / "net.py").unlink()
    assert send(session, project) == 1
    assert mirrored(work) == contents(project)


def test_a_file_becomes_a_directory_and_a_directory_a_file(host: ShellHost, project: Path, work: Path) -> None:
    session = placed(host)
    send(session, project)
    (project / "train.py").unlink()
    (project / "train.py").mkdir()
    (project / "train.py" / "main").write_text("now a directory")
    shutil.rmtree(project / "deep")
    (project / "deep").write_text("now a file")
    send(session, project)
    assert mirrored(work) == contents(project)


def test_two_directories_in_one_place_do_not_remove_what_is_the_others(
    host: ShellHost, project: Path, work: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "only_there").write_text("of the other")
    session = placed(host)
    send(session, project)
    assert send(session, other, "two") == 1
    (project / "train.py").unlink()
    send(session, project)
    assert (work / "only_there").read_text() == "of the other"
    assert not (work / "train.py").exists()


def test_nothing_is_removed_beneath_a_link_or_in_the_place_of_what_was_sent(
    host: ShellHost, project: Path, work: Path, tmp_path: Path
) -> None:
    session = placed(host)
    send(session, project)
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "er").mkdir(parents=True)
    (elsewhere / "er" / "file").write_text("precious")
    shutil.rmtree(work / "deep")
    (work / "deep").symlink_to(elsewhere)
    (work / "-rf").unlink()
    (work / "-rf").mkdir()
    (work / "n\nl").unlink()
    (work / "n\nl").symlink_to(elsewhere / "er" / "file")
    for name in ["-rf", "n\nl"]:
        (project / name).unlink()
    shutil.rmtree(project / "deep")
    send(session, project)
    assert (elsewhere / "er" / "file").read_text() == "precious"
    assert (work / "-rf").is_dir()
    assert (work / "n\nl").is_symlink()


def test_what_an_upload_that_was_cut_off_has_sent_is_known(host: ShellHost, project: Path, work: Path) -> None:
    session = placed(host)
    mirror = Mirror("one", items_of(project))
    request_mirror(session, mirror)
    list(zip(update(session, NO_CONNECTION, mirror, TAR), range(2), strict=False))  # and no further
    session.kill()
    (work / "train.py").write_text("as if it had arrived")
    (project / "train.py").unlink()
    send(placed(host), project)
    assert mirrored(work) == contents(project)


def test_a_host_that_names_what_lies_elsewhere_is_refused(host: ShellHost, project: Path, work: Path) -> None:
    session = placed(host)
    send(session, project)
    (project / "train.py").unlink()
    for name in (b"./../../precious\0", b"/etc/passwd\0", b"./a//b\0", b"train.py\0"):
        (work / ".sshrun" / "mirrors" / "one" / "names").write_bytes(name)
        with pytest.raises(TransferFailed, match="cannot be read"):
            send(placed(host), project)


NAMES = st.sampled_from(["a", "b", "c d", "-e", "f\ng", os.fsdecode(b"\xff")])
TREES = st.dictionaries(
    st.lists(NAMES, min_size=1, max_size=3).map("/".join), st.sampled_from(["", "one", "two", "three"]), max_size=8
)


@pytest.mark.parametrize("shell", ["dash", "busybox"])
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(versions=st.lists(TREES, min_size=1, max_size=3), made=TREES)
def test_after_any_changes_the_host_has_what_a_fresh_upload_makes(
    host: ShellHost, versions: list[dict[str, str]], made: dict[str, str]
) -> None:
    """And beside it what jobs have made in a directory of their own."""
    work = host.home / "work"
    shutil.rmtree(work, ignore_errors=True)
    session = placed(host)
    with tempfile.TemporaryDirectory() as place:
        for number, version in enumerate(versions):
            folder = Path(place, str(number))
            grow(folder, version)
            send(session, folder)
            assert mirrored(work) == {**contents(folder), **made_by_jobs(work)}
            grow(work / "out", made)
            for name in contents(folder):
                if len(name) % 2:
                    (work / name).write_text("changed by a job")
        assert made_by_jobs(work).keys() == {f"out/{name}" for name in contents(work / "out")}
    session.close()


def made_by_jobs(work: Path) -> dict[str, bytes]:
    return {name: what for name, what in contents(work).items() if name.startswith("out/")}


def grow(folder: Path, tree: dict[str, str]) -> None:
    """As much of a tree as can stand together: no name is a file and a directory."""
    folder.mkdir(exist_ok=True)
    for name, text in sorted(tree.items()):
        path = folder / name
        if not any(parent.is_file() for parent in path.parents) and not path.is_dir():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
