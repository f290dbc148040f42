"""Accounts of this machine that live as long as a run of the tests."""

from __future__ import annotations

import fcntl
import itertools
import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple, Self

MARK = "made for the tests of sshrun"
_numbers = itertools.count()


class Account(NamedTuple):
    name: str
    home: Path

    def own(self, path: Path) -> None:
        """Gives it a file, or a folder with all that is in it."""
        entry = pwd.getpwnam(self.name)
        for each in (path, *path.rglob("*")):
            os.chown(each, entry.pw_uid, entry.pw_gid, follow_symlinks=False)

    def set_password(self, word: str) -> None:
        _change("chpasswd", typed=f"{self.name}:{word}\n")

    def expire_password(self) -> None:
        _change("chage", "--lastday", "0", self.name)

    def clear(self) -> None:
        """Empties its home."""
        for path in self.home.iterdir():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()


class Accounts:
    """Makes accounts, and removes them with their files. Only root can."""

    def __init__(self, *names: str, beneath: str | None = None) -> None:
        _remove_left_behind()
        # Neither pytest's folders nor root's home let another account through.
        self.folder = Path(tempfile.mkdtemp(prefix="sshrun-accounts-", dir=beneath))
        self.folder.chmod(0o755)
        # With our process id: others may run these tests on this machine at the same time. And with a number: so may
        # several parts of one process.
        number = next(_numbers)
        self.all = tuple(Account(f"{name}-{os.getpid()}-{number}", self.folder / name) for name in names)

    def __enter__(self) -> Self:
        for account in self.all:
            home = ["--create-home", "--home-dir", str(account.home), "--shell", "/bin/bash"]
            _change("useradd", "--comment", MARK, *home, account.name)
            # No password, which is not the "!" of a locked account: sshd lets nobody into that.
            _change("usermod", "--password", "*", account.name)
        return self

    def __exit__(self, *_: object) -> None:
        for account in self.all:
            _remove(account.name)
        shutil.rmtree(self.folder)


def _change(*argv: str, typed: str = "") -> None:
    """Runs a program that changes /etc/passwd, one at a time.

    Each of them gives up at once where another one is at work, and may have done half of its own by then.
    """
    with open(Path(tempfile.gettempdir(), "sshrun-accounts.lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        ended = subprocess.run(argv, capture_output=True, text=True, input=typed)
    if ended.returncode != 0:
        raise RuntimeError(f"{argv}: {ended.stderr}")


def _remove(name: str) -> None:
    try:
        # By force: a process of its last session may be about to end.
        _change("userdel", "--force", name)
    except RuntimeError:
        # Another worker of the tests was faster with what a run that was killed left behind.
        if any(entry.pw_name == name for entry in pwd.getpwall()):
            raise


def _remove_left_behind() -> None:
    """Those of a run that was killed."""
    for entry in pwd.getpwall():
        if entry.pw_gecos == MARK and not os.path.exists(f"/proc/{entry.pw_name.split('-')[1]}"):
            _remove(entry.pw_name)
            shutil.rmtree(os.path.dirname(entry.pw_dir), ignore_errors=True)
