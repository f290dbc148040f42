from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sshrun.connection.agent import agent_socket
from sshrun.connection.config_files import must_query
from sshrun.connection.keys import KeyFile, agent_may_serve, certifies, read_key
from sshrun.connection.login import Login
from sshrun.connection.ssh_config import plan_login
from sshrun.connection.target import Target
from sshrun.origin import Origin, Sourced


def make_key(path: Path, *options: str, passphrase: str = "") -> str:
    """Makes a key pair; returns the public key in base64."""
    subprocess.run(["ssh-keygen", "-q", "-N", passphrase, "-f", path, *options], check=True, stdin=subprocess.DEVNULL)
    return Path(f"{path}.pub").read_text().split()[1]


@pytest.mark.parametrize(
    "options", [("-t", "ed25519"), ("-t", "rsa", "-b", "2048", "-m", "PEM"), ("-t", "rsa", "-b", "2048", "-m", "PKCS8")]
)
@pytest.mark.parametrize("passphrase", ["", "secret"])
def test_a_key_file_shows_its_public_key_and_whether_it_is_locked(
    tmp_path: Path, options: tuple[str, ...], passphrase: str
) -> None:
    public = make_key(tmp_path / "id", *options, passphrase=passphrase)
    assert read_key(str(tmp_path / "id")) == KeyFile(public, bool(passphrase))


def test_an_openssh_key_needs_no_public_half_and_a_public_half_needs_no_key(tmp_path: Path) -> None:
    public = make_key(tmp_path / "id", "-t", "ed25519")
    (tmp_path / "id.pub").rename(tmp_path / "other.pub")
    assert read_key(str(tmp_path / "id")) == KeyFile(public, locked=False)
    assert read_key(str(tmp_path / "other")) == KeyFile(public, locked=True, half=True)
    assert read_key(str(tmp_path / "other.pub")) == KeyFile(public, locked=True, half=True)
    with pytest.raises(OSError, match="No such file"):
        read_key(str(tmp_path / "third"))


@given(st.binary(max_size=300))
def test_any_file_can_be_read_as_a_key(tmp_path_factory: pytest.TempPathFactory, body: bytes) -> None:
    import base64

    path = tmp_path_factory.mktemp("key") / "id"
    for text in (body, b"-----BEGIN OPENSSH PRIVATE KEY-----\n" + base64.b64encode(b"openssh-key-v1\0" + body)):
        path.write_bytes(text)
        read_key(str(path))


def test_the_agent_serves_a_key_only_ahead_of_other_configured_ones(tmp_path: Path) -> None:
    for name in ("wanted", "other", "stranger"):
        make_key(tmp_path / name, "-t", "ed25519")
    lines = {name: (tmp_path / f"{name}.pub").read_bytes() for name in ("wanted", "other", "stranger")}
    wanted = read_key(str(tmp_path / "wanted"))
    configured = [str(tmp_path / "other"), str(tmp_path / "missing")]
    assert agent_may_serve(wanted, configured, lines["stranger"] + lines["wanted"] + lines["other"])
    assert not agent_may_serve(wanted, configured, lines["other"] + lines["wanted"])
    assert not agent_may_serve(wanted, configured, lines["stranger"])
    assert not agent_may_serve(wanted, [], b"The agent has no identities.\n")
    # A name that only ssh can expand may be that of any key.
    assert not agent_may_serve(wanted, [str(tmp_path / "%h")], lines["stranger"] + lines["wanted"])
    assert agent_may_serve(wanted, [str(tmp_path / "%h")], lines["wanted"] + lines["stranger"])


@pytest.mark.parametrize("kind", [("ed25519",), ("ecdsa",), ("rsa", "-b", "2048")], ids=lambda kind: kind[0])
def test_a_certificate_is_known_by_the_key_that_it_is_for(tmp_path: Path, kind: tuple[str, ...]) -> None:
    for name in ("authority", "mine", "other"):
        make_key(tmp_path / name, "-t", *kind)
    sign = ["ssh-keygen", "-q", "-s", tmp_path / "authority", "-I", "x", "-n", "joe"]
    subprocess.run([*sign, tmp_path / "mine.pub", tmp_path / "other.pub"], check=True)
    mine = read_key(str(tmp_path / "mine"))
    assert certifies(str(tmp_path / "mine-cert.pub"), mine)
    assert not certifies(str(tmp_path / "other-cert.pub"), mine)
    assert not certifies(str(tmp_path / "mine.pub"), mine)
    assert not certifies(str(tmp_path / "missing"), mine)
    assert not certifies(str(tmp_path / "mine-cert.pub"), KeyFile("", locked=True))


def test_a_certificate_in_the_config_is_looked_for_where_a_key_is_named(tmp_path: Path) -> None:
    make_key(tmp_path / "id", "-t", "ed25519")
    for text, answer in (("IdentityFile /x", False), ("CertificateFile /x", True)):
        (tmp_path / "config").write_text(text)
        config = Sourced(str(tmp_path / "config"), Origin("user file"))
        login = Login(Target("h"), identity=Sourced(str(tmp_path / "id"), Origin("option")), config_path=config)
        assert must_query(login) is answer


def test_a_locked_key_is_looked_for_in_the_agent_and_an_open_one_keeps_the_agent_out(tmp_path: Path) -> None:
    make_key(tmp_path / "open", "-t", "ed25519")
    make_key(tmp_path / "locked", "-t", "ed25519", passphrase="secret")
    logins = {
        name: Login(Target("h"), identity=Sourced(str(tmp_path / name), Origin("option")))
        for name in ("open", "locked")
    }
    assert not must_query(logins["open"])
    assert must_query(logins["locked"])
    assert "IdentityAgent=none" in plan_login(logins["open"], "/c").options
    assert "IdentityAgent=none" not in plan_login(logins["locked"], "/c", agent_serves=True).options


@pytest.mark.parametrize(
    ("named", "socket"),
    [
        (None, "/env"),
        ("SSH_AUTH_SOCK", "/env"),
        ("none", None),
        ("$OTHER", "/other"),
        ("${OTHER}", "/other"),
        ("/a", "/a"),
    ],
)
def test_the_agent_is_the_one_that_ssh_asks(
    monkeypatch: pytest.MonkeyPatch, named: str | None, socket: str | None
) -> None:
    monkeypatch.setenv("SSH_AUTH_SOCK", "/env")
    monkeypatch.setenv("OTHER", "/other")
    assert agent_socket(named) == socket
