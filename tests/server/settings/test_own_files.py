"""The files that everybody has: ~/.ssh/config, what it includes, a key of the usual name, a connection held open."""

from __future__ import annotations

import os
import pwd
import subprocess
from pathlib import Path

import pytest

from support.desk import Desk, Entry
from support.installed import SSHRUN

pytestmark = pytest.mark.usefixtures("mounts")

# ssh takes ~ from the passwd file and not from $HOME: so these see one of their own, in which it is the test's home.
AT_HOME = ("unshare", "--mount", "sh", "-c", 'mount --bind "$0" /etc/passwd && exec "$@"')


class Person:
    """Somebody whose home is the test's, also to ssh."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.ssh = desk.home / ".ssh"
        self.ssh.mkdir(mode=0o700)
        real = pwd.getpwuid(os.getuid()).pw_dir
        self._passwd = desk.home / "passwd"
        lines = Path("/etc/passwd").read_text().splitlines(keepends=True)
        self._passwd.write_text("".join(line.replace(f":{real}:", f":{desk.home}:") for line in lines))
        (self.ssh / "known_hosts").write_bytes((desk.home / "known_hosts").read_bytes())

    def ended(self, *words: str | Path, variables: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """`variables` are the whole environment, where they are given."""
        argv = [*AT_HOME, self._passwd, *words]
        return subprocess.run(
            argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, cwd=self.desk.folder, env=variables
        )

    def run(self, *words: str | Path, variables: dict[str, str] | None = None) -> str:
        ended = self.ended(*words, variables=variables)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    def config(self, text: str, name: str = "config") -> None:
        path = self.ssh / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text.format(**self.desk.words))

    def key(self, name: str, which: str) -> None:
        (self.ssh / name).write_bytes(self.desk.world.keys[which].read_bytes())
        (self.ssh / name).chmod(0o600)


@pytest.fixture
def person(desk: Desk) -> Person:
    return Person(desk)


GPU = "Host gpu\n  HostName {host}\n  Port {near}\n  User {joe}\n"


def test_an_alias_and_a_key_of_the_usual_name_are_all_that_is_needed(person: Person) -> None:
    person.config(GPU)
    person.key("id_ed25519", "gold")
    person.run(SSHRUN, "-h", "gpu", "--", "true")
    assert person.desk.world.entries() == [Entry("near", "joe", "gold")]


def test_includes_tokens_and_matches_work_as_for_ssh(person: Person) -> None:
    person.config(
        "Include work/*.conf\nMatch originalhost gpu exec \"test '%n' = gpu\"\n  IdentityFile ~/.ssh/key_%n_{near}\n"
    )
    person.config(GPU, "work/gpu.conf")
    person.key(f"key_gpu_{person.desk.world.near.port}", "silver")
    person.key("id_ed25519", "gold")
    person.run(SSHRUN, "-h", "gpu", "--", "true")
    assert person.desk.world.entries() == [Entry("near", "joe", "silver")]


def test_an_include_of_a_folder_that_may_not_be_read_is_passed_over_as_by_ssh(person: Person) -> None:
    person.config("Include closed/*.conf\n" + GPU)
    person.key("id_ed25519", "gold")
    (person.ssh / "closed").mkdir(mode=0)
    # Root reads whatever it likes by these two alone.
    person.run("setpriv", "--bounding-set=-dac_override,-dac_read_search", SSHRUN, "-h", "gpu", "--", "true")
    assert person.desk.world.entries() == [Entry("near", "joe", "gold")]


def homes(folder: Path) -> dict[str, str | None]:
    """Values of $HOME that are not what the passwd file says, as containers, sudo and services have them."""
    (folder / "link").symlink_to(folder)
    return {
        "elsewhere": str(folder),
        "slash": f"{folder}/",
        "link": str(folder / "link"),
        "missing": f"{folder}/missing",
        "unset": None,
    }


@pytest.mark.parametrize("kind", ["elsewhere", "slash", "link", "missing", "unset"])
@pytest.mark.parametrize("include", ["~/.ssh/more", "more"])
def test_where_home_is_not_that_of_the_passwd_file_ssh_and_sshrun_read_the_same(
    person: Person, tmp_path_factory: pytest.TempPathFactory, kind: str, include: str
) -> None:
    """The config, the key and the known hosts are those of the passwd file's home; Include goes by $HOME in ssh too."""
    other = tmp_path_factory.mktemp("other-home")
    (other / ".ssh").mkdir(mode=0o700)
    (other / ".ssh" / "config").write_text("Host gpu\n  Port 1\n  User nobody\n")
    (other / ".ssh" / "more").write_text("Host gpu\n  User {jane}\n".format(**person.desk.words))
    person.config(f"Include {include}\nHost gpu\n  HostName {{host}}\n  Port {{near}}\n  User {{jack}}\n")
    person.config("Host gpu\n  User {joe}\n  IdentityFile ~/.ssh/key\n", "more")
    person.key("id_ed25519", "silver")
    person.key("key", "gold")
    home = homes(other)[kind]
    variables = {name: value for name, value in os.environ.items() if name != "HOME"}
    variables |= {} if home is None else {"HOME": home}
    person.run("ssh", "gpu", "true", variables=variables)
    (by_hand,) = person.desk.world.entries()
    person.desk.world.near.forget()
    person.run(SSHRUN, "-h", "gpu", "--", "true", variables=variables)
    assert person.desk.world.entries() == [by_hand]
    # What sshrun keeps for itself follows $HOME, as it does for any program.
    kept = (other if home and kind != "missing" else person.desk.home) / ".sshrun" / "jobs"
    assert kind == "missing" or kept.is_dir()


