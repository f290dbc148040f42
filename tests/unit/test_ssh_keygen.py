from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

import pytest

from sshrun.arguments import parse
from sshrun.commands.ssh_keygen import ssh_keygen
from sshrun.console import Console
from sshrun.errors import UsageError


def keygen(*words: str) -> int:
    return ssh_keygen(parse(["ssh-keygen", *words]), Console())


def described(path: Path) -> list[str]:
    """Bits, fingerprint, comment and type, as ssh-keygen sees them."""
    return subprocess.run(["ssh-keygen", "-l", "-f", path], capture_output=True, check=True, text=True).stdout.split()


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_key_pair_appears_with_the_right_modes_and_the_next_step(
    home: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    os.umask(0o000)
    try:
        assert keygen("gpu1") == 0
    finally:
        os.umask(0o022)
    key = home / ".ssh/id_gpu1"
    assert (mode(home / ".ssh"), mode(key)) == (0o700, 0o600)
    assert described(key)[2:] == ["gpu1", "(ED25519)"]
    printed = capfd.readouterr()
    assert printed.out == Path(f"{key}.pub").read_text()
    assert f"ssh-copy-id -i {key}.pub USER@HOST" in printed.err
    unlocked = subprocess.run(["ssh-keygen", "-y", "-P", "", "-f", key], capture_output=True, check=True, text=True)
    assert unlocked.stdout.split()[:2] == printed.out.split()[:2]


@pytest.mark.parametrize(
    ("words", "bits"),
    [
        (("-t", "rsa"), "3072"),
        (("--type", "RSA", "-b", "2048"), "2048"),
        (("-t", "rsa", "-l", "2048"), "2048"),
        (("-t", "rsa", "--length", "2048"), "2048"),
    ],
)
def test_an_rsa_key_has_the_length_asked_for(home: Path, words: tuple[str, ...], bits: str) -> None:
    assert keygen(*words, "big") == 0
    assert described(home / ".ssh/id_big")[0] == bits


@pytest.mark.parametrize("option", ["-o", "--output"])
def test_another_folder_is_made_and_a_name_may_hold_spaces(home: Path, option: str) -> None:
    assert keygen("my host", option, "~/some keys/deep") == 0
    assert described(home / "some keys/deep/id_my host")[2:4] == ["my", "host"]


@pytest.mark.parametrize("existing", ["id_gpu1", "id_gpu1.pub"])
def test_nothing_is_overwritten(home: Path, existing: str) -> None:
    (home / ".ssh").mkdir()
    (home / ".ssh" / existing).write_text("precious")
    with pytest.raises(UsageError, match="exists already"):
        keygen("gpu1")
    assert (home / ".ssh" / existing).read_text() == "precious"
    assert os.listdir(home / ".ssh") == [existing]


def test_a_dangling_link_is_not_followed(home: Path) -> None:
    (home / ".ssh").mkdir()
    (home / ".ssh/id_gpu1").symlink_to(home / "elsewhere")
    with pytest.raises(UsageError, match="exists already"):
        keygen("gpu1")
    assert not (home / "elsewhere").exists()


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("a", "b"),
        ("../a",),
        ("",),
        ("a\nb",),
        ("a", "-t", "dsa"),
        ("a", "-b", "4096"),
        ("a", "-t", "rsa", "-b", "512"),
        ("a", "-t", "rsa", "-b", "x"),
        ("a", "-t", "rsa", "-b", "99999"),
        ("-x",),
    ],
)
def test_what_makes_no_sense_is_a_usage_error_and_leaves_nothing(home: Path, words: tuple[str, ...]) -> None:
    with pytest.raises(UsageError):
        keygen(*words)
    assert not (home / ".ssh").exists()
