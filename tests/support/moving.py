"""What tests of transfers share: a connection like a job's own, files to move, hosts that lack programs."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator
from pathlib import Path
from typing import TypeVar

import pytest

from sshrun.connection.login import Login
from sshrun.connection.target import Target
from sshrun.errors import RemoteError, TransferFailed
from sshrun.events import Phase, TransferProgress, WarningNotice
from sshrun.origin import Origin, Sourced
from sshrun.sandbox import Sandbox
from sshrun.session.retry import RetryingSession
from sshrun.session.session import Session
from sshrun.transfer.download import Downloaded
from sshrun.transfer.download import download as download_items
from sshrun.transfer.local_tree import select_local
from sshrun.transfer.patterns import parse_download, parse_upload
from sshrun.transfer.upload import Uploaded
from sshrun.transfer.upload import upload as upload_items

Moved = TypeVar("Moved", Uploaded, Downloaded)


class Mover:
    """A connection to a sandbox, as jobs have one, and transfers over it."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.home = sandbox.home
        self.there = sandbox.home / "work"
        origin = Origin("user file")
        self.link = RetryingSession(
            Login(target=Target(sandbox.host), config_path=Sourced(str(sandbox.config), origin))
        )
        self.events: list[TransferProgress | WarningNotice | Phase] = []
        self._facts: dict[str, str] = {}

    def session(self) -> Session:
        session = self.link.session()
        session.request("place", str(self.there))
        assert session.reply().word == "placed"
        return session

    def facts(self, session: Session) -> dict[str, str]:
        if not self._facts:
            session.request("probe", ".")
            facts = (reply.values.partition(" ") for reply in session.replies("done") if reply.word == "fact")
            self._facts = {name: value for name, _, value in facts}
        return self._facts

    @property
    def warnings(self) -> list[str]:
        """Of the last transfer."""
        return [event.text for event in self.events if isinstance(event, WarningNotice)]

    def upload(self, here: Path, *texts: str, engine: str | None = None, compress: bool = False) -> Uploaded:
        session = self.session()
        items = select_local([parse_upload(text) for text in texts], here).items
        facts = self.facts(session)
        return self._outcome(upload_items(session, self.link.connection, items, facts, engine, compress))

    def download(
        self, home: Path, *texts: str, engine: str | None = None, compress: bool = False, protected: Path | None = None
    ) -> Downloaded:
        session = self.session()
        patterns = [parse_download(text) for text in texts]
        facts = self.facts(session)
        spared = [protected] if protected else []
        steps = download_items(session, self.link.connection, patterns, home, facts, engine, compress, protected=spared)
        return self._outcome(steps)

    def _outcome(self, steps: Generator[TransferProgress | WarningNotice | Phase, None, Moved]) -> Moved:
        self.events = []
        try:
            while True:
                self.events.append(next(steps))
        except StopIteration as end:
            moved: Moved = end.value
            return moved
        except RemoteError:
            self.link.kill_session()
            raise

    def fail(self, work: Callable[[], object]) -> TransferFailed:
        """The one line that a transfer fails with."""
        with pytest.raises(TransferFailed) as caught:
            work()
        assert "\n" not in caught.value.message
        return caught.value

    def close(self) -> None:
        self.link.close()


def grow(folder: Path, *names: str, size: int = 3000) -> None:
    for name in names:
        path = os.path.join(folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(os.urandom(size))


def leftovers(*folders: Path) -> list[Path]:
    return [path for folder in folders for path in folder.rglob(".sshrun-*")]


def programs(tmp_path: Path, *missing: str) -> Path:
    """A folder with all programs of this machine but some."""
    folder = tmp_path / "programs"
    folder.mkdir()
    for place in ("/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin", "/sbin"):
        for program in os.scandir(place) if os.path.isdir(place) else ():
            if program.name not in missing and not (folder / program.name).is_symlink():
                (folder / program.name).symlink_to(program.path)
    return folder
