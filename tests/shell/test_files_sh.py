"""Files to and from the host under each shell, and with each shell's find, stat and tar, through the session itself."""

from __future__ import annotations

import glob
import os
import shutil
import signal
import stat
import subprocess
import tempfile
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sshrun.errors import TransferFailed
from sshrun.events import Phase, TransferProgress, WarningNotice
from sshrun.session.protocol import Refusal
from sshrun.session.session import Session
from sshrun.transfer.download import download as download_items
from sshrun.transfer.inline import INLINE_LIMIT, Inline, request_inline
from sshrun.transfer.inline import inline as inline_upload
from sshrun.transfer.local_tree import select_local
from sshrun.transfer.patterns import parse_download, parse_upload
from sshrun.transfer.tar import archive as tar_archive
from sshrun.transfer.tar import header
from sshrun.transfer.upload import upload as upload_items
from support.shell_host import NO_CONNECTION, RefusalOf, ShellHost
from support.trees import contents, globbed
from support.waiting import eventually

WILD = [
    "plain.txt",
    "-rf",
    " a b ",
    "new\nline",
    "end\n",
    "quote'\"`$HOME\\n",
    "[1]*?",
    os.fsdecode(b"\xff\xfe"),
    "x" * os.pathconf("/tmp", "PC_NAME_MAX"),
    ".hidden",
    "deep/" + "/".join(["y" * 60] * 6) + "/file",
    "deep/.hidden/file",
    "sub/-dash/..really",
    "empty",
]

NAMES = ["a", "b", "c.csv", ".hidden", "-rf", "n\nl", "[1]", "\udcff", "back\\slash"]
STEPS = ["*", "**", "?", "*.csv", "[!a]*", ".*", "a", "b", "c.csv", ".hidden", "[[]1]"]
TAR = {"tools": "tar xargs"}