def test_the_tilde_of_an_option_is_that_of_ssh(person: Person, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Where a shell leaves it alone: in quotes, and behind a `=`."""
    person.config(GPU)
    person.key("key", "copper")
    variables = {**os.environ, "HOME": str(tmp_path_factory.mktemp("other-home"))}
    person.run(SSHRUN, "-h", "gpu", "-i", "~/.ssh/key", "--", "true", variables=variables)
    assert person.desk.world.entries() == [Entry("near", "joe", "copper")]


def test_a_control_path_in_the_home_of_the_passwd_file_is_found(
    person: Person, tmp_path_factory: pytest.TempPathFactory
) -> None:
    person.config(f"ControlPath ~/.ssh/%n\n{GPU}  IdentityFile ~/.ssh/key\n")
    person.key("key", "gold")
    variables = {**os.environ, "HOME": str(tmp_path_factory.mktemp("other-home"))}
    person.run("ssh", "-fNM", "gpu", variables=variables)
    try:
        person.run(SSHRUN, "-h", "gpu", "--", "true", variables=variables)
        assert len(person.desk.world.entries()) == 1
    finally:
        person.run("ssh", "-O", "exit", "gpu", variables=variables)


def test_a_connection_in_the_user_file_fills_in_what_the_config_leaves_open(person: Person) -> None:
    words = person.desk.words
    person.config("Host gpu\n  HostName {host}\n  Port {near}\n")
    person.key("id_ed25519", "copper")
    person.desk.user_file(
        config_path=None,
        connection={"port": words["far"], "username": words["jane"], "key_filename": words["silver"]},
    )
    person.run(SSHRUN, "-h", "gpu", "--", "true")
    assert person.desk.world.entries() == [Entry("near", "jane", "silver")]


def test_config_path_replaces_the_file(person: Person) -> None:
    words = person.desk.words
    person.config(GPU)
    person.key("id_ed25519", "copper")
    person.desk.ssh_config("Host gpu\n  HostName {host}\n  Port {near}\n  User {jane}\n".format(**words))
    person.desk.user_file()
    person.run(SSHRUN, "-h", "gpu", "--", "true")
    assert person.desk.world.entries() == [Entry("near", "jane", "copper")]


def test_a_connection_that_is_open_is_used_and_stays_open(person: Person) -> None:
    person.config(GPU + "  ControlPath ~/.ssh/%r@%n\n")
    person.key("id_ed25519", "gold")
    person.run("ssh", "-fNM", "-oControlPersist=yes", "-E", person.desk.home / "log", "gpu")
    try:
        assert person.run(SSHRUN, "-h", "gpu", "--", "echo", "done") == "done\n"
        assert person.desk.world.entries() == [Entry("near", "joe", "gold")]
    finally:
        person.run("ssh", "-O", "exit", "gpu")


def test_a_connection_that_is_open_is_found_where_no_config_names_account_and_port(person: Person) -> None:
    """Tokens in ControlPath stand for those of the login, here the user file's."""
    words = person.desk.words
    person.config("ControlPath ~/.ssh/%r-%p\nHost gpu\n  HostName {host}\n")
    person.key("id_ed25519", "gold")
    person.desk.user_file(config_path=None, connection={"port": words["near"], "username": words["joe"]})
    by_hand = ("ssh", "-p", words["near"], "-l", words["joe"])
    person.run(*by_hand, "-fNM", "-oControlPersist=yes", "-E", person.desk.home / "log", "gpu")
    try:
        assert person.run(SSHRUN, "-h", "gpu", "--", "echo", "done") == "done\n"
        assert person.desk.world.entries() == [Entry("near", "joe", "gold")]
    finally:
        person.run(*by_hand, "-O", "exit", "gpu")


def test_what_a_config_says_for_logins_by_hand_does_not_reach_ours(person: Person) -> None:
    """Each of these would break a program's login, and hides no reason why one failed."""
    person.config(
        GPU
        + "  RemoteCommand echo never\n  RequestTTY force\n  SessionType none\n  StdinNull yes\n"
        + "  ForkAfterAuthentication yes\n  LocalForward {near} 127.0.0.1:9\n  ExitOnForwardFailure yes\n"
        + "  PermitLocalCommand yes\n  LocalCommand echo never\n  LogLevel DEBUG3\n"
    )
    person.key("id_ed25519", "gold")
    assert person.run(SSHRUN, "-h", "gpu", "--", "echo", "done") == "done\n"
    assert person.desk.world.entries() == [Entry("near", "joe", "gold")]


def test_words_that_only_other_ssh_clients_know_stay_ignored(person: Person) -> None:
    """IgnoreUnknown counts once, where it is said first: ours must not take the person's away."""
    person.config("IgnoreUnknown UseKeychain,AddKeys*\nUseKeychain yes\nAddKeysSomehow yes\n" + GPU)
    person.key("id_ed25519", "gold")
    assert person.run(SSHRUN, "-h", "gpu", "--", "echo", "done") == "done\n"


def test_a_config_that_silences_ssh_does_not_silence_the_reason(person: Person) -> None:
    person.config(GPU + "  LogLevel QUIET\n  BatchMode yes\n")
    finished = person.ended(SSHRUN, "-h", "gpu", "--", "true")
    assert finished.returncode == 255
    assert "Permission denied" in finished.stderr and "-i FILE" in finished.stderr
