"""The files that everybody has: ~/.ssh/config, what it includes, a key of the usual name, a connection held open."""

from __future__ import annotations

import os
import pwd
import subprocess
from pathlib import Path

import pytest

from desk import Desk, Entry
from installed import SSHRUN

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

    def ended(self, *words: str | Path) -> subprocess.CompletedProcess[str]:
        argv = [*AT_HOME, self._passwd, *words]
        return subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, cwd=self.desk.folder)

    def run(self, *words: str | Path) -> str:
        ended = self.ended(*words)
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