def grow(folder: Path, names: list[str]) -> None:
    for name in names:
        path = os.path.join(folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        content = b"" if name == "empty" else os.fsencode(name) * 100
        with open(path, "wb") as file:
            file.write(content)
        os.utime(path, ns=(0, 1_700_000_000_123_456_789))


def outcome(steps: Generator[TransferProgress | WarningNotice | Phase, None, Any]) -> tuple[Any, list[str]]:
    """What a transfer came to, and its warnings."""
    warnings: list[str] = []
    while True:
        try:
            event = next(steps)
        except StopIteration as end:
            return end.value, warnings
        if isinstance(event, WarningNotice):
            warnings.append(event.text)


@pytest.fixture
def here(tmp_path: Path) -> Path:
    folder = tmp_path / "here"
    folder.mkdir()
    return folder


@pytest.fixture
def session(host: ShellHost) -> Session:
    return placed(host)


def placed(host: ShellHost, folder: str = "work") -> Session:
    session = host.session()
    session.request("place", str(host.home / folder))
    assert session.reply().word == "placed"
    return session


def upload(session: Session, here: Path, *texts: str, compress: bool = False) -> tuple[Any, list[str]]:
    items = select_local([parse_upload(text) for text in texts], here).items
    return outcome(upload_items(session, NO_CONNECTION, items, TAR, compress=compress))


def download(session: Session, home: Path, *texts: str, **keywords: Any) -> tuple[Any, list[str]]:
    patterns = [parse_download(text) for text in texts]
    return outcome(download_items(session, NO_CONNECTION, patterns, home, TAR, **keywords))


@pytest.mark.parametrize("compress", [False, True], ids=["plain", "gzip"])
def test_every_name_arrives_there_and_comes_home(
    host: ShellHost, session: Session, here: Path, tmp_path: Path, compress: bool
) -> None:
    grow(here, WILD)
    done, _ = upload(session, here, ".", compress=compress)
    assert done.files >= len(WILD)
    assert contents(host.home / "work") == contents(here)
    done, warnings = download(session, tmp_path / "back", ".", compress=compress)
    assert done.files == len(WILD)
    assert warnings == []
    assert contents(tmp_path / "back") == contents(here)
    assert sorted(os.listdir(tmp_path / "back")) == sorted(os.listdir(here))


def test_what_is_unchanged_is_not_sent_again(session: Session, here: Path, tmp_path: Path) -> None:
    grow(here, WILD)
    upload(session, here, ".")
    assert upload(session, here, ".")[0].files == 0
    (here / "plain.txt").write_text("a new one")
    assert upload(session, here, ".")[0].files == 1
    download(session, tmp_path / "back", ".")
    done, _ = download(session, tmp_path / "back", ".")
    assert (done.files, done.bytes) == (0, 0)


def test_a_file_saved_twice_in_one_second_is_sent_twice(
    host: ShellHost, shell: str, session: Session, here: Path
) -> None:
    if shell == "busybox":
        pytest.skip("its tar keeps whole seconds only")
    (here / "a").write_text("one")
    os.utime(here / "a", ns=(0, 1_700_000_000_100_000_000))
    upload(session, here, "a")
    (here / "a").write_text("two")
    os.utime(here / "a", ns=(0, 1_700_000_000_200_000_000))
    upload(session, here, "a")
    assert (host.home / "work" / "a").read_text() == "two"


def test_modes_and_times_are_kept_and_owners_and_set_id_bits_are_not(
    host: ShellHost, session: Session, here: Path, tmp_path: Path
) -> None:
    grow(here, ["run.sh", "secret", "odd"])
    os.chmod(here / "run.sh", 0o751)
    os.chmod(here / "secret", 0o600)
    os.chmod(here / "odd", 0o4755)
    upload(session, here, "*")
    download(session, tmp_path / "back", "*")
    for folder in (host.home / "work", tmp_path / "back"):
        modes = {one.name: stat.S_IMODE(one.stat().st_mode) for one in folder.iterdir()}
        assert modes == {"run.sh": 0o751, "secret": 0o600, "odd": 0o755}
        assert {int(one.stat().st_mtime) for one in folder.iterdir()} == {1_700_000_000}


@pytest.mark.parametrize("shell", ["dash", "bash"])  # busybox knows no locales
def test_a_decimal_comma_there_costs_no_fraction_of_a_second(host: ShellHost, here: Path, tmp_path: Path) -> None:
    speak_german(host)
    session = placed(host)
    grow(here, ["a"])
    upload(session, here, "a")
    assert upload(session, here, "a")[0].files == 0
    os.utime(here / "a", ns=(0, 1_700_000_000_200_000_000))
    assert upload(session, here, "a")[0].files == 1
    (host.home / "work" / "b").symlink_to("a")
    download(session, tmp_path / "back", "a", "b")
    assert {(tmp_path / "back" / name).stat().st_mtime_ns for name in "ab"} == {1_700_000_000_200_000_000}


@pytest.mark.parametrize("shell", ["dash", "bash"])
def test_a_full_disk_is_known_in_every_language(host: ShellHost, mounts: None, here: Path) -> None:
    speak_german(host)
    session = placed(host)
    work = host.home / "work"
    subprocess.run(["mount", "-t", "tmpfs", "-o", "nr_inodes=3", "none", work], check=True)
    try:
        grow(here, ["a", "b", "c"])
        with pytest.raises(TransferFailed, match="No space left on device") as caught:
            upload(session, here, "*")
        assert caught.value.hint == "free some space on the host"
    finally:
        subprocess.run(["umount", "--lazy", work], check=True)


@pytest.mark.parametrize("seconds", [-1.5, -(10**9), 2**31, 2**33 + 7], ids=str)
def test_times_of_before_1970_and_far_from_now_are_kept(
    host: ShellHost, session: Session, here: Path, seconds: float
) -> None:
    grow(here, ["a", "b"])
    os.utime(here / "a", ns=(0, int(seconds * 10**9)))
    upload(session, here, "*")
    assert contents(host.home / "work") == contents(here)
    assert (host.home / "work" / "a").stat().st_mtime // 1 == seconds // 1
    assert upload(session, here, "*")[0].files == 0


def test_a_file_that_became_executable_is_sent_again(host: ShellHost, session: Session, here: Path) -> None:
    grow(here, ["run.sh"])
    upload(session, here, "*")
    os.chmod(here / "run.sh", 0o755)
    upload(session, here, "*")
    assert os.access(host.home / "work" / "run.sh", os.X_OK)


def test_empty_folders_and_new_ones_have_the_users_own_umask(host: ShellHost, session: Session, here: Path) -> None:
    (here / "d" / "empty").mkdir(parents=True)
    grow(here, ["globbed/a"])
    upload(session, here, "d", "globbed/*")
    assert (host.home / "work" / "d" / "empty").is_dir()
    assert stat.S_IMODE((host.home / "work" / "globbed").stat().st_mode) == 0o777 & ~os.umask(os.umask(0o22))


def test_the_sender_resolves_links(host: ShellHost, session: Session, here: Path, tmp_path: Path) -> None:
    grow(tmp_path, ["elsewhere/a", "elsewhere/b"])
    (here / "folder").symlink_to("../elsewhere")
    (here / "best").symlink_to("../elsewhere/a")
    upload(session, here, ".")
    there = host.home / "work"
    assert sorted(contents(there)) == ["best", "folder/a", "folder/b"]
    assert not any(path.is_symlink() for path in there.rglob("*"))
    (there / "again").symlink_to("folder")
    (there / "nothing").symlink_to("nowhere")
    _, warnings = download(session, tmp_path / "back", "again/*", "best", "nothing")
    assert sorted(contents(tmp_path / "back")) == ["again/a", "again/b", "best"]
    assert not any(path.is_symlink() for path in (tmp_path / "back").rglob("*"))
    assert "host: nothing is a link to nothing: left out" in warnings


def test_holes_stay_holes_as_far_as_the_hosts_tar_knows_any(
    host: ShellHost, shell: str, session: Session, here: Path, tmp_path: Path
) -> None:
    """busybox's tar knows none: then zeros travel, and the holes are made anew here."""
    with open(here / "disk.img", "wb") as file:
        for place in range(0, 20_000_000, 700_000):  # more stretches of data than a header has room for
            file.seek(place)
            file.write(b"x" * 5000)
        file.truncate(30_000_001)
    work = host.home / "work"
    upload(session, here, "disk.img")
    assert contents(work) == contents(here)
    if shell == "busybox":
        subprocess.run(["cp", "--preserve", "--sparse=always", here / "disk.img", work], check=True)
    assert (work / "disk.img").stat().st_blocks * 512 < 1_000_000
    download(session, tmp_path / "back", "disk.img")
    assert contents(tmp_path / "back") == contents(here)
    assert (tmp_path / "back" / "disk.img").stat().st_blocks * 512 < 9_000_000


RUNS = {"latest": "run2", "run2/up": "..", "run2/best": "ckpt/7", "run2/ckpt/last": "7", "empty link": "empty"}


def grow_runs(folder: Path) -> None:
    """Runs of which the latest has a name of its own; links to files, folders, an empty one, and back up."""
    grow(folder, ["run1/ckpt/1", "run2/ckpt/7", "run2/n\nl"])
    (folder / "empty").mkdir()
    (folder / "odd\nlink").symlink_to("run2/n\nl")
    for name, target in RUNS.items():
        (folder / name).symlink_to(target)


def links(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): os.readlink(path) for path in folder.rglob("*") if path.is_symlink()}


