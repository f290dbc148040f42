"""Downloads what a job made."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from sshrun.events import Notice, Phase, Results, WarningNotice
from sshrun.job import Job
from sshrun.jobs.plan import Homecoming, LogFolder
from sshrun.jobs.refusals import explaining
from sshrun.jobs.replies import JobReplies
from sshrun.session.protocol import decode
from sshrun.session.retry import RetryingSession, Steps
from sshrun.session.session import Session
from sshrun.transfer.archive import INLINE_ARCHIVE_LIMIT, Archive, place_archive, read_archive
from sshrun.transfer.before import Before
from sshrun.transfer.download import download
from sshrun.transfer.ownership import kept_text
from sshrun.transfer.patterns import Pattern, whole

_ALL = "sshrun retrieve --all downloads it"


def find_archive(link: RetryingSession, job: Job, name: str) -> Steps[Archive]:
    """What has become of the archive; where it is small it comes along."""

    def step(session: Session) -> Steps[Archive]:
        session.request("enter", job.id)
        session.request("archive", name, str(INLINE_ARCHIVE_LIMIT))
        yield Phase("results", f"looking for {name} on {link.host}")
        with explaining(link.host, JobReplies()):
            return read_archive(session, name)

    return (yield from link.retry(step))


class Missing(NamedTuple):
    """Downloads, named without a wildcard, that did not come: not there, or there as before the job, which is no
    result of it.
    """

    absent: Sequence[str] = ()
    old: Sequence[str] = ()

    def __bool__(self) -> bool:
        return bool(self.absent or self.old)

    def __str__(self) -> str:
        said = [(self.absent, "is not there"), (self.old, "is from before the job")]
        return ", ".join(f"{', '.join(names)} {what}" for names, what in said if names)


def retrieve(link: RetryingSession, job: Job, archive: Archive, home: Homecoming) -> Steps[Missing]:
    """Downloads what the job made; returns what is missing of it."""
    wanted = list(home.downloads)

    if archive.state == "inline":
        path = place_archive(archive, home.home, link.host, home.owned)
        is_beside = os.path.basename(path) != Path(archive.name).name
        if is_beside:
            yield WarningNotice(kept_text(archive.name, path))
        yield Results((path,), os.path.basename(path) if is_beside else archive.name)
    elif archive.state == "new" or (archive.state == "same" and home.everything):
        wanted.insert(0, whole(archive.name, home.home / Path(archive.name).name))
    elif archive.state == "same" and not home.archive_sent:
        yield Notice("unchanged", f"{archive.name} on {link.host} is from an earlier run, not downloaded; {_ALL}")

    def step(session: Session) -> Steps[Missing]:
        seen = JobReplies()
        yield Phase("results", f"looking for results on {link.host}")
        session.request("enter", job.id)
        if home.logs:
            session.request("runner_logs", home.logs.cache, *(there for there, _ in home.logs.pairs))
        session.request("probe", ".")
        with explaining(link.host, seen):
            logs = _runner_logs(session, home.logs) if home.logs else []
            for reply in session.replies("done"):
                seen.note(reply)  # the job is known, and described
            judged = [] if home.everything else [*home.downloads, *logs]
            downloaded = yield from download(
                session,
                link.connection,
                [*wanted, *logs],
                home.home,
                seen.capabilities,
                home.engine,
                home.compress,
                protected=home.protected,
                owned=home.owned,
                before=Before(session, judged, job.started) if judged else None,
            )
            if downloaded.names:
                yield Results(downloaded.names, _listed(downloaded.names, home))
            old = [name for pattern, names in downloaded.old if pattern not in logs for name in names]
            if old:
                yield Notice("unchanged", f"left on {link.host}, as before the job: {_some(old)}; {_ALL}")
            ours = (home.archive, *(log.source for log in logs))
            return Missing(
                [name for name in downloaded.missing if name not in ours],
                [name for name in downloaded.missing_but_old if name not in ours],
            )

    return Missing() if all_inline(archive, home) else (yield from link.retry(step))


def _runner_logs(session: Session, logs: LogFolder) -> list[Pattern]:
    """Those of a runner's own logs that are there, with the places they come to."""
    there = [decode(reply.values) for reply in session.replies("logs") if reply.word == "log"]
    return [whole(os.fsdecode(path), here) for path, (_, here) in zip(there, logs.pairs, strict=False) if path]


def _listed(names: Sequence[str], home: Homecoming) -> str:
    """The first few names, short where they are beneath the home; of a runner's own logs only where they are."""
    logs = home.logs.here if home.logs else ""
    others = [name for name in names if not logs or not Path(name).is_relative_to(logs)]
    shown = [_some([name.removeprefix(f"{home.home}/") for name in others])] if others else []
    if len(others) < len(names):
        shown.append(f"logs in {logs}")
    return ", ".join(shown)


def _some(names: Sequence[str]) -> str:
    """The first few names, and how many more there are."""
    shown = list(names[:4])
    if len(names) > 4:
        shown.append(f"{len(names) - 4} more")
    return ", ".join(shown)


def all_inline(archive: Archive, home: Homecoming) -> bool:
    """Whether nothing has to be fetched that did not come along with the end of the job."""
    return archive.state != "new" and not home.downloads and not home.logs
