"""Downloads what a job made."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from sshrun.events import Notice, Phase, Results, WarningNotice
from sshrun.job import Job
from sshrun.jobs.plan import Retrieval, RunnerLogs
from sshrun.jobs.refusals import explaining
from sshrun.jobs.replies import JobReplies
from sshrun.session.protocol import decode
from sshrun.session.retry import RetryingSession, Steps
from sshrun.session.session import Session
from sshrun.terminal import visible
from sshrun.transfer.archive import INLINE_ARCHIVE_LIMIT, Archive, place_archive, read_archive
from sshrun.transfer.before import Before
from sshrun.transfer.download import download
from sshrun.transfer.items import Item
from sshrun.transfer.ownership import kept_text
from sshrun.transfer.patterns import Pattern, whole
from sshrun.units import files_text, size_text

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
    """Downloads, named without a wildcard, that did not come: missing, or as they were before the job, which makes
    them no results of it.
    """

    absent: Sequence[str] = ()
    old: Sequence[str] = ()
    left: Sequence[Item] = ()  # on the host, since they are too large

    def __bool__(self) -> bool:
        return bool(self.absent or self.old or self.left)

    def __str__(self) -> str:
        reasons = [(self.absent, "is not there"), (self.old, "is from before the job")]
        parts = [f"{', '.join(names)} {reason}" for names, reason in reasons if names]
        if self.left:
            largest = ", ".join(f"{visible(item.name)} ({size_text(item.size)})" for item in self.left[:3])
            more = f" and {files_text(len(self.left) - 3)} more" if len(self.left) > 3 else ""
            parts.append(f"{largest}{more} stay there, over results_limit")
        return ", ".join(parts)

    @property
    def hint(self) -> str:
        if not self.left:
            return "sshrun --resume goes on without it"
        return f"{_ALL.replace('it', 'all')}, sshrun --resume leaves them there for good"


def retrieve(link: RetryingSession, job: Job, archive: Archive, retrieval: Retrieval) -> Steps[Missing]:
    """Downloads what the job made; returns what is missing of it."""
    wanted = list(retrieval.downloads)

    if archive.state == "inline":
        path = place_archive(archive, retrieval.directory, link.host, retrieval.owned)
        is_beside = os.path.basename(path) != Path(archive.name).name
        if is_beside:
            yield WarningNotice(kept_text(archive.name, path, retrieval.owned))
        yield Results((path,), os.path.basename(path) if is_beside else archive.name)
    elif archive.state == "new" or (archive.state == "same" and retrieval.everything):
        wanted.insert(0, whole(archive.name, retrieval.directory / Path(archive.name).name))
    elif archive.state == "same" and not retrieval.archive_sent:
        yield Notice("unchanged", f"{archive.name} on {link.host} is from an earlier run, not downloaded; {_ALL}")

    def step(session: Session) -> Steps[Missing]:
        seen = JobReplies()
        yield Phase("results", f"looking for results on {link.host}")
        session.request("enter", job.id)
        if retrieval.logs:
            session.request("runner_logs", retrieval.logs.cache, *(remote for remote, _ in retrieval.logs.pairs))
        session.request("probe", ".")
        with explaining(link.host, seen):
            logs = _runner_logs(session, retrieval.logs) if retrieval.logs else []
            for reply in session.replies("done"):
                seen.note(reply)  # the job is known, and described
            judged = [] if retrieval.everything else [*retrieval.downloads, *logs]
            downloaded = yield from download(
                session,
                link.connection,
                [*wanted, *logs],
                retrieval.directory,
                seen.capabilities,
                retrieval.engine,
                retrieval.compress,
                protected=retrieval.protected,
                owned=retrieval.owned,
                before=Before(session, judged, job.started) if judged else None,
                limit=retrieval.limit,
            )
            if downloaded.names:
                yield Results(downloaded.names, _listed(downloaded.names, retrieval))
            old = [
                name
                for pattern, names in downloaded.old
                if pattern not in logs and not pattern.is_optional
                for name in names
            ]
            if old:
                yield Notice("unchanged", f"left on {link.host}, as before the job: {_some(old)}; {_ALL}")
            ours = (retrieval.archive, *(log.source for log in logs))
            return Missing(
                [name for name in downloaded.missing if name not in ours],
                [name for name in downloaded.missing_but_old if name not in ours],
                downloaded.left,
            )

    return Missing() if all_inline(archive, retrieval) else (yield from link.retry(step))


def _runner_logs(session: Session, logs: RunnerLogs) -> list[Pattern]:
    """Those of a runner's own logs that exist on the host, with their local paths."""
    found = [decode(reply.values) for reply in session.replies("logs") if reply.word == "log"]
    return [whole(os.fsdecode(path), local) for path, (_, local) in zip(found, logs.pairs, strict=False) if path]


def _listed(names: Sequence[str], retrieval: Retrieval) -> str:
    """The first few names, relative to the results directory; of a runner's own logs only their directory."""
    logs = retrieval.logs.local if retrieval.logs else ""
    others = [name for name in names if not logs or not Path(name).is_relative_to(logs)]
    shown = [_some([name.removeprefix(f"{retrieval.directory}/") for name in others])] if others else []
    if len(others) < len(names):
        shown.append(f"logs in {logs}")
    return ", ".join(shown)


def _some(names: Sequence[str]) -> str:
    """The first few names, and how many more there are."""
    shown = list(names[:4])
    if len(names) > 4:
        shown.append(f"{len(names) - 4} more")
    return ", ".join(shown)


def all_inline(archive: Archive, retrieval: Retrieval) -> bool:
    """Whether nothing has to be fetched that did not come along with the end of the job."""
    return archive.state != "new" and not retrieval.downloads and not retrieval.logs