def test_a_link_to_what_goes_along_stays_a_link(host: ShellHost, session: Session, here: Path, tmp_path: Path) -> None:
    grow_runs(here)
    work = host.home / "work"
    upload(session, here, ".")
    assert links(work) == links(here)
    assert contents(work) == contents(here)
    before = {path: path.lstat().st_ino for path in work.rglob("*")}
    upload(session, here, ".")
    assert {path: path.lstat().st_ino for path in work.rglob("*")} == before
    for _ in range(2):
        done, warnings = download(session, tmp_path / "back", ".")
        assert (links(tmp_path / "back"), warnings) == (links(here), [])
    assert (done.files, contents(tmp_path / "back")) == (0, contents(here))
    (work / "latest").unlink()
    (work / "latest").symlink_to("run1")
    download(session, tmp_path / "back", ".")
    assert os.readlink(tmp_path / "back" / "latest") == "run1"
    upload(session, here, ".")
    assert links(work) == links(here)


def test_a_small_upload_brings_its_links_along(host: ShellHost, here: Path) -> None:
    grow_runs(here)
    small = inline_upload(select_local([parse_upload(".")], here).items)
    assert small is not None
    session = placed(host)
    request_inline(session, small)
    session.request("probe", ".")
    assert [session.reply().word for _ in range(2)] == ["put", "links"]
    assert links(host.home / "work") == links(here)


