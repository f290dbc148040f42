"""Hosts that lie: whatever their tar, rsync, scp or list of files says, nothing but what was asked for changes here."""

from __future__ import annotations

import io
import json
import os
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.moving import Mover, grow, leftovers
from support.trees import contents

HERE = Path(__file__).parent
REGULAR, FOLDER, LINK, FIFO, DEVICE = 0o100644, 0o040755, 0o120777, 0o010644, 0o060666
MINE = b"my own"


class Liar:
    """A host of whose programs one lies, and a home here with something to lose."""

    def __init__(self, start_sandbox, folder: Path) -> None:
        self.folder = folder
        self.fakes = folder / "fakes"
        self.fakes.mkdir()
        self.lies = folder / "lies"
        self.home = folder / "outside" / "home"
        self.home.mkdir(parents=True)
        for name in ("m.py", "b", "A", "evil"):
            (self.home / name).write_bytes(MINE)
        (self.folder / "outside" / "evil").write_bytes(MINE)
        (self.home / "linked").symlink_to("..")
        self.before = self.seen()
        path = f"{self.fakes}:{os.environ['PATH']}"
        self.sandbox = start_sandbox("Subsystem sftp /bin/false", environment={"PATH": path})
        self.mover = Mover(self.sandbox)
        grow(self.mover.there, "a", "d/a", "linked/x")

    def lie(self, program: str, script: str) -> None:
        """Puts a program before the host's own, which it can call as `$real`."""
        real = next(f"{place}/{program}" for place in ("/usr/bin", "/bin") if os.path.exists(f"{place}/{program}"))
        path = self.fakes / program
        path.write_text(
            f"#!/bin/sh\nreal={real} lies='{self.lies}' python='{sys.executable}' here='{HERE}'\n{script}\n"
        )
        path.chmod(0o755)

    def seen(self) -> dict[str, tuple[int, bytes]]:
        """Everything here: kind, and content or target."""
        found = {}
        for top, folders, names in os.walk(self.folder / "outside"):
            for name in (*folders, *names):
                path = Path(top, name)
                kind = path.lstat().st_mode & 0o170000
                content = os.fsencode(os.readlink(path)) if path.is_symlink() else b""
                found[os.path.relpath(path, self.folder)] = (kind, path.read_bytes() if kind == 0o100000 else content)
        return found

    def refused(self, engine: str, *texts: str) -> str:
        """Downloads, and nothing here has changed by it; what was said."""
        error = self.mover.fail(lambda: self.mover.download(self.home, *(texts or ("a",)), engine=engine))
        assert self.seen() == self.before
        assert not leftovers(self.folder / "outside")
        assert error.message.isprintable()
        return error.message


@pytest.fixture
def liar(start_sandbox, tmp_path: Path) -> Iterator[Liar]:
    liar = Liar(start_sandbox, tmp_path)
    yield liar
    liar.mover.close()


