"""From the end of a job to its exit status: its results first, then the release, then the shutdown commands."""

from __future__ import annotations

import os
from collections.abc import Sequence

from sshrun.errors import ConnectionFailed, DirectoryGone, JobLost, RemoteError, TransferFailed
from sshrun.events import Notice, Phase, WarningNotice
from sshrun.job import Job, code_text
from sshrun.jobs.follow import Ended
from sshrun.jobs.plan import Retrieval
from sshrun.jobs.records import Record
from sshrun.jobs.refusals import explaining
from sshrun.jobs.replies import JobReplies
from sshrun.jobs.results import all_inline, retrieve
from sshrun.jobs.stop import stop
from sshrun.session.protocol import Refusal, encode
from sshrun.session.retry import RetryingSession, Steps
from sshrun.session.session import Session
from sshrun.transfer.archive import Archive


def finish(link: RetryingSession, ended: Ended, retrieval: Retrieval, record: Record) -> Steps[int]:
    """From the end of a job to its exit status: all results first, then the shutdown commands.

    Raises JobLost, and TransferFailed where something is not downloaded: then the job stays as it is, for --resume.
    """
    job, archive = ended
    if job.is_lost:
        yield from stop(link, job.id)
    how = "the job was lost" if job.code is None else f"the job ended with {code_text(job.code)}"
    try:
        missing = yield from retrieve(link, job, archive, retrieval)
    except DirectoryGone as error:
        raise TransferFailed(f"{error.message}; {how}", error.hint) from error
    except RemoteError as error:
        raise TransferFailed(
            f"{error.message}; {how}, its results are safe on {link.host}", "sshrun --resume"
        ) from error
    _copy_log(record, job, retrieval)
    # A job that failed need not have made what was named; what is there, and too large, is never given up unasked.
    if missing and (job.code == 0 or missing.left) and not job.is_held:
        yield from hold(link, job.id)
        if job.code == 0:
            raise TransferFailed(f"{link.host}: {missing}, though {how}; shutdown commands wait", missing.hint)
        yield WarningNotice(f"{link.host}: {missing}; shutdown commands wait ({missing.hint})")
        return outcome(link.host, job.id, job.code)
    yield from _release_and_shut_down(link, job, archive, retrieval, record)
    return outcome(link.host, job.id, job.code)


def _release_and_shut_down(
    link: RetryingSession, job: Job, archive: Archive, retrieval: Retrieval, record: Record
) -> Steps[None]:
    """Releases the job, once everything is downloaded.

    Where nothing depends on the host's answer, nobody waits for it: everything has come along with the end, of a job
    that nobody had discarded, and no command waits to be run. Should the release not arrive, this client knows all the
    same, and says it again when it meets the job: see `_sent`.
    """
    record.note_directory(str(retrieval.directory))
    if all_inline(archive, retrieval) and not retrieval.shutdown_cmds:
        record.mark_retrieved(job.code)
        link.send_without_reply("release", job.id)
        return
    yield from release(link, job.id, retrieval.shutdown_cmds)
    record.mark_retrieved(job.code)
    if retrieval.shutdown_cmds:
        try:
            yield from _watch_shutdown(link.session(), job.id, retrieval.shutdown_cmds)
        except ConnectionFailed:
            pass  # they often end the machine
        except Refusal as refusal:
            yield WarningNotice(f"{link.host}: the shutdown commands may not have run: {refusal.word} {refusal.values}")


def hold(link: RetryingSession, job_id: str) -> Steps[None]:
    """Notes on the host that the shutdown commands wait for another retrieval."""

    def step(session: Session) -> Steps[None]:
        session.request("hold", job_id)
        session.reply()
        yield from ()

    return (yield from link.retry(step))


def release(link: RetryingSession, job_id: str, commands: Sequence[str] = ()) -> Steps[None]:
    """Tells the host that everything is downloaded. Then, and only then, the shutdown commands run."""

    def step(session: Session) -> Steps[None]:
        session.request("release", job_id, *(encode(command) for command in commands))
        yield Phase("release", f"waiting for {link.host} to note that all results are downloaded")
        with explaining(link.host, JobReplies()):
            session.reply()

    yield from link.retry(step)


def _copy_log(record: Record, job: Job, retrieval: Retrieval) -> None:
    """What the command printed, to where its runner's logs are, as far as this client has all of it."""
    path = retrieval.log_copy
    is_free = not os.path.lexists(path) or retrieval.owned.owns(path)
    if path and is_free and job.command_began and record.log_size >= job.log_size:
        record.copy_log(path)
        retrieval.owned.note_downloads((path,))


def outcome(host: str, job_id: str, code: int | None) -> int:
    """The exit status that a job's end means. Raises JobLost."""
    if code is None:
        raise JobLost(f"{host}: job {job_id} was lost: the host restarted, or the job was killed without a trace")
    return code


def _watch_shutdown(session: Session, job_id: str, commands: Sequence[str]) -> Steps[None]:
    which = "the shutdown command" if len(commands) == 1 else f"{len(commands)} shutdown commands"
    yield Phase("shutdown", f"waiting for {which} to end")
    session.request("follow", f"{job_id}/shutdown", "0")
    session.reply()
    for chunk in session.raw():
        yield Notice("shutdown", chunk.decode("utf-8", "replace"))
    for _ in session.replies("manifest"):
        pass
    session.request("codes", job_id)
    for reply in session.replies("done"):
        if reply.word == "code":
            number, code = reply.split()
            if code != "0":
                # Those of the first release count, and another client may have been first.
                shown = f": {commands[int(number) - 1]}" if int(number) <= len(commands) else ""
                yield WarningNotice(f"shutdown command {number} ended with exit {code}{shown}")