def test_what_stands_in_the_place_of_a_link_is_lost_only_where_it_is_nothing(
    host: ShellHost, session: Session, here: Path, tmp_path: Path
) -> None:
    grow(here, ["run2/m"])
    (here / "latest").symlink_to("run2")
    work, back = host.home / "work", tmp_path / "back"
    for folder in (work, back):
        grow(folder, ["latest"])
    upload(session, here, ".")
    download(session, back, ".")
    for folder in (work, back):
        assert os.readlink(folder / "latest") == "run2"
        (folder / "latest").unlink()
        (folder / "latest").mkdir()
    upload(session, here, ".")
    download(session, back, ".")
    (back / "latest").unlink()
    grow(back, ["latest/mine"])
    _, warnings = download(session, back, ".")
    assert warnings == ["latest is a local directory; on the host it is a link to run2: move it away to have it"]
    assert contents(back / "latest") == {"mine": b"latest/mine" * 100} or (back / "latest" / "mine").exists()
    (work / "latest").unlink()
    grow(work, ["latest/theirs"])
    with pytest.raises(TransferFailed, match="latest is a directory on the host and a link on the client"):
        upload(session, here, ".")
    assert (work / "latest" / "theirs").exists()


def test_links_in_the_way_there_are_replaced_not_followed(host: ShellHost, session: Session, here: Path) -> None:
    grow(here, ["d/a", "b"])
    there, outside = host.home / "work", host.home / "outside"
    grow(outside, ["keep"])
    (there / "d").symlink_to(outside)
    (there / "b").symlink_to(outside / "keep")
    upload(session, here, ".")
    assert contents(outside) == {"keep": b"keep" * 100}
    assert contents(there) == contents(here)


def test_a_link_that_leads_back_is_not_entered_again(
    host: ShellHost, session: Session, here: Path, tmp_path: Path
) -> None:
    there = host.home / "work"
    grow(there, ["a/x", "a/b/y"])
    (there / "a" / "up").symlink_to("..")
    (there / "a" / "b" / "self").symlink_to(".")
    download(session, tmp_path / "back", "**/*")
    assert sorted(contents(tmp_path / "back")) == ["a/b/y", "a/x"]


@pytest.mark.parametrize("shell", ["dash", "busybox"])
def test_the_host_finds_what_glob_finds(host: ShellHost, session: Session) -> None:
    there = host.home / "work"

    @settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(
        st.sets(st.lists(st.sampled_from(NAMES), min_size=1, max_size=4).map("/".join), max_size=8),
        st.lists(st.sampled_from(STEPS), min_size=1, max_size=4).map("/".join),
    )
    def check(names: set[str], pattern: str) -> None:
        with tempfile.TemporaryDirectory(dir=there) as tree, tempfile.TemporaryDirectory() as back:
            for name in sorted(names):
                try:
                    grow(Path(tree), [name])
                except (FileExistsError, NotADirectoryError, IsADirectoryError):
                    pass
            os.symlink("a", os.path.join(tree, "linked"))
            prefix = os.path.basename(tree)
            wanted = globbed(there, f"{glob.escape(prefix)}/{pattern}")
            download(session, Path(back), f"{prefix}/{pattern}")
            # What is found through a link may be there through a link, too.
            assert set(contents(Path(back))) <= wanted
            assert all(os.path.isfile(os.path.join(back, name)) for name in wanted)

    check()