def archived(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for member, data in members:
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return file.getvalue()


def member(
    name: str, kind: bytes = tarfile.REGTYPE, link: str = "", data: bytes = b"evil"
) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info, data if kind == tarfile.REGTYPE else b""


SENDS_LIES = 'case $* in *chf*) cat "$lies" ;; *) exec "$real" "$@" ;; esac'


@pytest.mark.parametrize(
    ("said", "members"),
    [
        ("not asked for", [member("./../evil")]),
        ("not asked for", [member("../evil")]),
        ("not asked for", [member("/etc/evil")]),
        ("not asked for", [member("./b")]),
        ("not asked for", [member("./A")]),
        ("not asked for", [member("./a"), member("./a")]),
        ("not asked for", [member("./m.py")]),
        ("not a file", [member("./a", tarfile.SYMTYPE, "../evil"), member("./a/evil")]),
        ("not a file", [member("./a", tarfile.SYMTYPE, "/etc/passwd")]),
        ("not a file", [member("./a", tarfile.DIRTYPE)]),
        ("not a file", [member("./a", tarfile.FIFOTYPE)]),
        ("not a file", [member("./a", tarfile.BLKTYPE)]),
        ("did not arrive as it is", [member("./a", tarfile.GNUTYPE_SPARSE)]),
        ("did not send", [member("./a", tarfile.LNKTYPE, "/etc/passwd")]),
        ("did not send", [member("./a", tarfile.LNKTYPE, "../evil")]),
        ("\\x1b]0;evil", [member("./\x1b]0;evil\x07\n")]),
        ("did not arrive as it is", [member("./a")]),
        ("does not send a", []),
    ],
    ids=lambda value: (
        value if isinstance(value, str) else ",".join(f"{info.name!r}{info.type.decode()}" for info, _ in value)
    ),
)
def test_a_tar_that_lies(liar: Liar, said: str, members: list[tuple[tarfile.TarInfo, bytes]]) -> None:
    liar.lies.write_bytes(archived(*members))
    liar.lie("tar", SENDS_LIES)
    assert said in liar.refused("tar")


def sparse(pairs: list[tuple[int, int]], size: int, data: bytes, *, follows: int = 0, tail: bytes = b"") -> bytes:
    """A member ./a of `size` with holes (GNU tar, "Old GNU Format"), whose data stand at these offsets."""
    info, _ = member("./a", tarfile.GNUTYPE_SPARSE)
    info.size = len(data)
    block = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    block[386:482] = b"".join(b"%011o\0%011o\0" % pair for pair in pairs).ljust(96, b"\0")
    block[482:495] = bytes((follows,)) + b"%011o\0" % size
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block) + tail + data.ljust(-(-len(data) // 512) * 512, b"\0") + bytes(1024)


@pytest.mark.parametrize(
    ("lies", "then"),
    [
        (sparse([(2000, 4)], 2000, b"evil"), ""),
        (sparse([(100, 4), (50, 4)], 3000, b"evilevil"), ""),
        (sparse([(0, 4), (2, 4)], 3000, b"evilevil"), ""),
        (sparse([(0, 400)], 3000, b"evil"), ""),
        (sparse([(8**11 - 1, 8**11 - 1)], 8**11 - 1, b"evil"), ""),
        (sparse([(0, 4)], 3000, b"evil", follows=1)[:512], ""),
        (
            sparse([], 3000, b"", follows=1),
            '"$python" -c \'import sys\nwhile 1: sys.stdout.buffer.write(bytes(504)+b"\\x01"*8)\'',
        ),
    ],
    ids=["beyond its end", "backwards", "twice", "less data", "far", "cut", "endless"],
)
def test_a_tar_with_holes_that_lies(liar: Liar, lies: bytes, then: str) -> None:
    liar.lies.write_bytes(lies)
    liar.lie(
        "tar",
        f'case $* in *chf*) head -c 512 "$lies"; {then or ":"}; tail -c +513 "$lies" ;; *) exec "$real" "$@" ;; esac',
    )
    assert "an archive that cannot be read" in liar.refused("tar")


def test_a_tar_of_one_large_hole_is_no_larger_than_was_listed(liar: Liar) -> None:
    liar.lies.write_bytes(sparse([], 1 << 30, b""))
    liar.lie("tar", SENDS_LIES)
    assert "sends 1073741824 bytes as a, listed with 3000" in liar.refused("tar")


def test_a_tar_that_tells_the_truth_is_believed(liar: Liar) -> None:
    liar.lies.write_bytes(archived(member("./a", data=(liar.mover.there / "a").read_bytes())))
    liar.lie("tar", SENDS_LIES)
    liar.mover.download(liar.home, "a", engine="tar")
    assert (liar.home / "a").read_bytes() == (liar.mover.there / "a").read_bytes()


def test_a_tar_that_never_ends(liar: Liar) -> None:
    info, _ = member("./a")
    info.size = 1 << 40
    liar.lies.write_bytes(info.tobuf(tarfile.GNU_FORMAT))
    liar.lie("tar", 'case $* in *chf*) cat "$lies" /dev/zero ;; *) exec "$real" "$@" ;; esac')
    assert "sends 1099511627776 bytes as a, listed with 3000" in liar.refused("tar")


def test_a_tar_of_very_many_names(liar: Liar) -> None:
    liar.lies.write_bytes(archived(*(member(f"./{number}", data=b"") for number in range(10_000))))
    liar.lie("tar", 'case $* in *chf*) while cat "$lies"; do :; done ;; *) exec "$real" "$@" ;; esac')
    assert "not asked for" in liar.refused("tar")


def said_ahead(kind: bytes, data: bytes, size: int | None = None) -> bytes:
    """What an archive may say before a file."""
    info = tarfile.TarInfo("ahead")
    info.type, info.size = kind, len(data) if size is None else size
    return info.tobuf(tarfile.GNU_FORMAT) + data.ljust(-(-len(data) // 512) * 512, b"\0")


@pytest.mark.parametrize(
    ("lies", "then"),
    [
        (b"", "/dev/zero"),
        (said_ahead(b"g", b"", 1 << 70), "/dev/zero"),
        (said_ahead(tarfile.XHDTYPE, b"12 size=abc\n"), "/dev/null"),
        (said_ahead(tarfile.XHDTYPE, b"12 size=-10\n"), "/dev/null"),
    ],
    ids=["zeros", "global", "letters", "negative"],
)
def test_a_tar_of_no_files(liar: Liar, lies: bytes, then: str) -> None:
    liar.lies.write_bytes(lies + archived(member("./a")) * bool(lies))
    liar.lie("tar", f'case $* in *chf*) cat "$lies" {then} ;; *) exec "$real" "$@" ;; esac')
    assert "an archive that cannot be read" in liar.refused("tar")


def test_a_tar_whose_record_is_longer_than_can_be_counted(liar: Liar) -> None:
    record = said_ahead(tarfile.XHDTYPE, b"1" * 5000 + b" size=1\n")
    liar.lies.write_bytes(record + archived(member("./a")))
    liar.lie("tar", SENDS_LIES)
    assert "did not arrive as it is" in liar.refused("tar")


@pytest.mark.parametrize("program", ['cat "$lies"', '"$real" "$@"; exec cat /dev/zero'], ids=["noise", "endless"])
def test_a_gzip_that_is_none(liar: Liar, program: str) -> None:
    liar.lies.write_bytes(b"noise" * 100)
    liar.lie("gzip", program)
    error = liar.mover.fail(lambda: liar.mover.download(liar.home, "a", engine="tar", compress=True))
    assert "an archive that cannot be read" in error.message
    assert liar.seen() == liar.before


@pytest.mark.parametrize("lies", [b"\xff" * 5000, b"x" * 100, b"\0" * 512 + b"y" * 512], ids=["noise", "short", "late"])
def test_a_tar_that_is_none(liar: Liar, lies: bytes) -> None:
    liar.lies.write_bytes(lies)
    liar.lie("tar", SENDS_LIES)
    assert "an archive that cannot be read" in liar.refused("tar")


def test_a_gzip_that_is_a_bomb(liar: Liar) -> None:
    info, _ = member("./a")
    info.size = 1 << 40
    liar.lies.write_bytes(info.tobuf(tarfile.GNU_FORMAT))
    liar.lie("gzip", 'cat "$lies" /dev/zero | "$real" -9')
    error = liar.mover.fail(lambda: liar.mover.download(liar.home, "a", engine="tar", compress=True))
    assert "listed with 3000" in error.message
    assert liar.seen() == liar.before


LYING_RSYNC = 'case $* in *--sender*) exec "$python" "$here/lying_rsync.py" "$lies" ;; *) exec "$real" "$@" ;; esac'


@pytest.mark.parametrize(
    "entries",
    [
        [{"name": "../evil", "mode": REGULAR, "text": "evil"}],
        [{"name": "/etc/evil", "mode": REGULAR, "text": "evil"}],
        [{"name": "b", "mode": REGULAR, "text": "evil"}],
        [{"name": "A", "mode": REGULAR, "text": "evil"}],
        [{"name": "a", "mode": REGULAR, "text": "fine"}, {"name": "b", "mode": REGULAR, "text": "evil"}],
        [{"name": "a", "mode": LINK, "text": "evil"}],
        [{"name": "a", "mode": FIFO, "text": "evil"}],
        [{"name": "a", "mode": DEVICE, "text": "evil"}],
        [{"name": "a", "mode": FOLDER, "text": "evil"}],
        [{"name": "a", "mode": REGULAR, "endless": True}],
        [{"name": f"{number:06}", "mode": REGULAR, "text": ""} for number in range(20_000)],
        [{"name": "\x1b]0;evil\x07", "mode": REGULAR, "text": "evil"}],
        [],
    ],
    ids=lambda entries: f"{len(entries)} {entries[0]['name']!r} {entries[0]['mode']:o}" if entries else "nothing",
)
def test_an_rsync_that_lies(liar: Liar, entries: list[dict]) -> None:
    liar.lies.write_text(json.dumps(entries))
    liar.lie("rsync", LYING_RSYNC)
    assert liar.refused("rsync")


def test_an_rsync_that_tells_the_truth_is_believed(liar: Liar) -> None:
    liar.lies.write_text(json.dumps([{"name": "a", "mode": REGULAR, "text": "truth"}]))
    liar.lie("rsync", LYING_RSYNC)
    liar.mover.download(liar.home, "a", engine="rsync")
    assert (liar.home / "a").read_text() == "truth"


LYING_SCP = 'exec "$python" "$here/lying_scp.py" "$lies"'


@pytest.mark.parametrize(
    "entries",
    [
        [{"line": "C0644 4 ../evil", "text": "evil"}],
        [{"line": "C0644 4 /etc/evil", "text": "evil"}],
        [{"line": "C0644 4 b", "text": "evil"}],
        [{"line": "D0755 0 1"}, {"line": "C0644 4 evil", "text": "evil"}],
        [{"line": "D0755 0 ../linked"}, {"line": "C0644 4 evil", "text": "evil"}],
        [{"line": "C0644 4 1", "text": "evil"}],
        [{"line": "C0644 99999999999 1", "endless": True}],
        [{"line": "\x01\x1b]0;evil\x07"}],
        [],
    ],
    ids=lambda entries: repr(entries[0]["line"]) if entries else "nothing",
)
def test_an_scp_that_lies(liar: Liar, entries: list[dict]) -> None:
    liar.lies.write_text(json.dumps(entries))
    liar.lie("scp", LYING_SCP)
    assert liar.refused("scp")


def test_an_scp_that_tells_the_truth_is_believed(liar: Liar) -> None:
    data = "truth" * 600
    (liar.mover.there / "a").write_text(data)
    liar.lies.write_text(json.dumps([{"line": "C0644 3000 1", "text": data}]))
    liar.lie("scp", LYING_SCP)
    liar.mover.download(liar.home, "a", engine="scp")
    assert (liar.home / "a").read_text() == data


@pytest.mark.parametrize(
    "name", ["./../evil", "/etc/evil", "./b", "./d/../../evil", "./d//a", "./d/./a", "./d/\x1b]0;evil\x07/.."]
)
def test_a_list_that_lies(liar: Liar, name: str) -> None:
    liar.lies.write_text(f"81a4 4 1600000000.000000000 1 1 1.0 8 {name}")
    liar.lie("stat", 'case $2 in *=*) printf "%s=%s\\n" "${2%%=*}" "$(cat "$lies")" ;; *) exec "$real" "$@" ;; esac')
    assert "which it was not asked for" in liar.refused("tar", "d")


def test_a_list_that_makes_no_sense(liar: Liar) -> None:
    liar.lie("stat", 'case $2 in *=*) printf "%s=nonsense\\n" "${2%%=*}" ;; *) exec "$real" "$@" ;; esac')
    assert "its list of files cannot be read: =nonsense" in liar.refused("tar")


@pytest.mark.parametrize(
    "record",
    [
        "88888888888888888 4 1.0 1 1 1.0 8 ./a",
        "-81a4 4 1.0 1 1 1.0 8 ./a",
        "81a4 -5 1.0 1 1 1.0 8 ./a",
        f"81a4 1{'0' * 30} 1.0 1 1 1.0 8 ./a",
        f"81a4 4 1{'0' * 30}.0 1 1 1.0 8 ./a",
        "81a4 4 1.0 1 1 1.0 -x ./a",
        "81a4 4 1.0 1 1 ./a",
        "81a4 4 1.0 1 1 1.0 8 ./d/a\0./b",
    ],
)
def test_a_list_of_what_cannot_be(liar: Liar, record: str) -> None:
    liar.lies.write_text(record)
    liar.lie("stat", 'case $2 in *=*) printf "%s=" "${2%%=*}"; cat "$lies"; echo ;; *) exec "$real" "$@" ;; esac')
    for engine in ("rsync", "tar", "scp"):
        assert "its list of files cannot be read" in liar.refused(engine, "a" if record.endswith("/a") else "d")


def test_a_name_without_end(liar: Liar) -> None:
    liar.lie("stat", 'case $2 in *=*) printf "%s=81a4 " "${2%%=*}"; cat /dev/zero ;; *) exec "$real" "$@" ;; esac')
    assert "its list of files has no end" in liar.refused("tar", "d")


def test_digests_without_end(liar: Liar) -> None:
    liar.lie("sha256sum", "cat /dev/zero")
    assert "more digests than it was asked for" in liar.refused("tar")


@pytest.mark.long
def test_a_list_without_end(liar: Liar) -> None:
    script = (
        'mark=${2%%=*}; exec awk -v mark="$mark" \'BEGIN { while (1) print mark "=81a4 0 1.0 1 1 1.0 8 ./d/" n++ }\''
    )
    liar.lie("stat", f'case $2 in *=*) {script} ;; *) exec "$real" "$@" ;; esac')
    assert "lists more than" in liar.refused("tar", "d")


def test_a_link_in_the_way_here_leads_nowhere(liar: Liar) -> None:
    for engine in ("rsync", "tar", "scp"):
        assert "never follow" in liar.refused(engine, "linked/x")


def test_nothing_is_written_through_a_link_that_came_before(liar: Liar) -> None:
    (liar.mover.there / "l").symlink_to("d")
    liar.mover.download(liar.home, "d", "l")
    assert os.readlink(liar.home / "l") == "d"
    (liar.mover.there / "l").unlink()
    grow(liar.mover.there, "l/a")
    liar.before = liar.seen()
    for engine in ("rsync", "tar", "scp"):
        assert "never follow" in liar.refused(engine, "l")


@pytest.mark.parametrize("name", ["./a", "./d", "./d/a", "./d/../../x"])
def test_a_link_leads_to_nothing_but_what_came(liar: Liar, name: str) -> None:
    """Whatever the host says that it leads to: to what has that identity, and that is among what was asked for."""
    (liar.mover.there / "l").symlink_to("/etc")
    folder, link = "41ed 4096 1600000000.0 1 7 1.0 8", "a1ff 4 1.0 1 8 1.0 0 ./l"
    kind = "81a4 3000 1600000000.0 1 7 1.0 8" if name.endswith("a") else folder
    records = [
        "=41ed 4096 1.0 1 9 1.0 8 .",
        "=41ed 4096 1.0 1 6 1.0 8 ./d",
        f"={kind} {name}",
        f"={link}",
        f">{kind} ./l",
    ]
    liar.lies.write_text("".join(f"MARK{record}\n" for record in records))
    once = 'mv "$lies" "$lies.told" && sed "s/MARK/${2%%=*}/" "$lies.told"'
    liar.lie("stat", f'case $1$2 in -L*) ;; *=*) {once} ;; *) exec "$real" "$@" ;; esac')
    if ".." in name:
        assert "was not asked for" in liar.refused("tar", ".")
        return
    liar.mover.download(liar.home, ".", engine="tar")
    links = {path for path in liar.home.rglob("*") if path.is_symlink()} - {liar.home / "linked"}
    assert {os.readlink(path) for path in links} == {name.removeprefix("./")}
    assert all(path.resolve().is_relative_to(liar.home) for path in links)


def test_files_are_shown_so_that_they_cannot_drive_the_terminal(liar: Liar) -> None:
    name = "\x1b]52;c;ZXZpbA==\x07"
    (liar.mover.there / name).symlink_to("nowhere")
    liar.mover.download(liar.home, "*", engine="tar")
    assert all(text.isprintable() for text in liar.mover.warnings)
    assert any("\\x1b]52" in text for text in liar.mover.warnings)


def test_set_id_bits_do_not_come_home(liar: Liar) -> None:
    os.chmod(liar.mover.there / "a", 0o6755)
    for engine in ("rsync", "tar", "scp"):
        liar.mover.download(liar.home, f"a|{engine}", engine=engine)
        assert (liar.home / engine).stat().st_mode & 0o7777 == 0o755
        assert contents(liar.home)[engine] == (liar.mover.there / "a").read_bytes()