def test_a_target_elsewhere_is_made(host: ShellHost, session: Session, here: Path, tmp_path: Path) -> None:
    grow(here, ["a"])
    upload(session, here, f"a|{host.home}/new folder/b", "a|~/up/", "a|../c")
    assert contents(host.home / "new folder") == {"b": b"a" * 100}
    assert contents(host.home / "up") == {"a": b"a" * 100}
    assert (host.home / "c").read_bytes() == b"a" * 100
    download(session, tmp_path / "back", "~/up|x/", f"~/up/a|{tmp_path}/out/y", "../c|z")
    assert sorted(contents(tmp_path / "back")) == ["x/up/a", "z"]
    assert contents(tmp_path / "out") == {"y": b"a" * 100}


def test_a_folder_whose_name_ends_in_a_newline(host: ShellHost, here: Path, tmp_path: Path) -> None:
    grow(here, ["a"])
    session = placed(host, "work\n")
    upload(session, here, "a", "a|../up\n/b")
    assert contents(host.home) == {"work\n/a": b"a" * 100, "up\n/b": b"a" * 100}
    done, warnings = download(session, tmp_path / "back", "a", "../up\n/b|b", "../up\n|c")
    assert (done.files, warnings) == (3, [])
    assert sorted(contents(tmp_path / "back")) == ["a", "b", "c/b"]


def test_what_is_missing_is_told(session: Session, here: Path, tmp_path: Path) -> None:
    done, warnings = download(session, tmp_path / "back", "results.zip", "no/such/*.txt")
    assert done.missing == ("results.zip",)
    assert warnings == [
        "host: results.zip matches nothing on the host",
        "host: no/such/*.txt matches nothing on the host",
    ]


def test_hard_links_come_home_as_files(host: ShellHost, session: Session, tmp_path: Path) -> None:
    grow(host.home / "work", ["a"])
    os.link(host.home / "work" / "a", host.home / "work" / "b")
    download(session, tmp_path / "back", "*")
    assert contents(tmp_path / "back") == {"a": b"a" * 100, "b": b"a" * 100}


def test_what_no_pattern_names_stays_as_it_is_here(host: ShellHost, session: Session, tmp_path: Path) -> None:
    grow(host.home / "work", ["m.py", "m.zip"])
    home = tmp_path / "back"
    grow(home, ["other.zip"])
    (home / "m.py").write_text("my own")
    _, warnings = download(session, home, "m.*", protected=[home / "m.py"])
    assert (home / "m.py").read_text() == "my own"
    assert (home / "m.zip").exists()
    assert (home / "other.zip").exists()
    assert len(warnings) == 1
    assert "m.py is not replaced" in warnings[0]


def test_a_link_in_the_way_here_is_refused_and_nothing_behind_it_is_touched(
    host: ShellHost, session: Session, tmp_path: Path
) -> None:
    grow(host.home / "work", ["logs/a.txt"])
    home, outside = tmp_path / "back", tmp_path / "outside"
    home.mkdir()
    outside.mkdir()
    (home / "logs").symlink_to(outside)
    with pytest.raises(TransferFailed, match="logs is, or lies behind, a local link"):
        download(session, home, "logs/*")
    assert list(outside.iterdir()) == []
    assert [one.name for one in home.iterdir()] == ["logs"]


def test_a_link_under_a_files_name_here_is_replaced(host: ShellHost, session: Session, tmp_path: Path) -> None:
    grow(host.home / "work", ["a"])
    home, outside = tmp_path / "back", tmp_path / "outside"
    home.mkdir()
    outside.write_text("keep")
    (home / "a").symlink_to(outside)
    download(session, home, "a")
    assert outside.read_text() == "keep"
    assert contents(home) == {"a": b"a" * 100}
    assert not (home / "a").is_symlink()


def test_a_folder_in_the_way_of_a_file_is_one_clear_line(
    host: ShellHost, session: Session, here: Path, tmp_path: Path
) -> None:
    grow(here, ["a", "b"])
    (host.home / "work" / "a").mkdir()
    with pytest.raises(TransferFailed, match=r"host cannot store the files: .*a"):
        upload(session, here, "*")
    assert list(host.home.glob("work/.sshrun*")) == []
    grow(host.home / "work", ["c"])
    (tmp_path / "back" / "c").mkdir(parents=True)
    with pytest.raises(TransferFailed, match="c is a local directory, and a file on the host"):
        download(placed(host), tmp_path / "back", "c")


def test_a_small_upload_travels_with_the_request_that_starts_the_job(host: ShellHost, here: Path) -> None:
    grow(here, [name for name in WILD if len(name) < 100])
    items = select_local([parse_upload(".")], here).items
    data = inline_upload(items)
    assert data is not None
    session = host.session()
    session.request("place", str(host.home / "work"))
    request_inline(session, data)
    session.request("probe", ".")
    assert [session.reply().word for _ in range(2)] == ["placed", "put"]
    assert contents(host.home / "work") == contents(here)


def test_a_large_or_distant_upload_does_not_travel_inline(here: Path) -> None:
    (here / "large").write_bytes(bytes(INLINE_LIMIT))
    grow(here, ["small"])

    def inline(text: str) -> Inline | None:
        return inline_upload(select_local([parse_upload(text)], here).items)

    assert inline("large") is None
    assert inline("small|/srv/") is None
    assert inline("small") is not None
    assert inline_upload([]) == Inline(b"", [])


def test_without_tar_nothing_behind_an_inline_upload_is_carried_out(
    host: ShellHost, here: Path, refusal: RefusalOf
) -> None:
    grow(here, ["a"])
    host.variables["PATH"] = host.path = str(without(host, "tar"))
    session = host.session()
    session.request("place", str(host.home / "work"))
    inline = inline_upload(select_local([parse_upload("a")], here).items)
    assert inline is not None
    request_inline(session, inline)
    session.request("directory", "evidence")
    assert refusal(session).word == "notar"
    assert list((host.home / "work").iterdir()) == []


def test_a_connection_cut_within_an_archive_leaves_each_file_old_or_new(host: ShellHost, here: Path) -> None:
    grow(host.home / "work", ["a"])
    (here / "a").write_bytes(os.urandom(100_000))
    (here / "b").write_bytes(os.urandom(100_000))
    items = select_local([parse_upload("*")], here).items
    data = b"".join(tar_archive(items, [header(one) for one in items]))
    for cut in (0, 100, 512, 50_000, 100_000, 102_000, 150_000, len(data) - 1):
        session = placed(host)
        session.request("put", ".", str(len(data)), "")
        session.send(data[:cut])
        session.child.close_stdin()
        session.child.wait(timeout=20)
        for name, content in contents(host.home / "work").items():
            assert content in (name.encode() * 100, (here / name).read_bytes())
        assert (host.home / "work" / "a").exists()
    upload(placed(host), here, "*")
    assert contents(host.home / "work") == contents(here)


def test_leftovers_there_go_with_the_next_upload(host: ShellHost, session: Session, here: Path) -> None:
    grow(here, ["a"])
    left = host.home / "work" / f".sshrun-part-{os.uname().nodename}"
    grow(left, ["half"])
    upload(session, here, "a")
    assert [one.name for one in (host.home / "work").iterdir()] == ["a"]


def begin_put(session: Session, here: Path, *texts: str) -> bytes:
    """Sends the first half of an archive, and returns the rest once the host has begun to unpack it."""
    items = select_local([parse_upload(text) for text in texts], here).items
    data = b"".join(tar_archive(items, [header(one) for one in items]))
    session.request("put", ".", str(len(data)), "")
    session.send(data[: len(data) // 2])
    return data[len(data) // 2 :]


def test_two_clients_that_upload_into_one_directory_leave_each_other_alone(
    host: ShellHost, session: Session, here: Path
) -> None:
    work = host.home / "work"
    grow(here, ["a", "b"])
    (here / "large").write_bytes(os.urandom(300_000))
    other = placed(host)
    rest = begin_put(session, here, "a", "large")
    eventually(lambda: list(work.glob(".sshrun-part-*")))
    upload(other, here, "b")
    session.send(rest)
    assert session.reply().word == "put"
    assert contents(work) == contents(here)
    assert not list(work.glob(".sshrun*"))


def test_two_clients_have_each_their_own_place_for_rsync_and_scp(host: ShellHost, session: Session) -> None:
    other = placed(host)
    for request in (("rsync", "."), ("scp_begin",)):
        places = []
        for one in (session, other):
            one.request(*request)
            places.append(os.path.join(host.home, one.reply().values))
        assert places[0] != places[1] and all(map(os.path.isdir, places))
    session.request("tidy", ".", "1")
    session.request("scp_end")
    assert [session.reply().word, session.reply().word] == ["tidy", "ended"]
    assert [Path(place).parent.name for place in host.home.rglob("*scp.*")] == [host.state.name]
    assert len(list((host.home / "work").glob(".sshrun*"))) == 1


def test_what_a_client_that_was_killed_left_goes_with_the_next_upload(
    host: ShellHost, session: Session, here: Path
) -> None:
    grow(here, ["a"])
    (here / "large").write_bytes(os.urandom(300_000))
    work = host.home / "work"
    begin_put(session, here, "a", "large")
    (part,) = eventually(lambda: list(work.glob(".sshrun-part-*")))
    os.kill(session.child.pid, signal.SIGKILL)
    session.child.wait(timeout=20)
    assert part.is_dir()
    grow(part.with_name(f"{part.name}.rsync"), ["half"])
    grow(host.state / f"scp.{part.name.split('.', 2)[-1]}", ["half"])
    (work / f"{part.name}0").mkdir()  # of a session whose start nobody has
    grow(work, [".sshrun-part-elsewhere.1.1/a"])
    other = placed(host)
    upload(other, here, "a")
    assert sorted(os.listdir(work)) == [".sshrun-part-elsewhere.1.1", "a"]


def test_who_lost_the_host_to_a_force_puts_nothing_beside_the_new_job(
    host: ShellHost, session: Session, here: Path, refusal: RefusalOf
) -> None:
    work = host.home / "work"
    grow(here, ["a"])
    (here / "large").write_bytes(os.urandom(300_000))
    host.claim(session, host.new_id())
    rest = begin_put(session, here, "a", "large")
    eventually(lambda: list(work.glob(".sshrun-part-*")))
    other = placed(host)
    host.claim(other, host.new_id(), verb="force")
    session.send(rest)
    assert refusal(session).word == "late"
    assert os.listdir(work) == []
    for request in (("directory", "."), ("rsync", ".")):
        other.request(*request)
        assert other.reply().word == request[0]


def test_a_folder_that_cannot_be_made_there_is_one_clear_line(host: ShellHost, session: Session, here: Path) -> None:
    grow(here, ["a"])
    grow(host.home, ["file"])
    with pytest.raises(TransferFailed, match="the directory ~/file/sub cannot be made or written"):
        upload(session, here, "a|~/file/sub/a")


def test_a_folder_there_that_cannot_be_read_is_told(host: ShellHost, tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root reads everything")
    session = placed(host)
    grow(host.home / "work", ["open/a", "closed/b"])
    (host.home / "work" / "closed").chmod(0)
    _, warnings = download(session, tmp_path / "back", "**")
    (host.home / "work" / "closed").chmod(0o700)
    assert any("closed" in text for text in warnings)


def test_without_sha256_nothing_counts_as_retrieved(host: ShellHost, tmp_path: Path) -> None:
    grow(host.home / "work", ["a"])
    host.variables["PATH"] = host.path = str(without(host, "sha256sum", "shasum"))
    with pytest.raises(TransferFailed, match="no program for SHA-256"):
        download(placed(host), tmp_path / "back", "a")
    assert list((tmp_path / "back").iterdir()) == []


def test_a_file_that_is_written_to_meanwhile_comes_home_with_a_warning(
    host: ShellHost, session: Session, tmp_path: Path
) -> None:
    """A tar of the host's that appends to the file as soon as it has read it."""
    grow(host.home / "work", ["log"])
    fake(host, "tar", '"$real" "$@"; status=$?; case $* in *chf*) echo more >>./log ;; esac; exit $status')
    done, warnings = download(placed(host), tmp_path / "back", "log")
    assert done.files == 1
    assert warnings == ["log was written to while it was read: this is what it held on the way"]
    assert contents(tmp_path / "back") == {"log": b"log" * 100}


def test_a_file_that_vanishes_meanwhile_is_a_warning(host: ShellHost, session: Session, tmp_path: Path) -> None:
    grow(host.home / "work", ["a", "log"])
    fake(host, "tar", 'case $* in *chf*) rm ./log ;; esac; "$real" "$@"')
    _done, warnings = download(placed(host), tmp_path / "back", "*")
    assert warnings == ["host: log vanished before it could be sent"]
    assert contents(tmp_path / "back") == {"a": b"a" * 100}


def test_a_file_that_arrives_damaged_is_not_retrieved(host: ShellHost, session: Session, tmp_path: Path) -> None:
    (host.home / "work" / "file").write_bytes(b"Q" * 10_000)
    fake(host, "tar", 'case $* in *chf*) "$real" "$@" | tr Q R ;; *) "$real" "$@" ;; esac')
    with pytest.raises(TransferFailed, match="file did not arrive as it is on host"):
        download(placed(host), tmp_path / "back", "file")
    assert list((tmp_path / "back").iterdir()) == []


def test_a_refusal_ends_the_session(host: ShellHost, session: Session, here: Path) -> None:
    session.request("put", "/proc/nowhere", "0", "")
    with pytest.raises(Refusal):
        session.reply()


def speak_german(host: ShellHost) -> None:
    if not shutil.which("localedef") or not os.path.exists("/usr/share/i18n/locales/de_DE"):
        pytest.skip("this needs a locale: apt install locales")
    subprocess.run(["localedef", "-i", "de_DE", "-f", "UTF-8", host.home / "de_DE.UTF-8"], check=False)
    host.variables |= {"LOCPATH": str(host.home), "LC_ALL": "de_DE.UTF-8"}


def fake(host: ShellHost, name: str, script: str) -> None:
    """Puts a program before the host's own; `$real` is that one."""
    host.needs_path()
    folder = host.home / "fake"
    folder.mkdir(exist_ok=True)
    real = next(
        os.path.join(place, name) for place in host.path.split(":") if os.path.exists(os.path.join(place, name))
    )
    (folder / name).write_text(f"#!/bin/sh\nreal='{real}'\n{script}\n")
    (folder / name).chmod(0o755)
    host.variables["PATH"] = host.path = f"{folder}:{host.path}"


def without(host: ShellHost, *names: str) -> Path:
    """A folder with all the host's programs but some."""
    host.needs_path()
    folder = host.home / "programs"
    folder.mkdir()
    for place in host.path.split(":"):
        for program in os.scandir(place):
            if program.name not in names and not (folder / program.name).is_symlink():
                (folder / program.name).symlink_to(program.path)
    return folder
