"""The life of a job, seen from here: start, follow, retrieve, release. Yields what happens; never prints."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from signal import SIGINT
from typing import NamedTuple

from sshrun import transfer
from sshrun.errors import (
    ConnectionFailed,
    DirectoryGone,
    HostUnfit,
    JobIsThere,
    JobLost,
    NothingThere,
    RemoteError,
    SshrunError,
    TransferFailed,
)
from sshrun.interrupts import Interrupted, Interrupts
from sshrun.job import (
    Described,
    Discarded,
    Facts,
    Job,
    Logged,
    Phase,
    Retrieved,
    Said,
    Started,
    Warned,
    age_text,
    code_text,
    facts_from_data,
)
from sshrun.link import Link, Result, Steps
from sshrun.paths import Pattern, whole
from sshrun.phases import phase
from sshrun.plan import Homecoming, Start
from sshrun.records import Record, records
from sshrun.requires_python import fits
from sshrun.runner import LogFolder
from sshrun.scripts import Refusal, Reply, Session, decode, encode
from sshrun.transfer import Archive
from sshrun.wheels import HostPython, collect
from sshrun.wheels import items as wheel_items

KEEP = 20  # jobs whose logs and facts stay on the host
_ALL = "sshrun retrieve --all downloads it"
STOPPING_PHASE = Phase("stopping", "waiting for the job to end")


class Ended(NamedTuple):
    """A job that is over, and its archive as far as that came along with the end."""

    job: Job
    archive: Archive


def start(link: Link, plan: Start) -> Steps[None]:
    """Claims the host for the job, brings its files there and starts it.

    Raises JobIsThere, HostUnfit, TransferFailed.
    """

    def step(session: Session, small: transfer.Inline | None, again: bool) -> Steps[None]:
        if not (again and (yield from _begun(session, plan.id))):
            yield from _send(session, link, plan, small)
            yield from _started(session, link, plan)
        yield Started(plan.id, link.host)

    yield from _sent(link, plan, step)


def run(link: Link, plan: Start, record: Record, interrupts: Interrupts) -> Steps[Ended]:
    """Starts the job and follows it to its end, as `start` and `follow` do, without a wait in between."""

    def step(session: Session, small: transfer.Inline | None, again: bool) -> Steps[Ended]:
        if again and not record.begun and (yield from _begun(session, plan.id)):
            yield from begun()
        if record.begun:
            return (yield from _follow(session, plan.id, plan.facts.archive, record, interrupts))
        interrupts.let_go()
        if interrupts.asked:
            raise Interrupted(SIGINT)  # it came while the connection was lost, and there is no job to stop
        yield from _send(session, link, plan, small)
        # From here on a Ctrl+C means the job, even if it begins only now.
        interrupts.hold()
        _ask_to_follow(session, plan.id, plan.facts.archive, record.log_size)
        yield from _started(session, link, plan)
        yield from begun()
        return (yield from _stream(session, plan.facts.archive, record, interrupts))

    def begun() -> Steps[None]:
        record.mark_started(plan.facts)
        yield Started(plan.id, link.host)

    try:
        return (yield from _sent(link, plan, step))
    finally:
        interrupts.let_go()
        record.close()


def _sent(
    link: Link, plan: Start, step: Callable[[Session, transfer.Inline | None, bool], Steps[Result]]
) -> Steps[Result]:
    """Carries through a step that sends a small upload along with its requests, as far as the host can unpack it.

    The step is told when it is done `again`: what was sent over a connection that was lost may have arrived.
    """
    sessions = 0

    def numbered(session: Session) -> Steps[Result]:
        nonlocal sessions
        sessions += 1
        return step(session, small, sessions > 1)

    small = transfer.inline(plan.uploads)
    let_go = ""
    while True:
        try:
            return (yield from link.persist(numbered))
        except Refusal as refusal:
            if refusal.word != "notar" or small is None:
                raise
            small = None
        except JobIsThere as other:
            # All that it left is here: only the word of that did not arrive.
            if other.job_id in ("", let_go) or not Record(other.job_id).retrieved:
                raise
            let_go = other.job_id
            link.forget()
            yield from release(link, let_go)


def _begun(session: Session, job_id: str) -> Steps[bool]:
    """Whether the host has started a job that it was asked to start: then nothing is to be sent to it again."""
    session.request("attach")
    job = yield from _sighted(session, "done")
    return job is not None and job.id == job_id and job.state not in ("claimed", "void")


def _send(session: Session, link: Link, plan: Start, small: transfer.Inline | None) -> Steps[None]:
    """Asks for all that is needed, up to the start. With a small upload nothing is waited for."""
    seen = Sightings()
    if plan.discard:
        yield Phase("discarding", f"waiting for {link.host} to stop and discard the job that is there")
        session.request("force", plan.id, str(KEEP), "@".join((plan.facts.user, plan.facts.client)))
    else:
        session.request("claim", plan.id, str(KEEP))
    session.request("place", plan.folder)
    yield from _see_that_python_fits(session, link, plan)
    if small is not None:
        transfer.request_inline(session, small)
    else:
        session.request("probe", ".")
        with _explaining(link.host, seen):
            for reply in session.replies("done"):
                yield from seen.take(reply)
            yield from transfer.upload(session, link.connection, plan.uploads, seen.facts, plan.engine, plan.compress)
    wheel_folder = yield from _send_wheels(session, link, plan)
    for name, values in {**plan.files, **plan.environment.files(wheel_folder)}.items():
        session.request("keep", name, *(encode(value) for value in values))
    if plan.stand_in:
        session.request("stand_in", plan.stand_in)
    if plan.clean:
        session.request("clean", plan.facts.archive)
    transfer.request_before(session, plan.downloads)
    session.request("start", plan.facts.archive)


def _see_that_python_fits(session: Session, link: Link, plan: Start) -> Steps[None]:
    """Before anything is uploaded or built: the Python that the environment would be made with. Raises HostUnfit."""
    if plan.requires_python is None:
        return
    seen = Sightings()
    session.request("python", plan.environment.python)
    with _explaining(link.host, seen):
        for reply in session.replies("python"):
            yield from seen.take(reply)
    version = reply.values.strip()
    if version and not fits(version, plan.requires_python.value):
        raise HostUnfit(
            f"{plan.requires_python.origin}: {plan.requires_python.value} is required, and {link.host} would use "
            f"Python {version}",
            "name another one of the host in the settings, such as python: python3.12",
        )


def _send_wheels(session: Session, link: Link, plan: Start) -> Steps[str]:
    """For a host without internet: what it lacks is collected here and sent. Returns the folder of the wheels there."""
    wanted = plan.environment
    if not (wanted.wanted and wanted.wheels and wanted.requirements):
        return ""
    seen = Sightings()
    session.request("probe", ".")
    session.request("wheels", wanted.python, *wanted.requirements)
    with _explaining(link.host, seen):
        for reply in session.replies("wheels"):
            yield from seen.take(reply)
        if reply.values == "ready":
            return ""
        folder = os.fsdecode(decode(session.reply().values))
        python = HostPython.read(reply.values, link.host)
        yield Said("wheels", f"collecting wheels for Python {python.version} on {python.platform}")
        yield Phase("wheels", f"collecting wheels for {link.host}")
        found = collect(wanted.requirements, python, os.path.expanduser("~/.sshrun/wheels"))
        yield from transfer.upload(
            session, link.connection, wheel_items(found, folder), seen.facts, plan.engine, plan.compress
        )
    return folder


def _started(session: Session, link: Link, plan: Start) -> Steps[None]:
    seen = Sightings()
    with _explaining(link.host, seen):
        for reply in session.replies("started"):
            yield from seen.take(reply)
            if reply.word == "claimed":
                yield Phase("starting", f"waiting for {link.host} to start the job")
    if seen.facts.get("shell") == "sh" and (plan.files.get("startup") or plan.facts.shutdown_cmds):
        yield Warned(f"{link.host} has no bash: startup and shutdown commands run in sh")


def attach(link: Link) -> Steps[Job]:
    """The job that is on the host, retrieved or not. Raises NothingThere."""

    def step(session: Session) -> Steps[Job]:
        seen = Sightings()
        _ask_for_fates(session, link.host)
        session.request("attach")
        for reply in session.replies("done"):
            yield from seen.take(reply)
        if seen.job is not None and seen.job.state not in ("claimed", "void") and "discarded" not in seen.job.marks:
            return seen.job
        if seen.others:
            where = ", ".join(seen.others)
            raise NothingThere(
                f"{link.host}: no job is there; one is on {where}, which shares this home folder",
                f"name that machine: --host {seen.others[0]}",
            )
        raise NothingThere(f"{link.host}: no job is there", "sshrun jobs lists those of before")

    return (yield from link.persist(step))


def follow(link: Link, job_id: str, archive: str, record: Record, interrupts: Interrupts) -> Steps[Ended]:
    """The log, from the end of the copy here on, until the job is over. Ctrl+C ends the job, not the log."""
    interrupts.hold()
    try:
        with _explaining(link.host, Sightings()):
            return (yield from link.persist(lambda session: _follow(session, job_id, archive, record, interrupts)))
    finally:
        interrupts.let_go()
        record.close()


def _follow(session: Session, job_id: str, archive: str, record: Record, interrupts: Interrupts) -> Steps[Ended]:
    _ask_to_follow(session, job_id, archive, record.log_size)
    return (yield from _stream(session, archive, record, interrupts))


def _ask_to_follow(session: Session, job_id: str, archive: str, offset: int) -> None:
    """An archive that is small comes along with the end, which is a wait on the network less."""
    session.request("follow", job_id, str(offset), archive, str(transfer.SMALL))


def _stream(session: Session, archive: str, record: Record, interrupts: Interrupts) -> Steps[Ended]:
    """What a follow that was asked for brings."""
    if interrupts.asked:
        yield STOPPING_PHASE
        session.send(b"interrupt\n")  # the connection may have been lost before it arrived
    while True:
        offset = int(session.reply().values)
        for piece in session.raw_and_asides(interrupts.descriptor):
            if isinstance(piece, Reply):
                if not interrupts.asked:
                    yield _phase(piece)
            elif piece:
                record.write_log(piece, offset)
                yield Logged(piece, offset)
                offset += len(piece)
            else:
                interrupts.taken()
                yield Said("stopping", "stopping the job; Ctrl+C again leaves at once")
                yield STOPPING_PHASE
                session.send(b"interrupt\n")
        size = int(session.reply().values)
        job = yield from _sighted(session, "facts")
        assert job is not None
        ended = Ended(job, transfer.take_along(session, archive) if archive else transfer.NO_ARCHIVE)
        if offset >= size:
            return ended
        _ask_to_follow(session, record.id, archive, offset)


def stop(link: Link, job_id: str) -> Steps[Job]:
    """Ends every process of the job. Raises HostUnfit where one survives even SIGKILL."""

    def step(session: Session) -> Steps[Job]:
        session.request("stop", job_id)
        yield STOPPING_PHASE
        with _explaining(link.host, Sightings()):
            job = yield from _sighted(session, "stopped")
        assert job is not None
        return job

    return (yield from link.persist(step))


def find_archive(link: Link, job: Job, name: str) -> Steps[Archive]:
    """What has become of the archive; where it is small it comes along."""

    def step(session: Session) -> Steps[Archive]:
        session.request("enter", job.id)
        session.request("archive", name, str(transfer.SMALL))
        yield Phase("results", f"looking for {name} on {link.host}")
        with _explaining(link.host, Sightings()):
            return transfer.take_along(session, name)

    return (yield from link.persist(step))


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


def retrieve(link: Link, job: Job, archive: Archive, home: Homecoming) -> Steps[Missing]:
    """Downloads what the job made; returns what is missing of it."""
    wanted = list(home.downloads)

    def note_downloads(paths: Sequence[str]) -> None:
        if home.owned is not None:
            Record(job.id).note_downloads(paths)

    if archive.state == "here":
        path = transfer.place(archive, home.home, link.host, home.owned)
        note_downloads((path,))
        if os.path.basename(path) != Path(archive.name).name:
            yield Warned(transfer.kept_text(archive.name, path))
        yield Retrieved((path,), f"home: {os.path.basename(path) if home.owned else archive.name}")
    elif archive.state == "new" or (archive.state == "same" and home.everything):
        wanted.insert(0, whole(archive.name, home.home / Path(archive.name).name))
    elif archive.state == "same" and not home.archive_sent:
        yield Said("archive", f"{archive.name} there is from an earlier run: left alone; {_ALL}")

    def step(session: Session) -> Steps[Missing]:
        seen = Sightings()
        yield Phase("results", f"looking for results on {link.host}")
        session.request("enter", job.id)
        if home.logs:
            session.request("runner_logs", home.logs.cache, *(there for there, _ in home.logs.pairs))
        session.request("probe", ".")
        with _explaining(link.host, seen):
            logs = _runner_logs(session, home.logs) if home.logs else []
            for reply in session.replies("done"):
                seen.note(reply)  # the job is known, and described
            judged = [] if home.everything else [*home.downloads, *logs]
            downloaded = yield from transfer.download(
                session,
                link.connection,
                [*wanted, *logs],
                home.home,
                seen.facts,
                home.engine,
                home.compress,
                protected=home.protected,
                owned=home.owned,
                before=transfer.Before(session, judged, job.started) if judged else None,
            )
            note_downloads(downloaded.names)
            if downloaded.names:
                yield Retrieved(downloaded.names, f"home: {_listed(downloaded.names, home)}")
            old = [name for pattern, names in downloaded.old if pattern not in logs for name in names]
            if old:
                yield Said("old", f"left on {link.host}, as before the job: {_some(old)}; {_ALL}")
            ours = (home.archive, *(log.source for log in logs))
            return Missing(
                [name for name in downloaded.missing if name not in ours],
                [name for name in downloaded.missing_but_old if name not in ours],
            )

    return Missing() if _all_along(archive, home) else (yield from link.persist(step))


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


def hold(link: Link, job_id: str) -> Steps[None]:
    """Notes on the host that the shutdown commands wait for one more look."""

    def step(session: Session) -> Steps[None]:
        session.request("hold", job_id)
        session.reply()
        yield from ()

    return (yield from link.persist(step))


def release(link: Link, job_id: str, commands: Sequence[str] = ()) -> Steps[None]:
    """Says that everything is here. After that, and only then, the shutdown commands run."""

    def step(session: Session) -> Steps[None]:
        session.request("release", job_id, *(encode(command) for command in commands))
        yield Phase("release", f"waiting for {link.host} to note that all results are here")
        with _explaining(link.host, Sightings()):
            session.reply()

    yield from link.persist(step)


def _part(link: Link, job: Job, archive: Archive, home: Homecoming, record: Record) -> Steps[None]:
    """The goodbye, once everything is here.

    Where nothing depends on the host's answer, nobody waits for it: everything has come along with the end, of a job
    that nobody had discarded, and no command waits to be run. Should the goodbye not arrive, this client knows all the
    same, and says it again when it meets the job: see `_sent`.
    """
    record.note_directory(str(home.home))
    if _all_along(archive, home) and not home.shutdown_cmds:
        record.mark_retrieved(job.code)
        link.entrust("release", job.id)
        return
    yield from release(link, job.id, home.shutdown_cmds)
    record.mark_retrieved(job.code)
    if home.shutdown_cmds:
        try:
            yield from _watch_shutdown(link.session(), job.id, home.shutdown_cmds)
        except ConnectionFailed:
            pass  # they often end the machine
        except Refusal as refusal:
            yield Warned(f"{link.host}: the shutdown commands may not have run: {refusal.word} {refusal.values}")


def _all_along(archive: Archive, home: Homecoming) -> bool:
    """Whether nothing has to be fetched that did not come along with the end of the job."""
    return archive.state != "new" and not home.downloads and not home.logs


def finish(link: Link, ended: Ended, home: Homecoming, record: Record) -> Steps[int]:
    """From the end of a job to its exit status: everything home first, then the shutdown commands.

    Raises JobLost, and TransferFailed where something is not here yet: then the job stays as it is, for --resume.
    """
    job, archive = ended
    if job.state == "lost":
        yield from stop(link, job.id)
    how = "the job was lost" if job.code is None else f"the job ended with {code_text(job.code)}"
    try:
        missing = yield from retrieve(link, job, archive, home)
    except DirectoryGone as error:
        raise TransferFailed(f"{error.message}; {how}", error.hint) from error
    except RemoteError as error:
        raise TransferFailed(
            f"{error.message}; {how}, its results are safe on {link.host}", "sshrun --resume"
        ) from error
    _copy_log(record, job, home)
    if missing and job.code == 0 and "held" not in job.marks:
        yield from hold(link, job.id)
        raise TransferFailed(
            f"{link.host}: {missing}, though {how}; shutdown commands wait",
            "sshrun --resume goes on without it",
        )
    yield from _part(link, job, archive, home, record)
    return outcome(link.host, job.id, job.code)


def _copy_log(record: Record, job: Job, home: Homecoming) -> None:
    """What the command printed, to where its runner's logs are, as far as this client has all of it."""
    path = home.log_copy
    is_free = home.owned is None or home.owned(path) or not os.path.lexists(path)
    if path and is_free and job.phase == "running" and record.log_size >= job.log_size:
        record.copy_log(path)
        if home.owned is not None:
            record.note_downloads((path,))


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
        yield Said("shutdown", chunk.decode("utf-8", "replace"))
    for _ in session.replies("facts"):
        pass
    session.request("codes", job_id)
    for reply in session.replies("done"):
        if reply.word == "code":
            number, code = reply.split()
            if code != "0":
                # Those of the first release count, and another client may have been first.
                shown = f": {commands[int(number) - 1]}" if int(number) <= len(commands) else ""
                yield Warned(f"shutdown command {number} ended with exit {code}{shown}")


def listed(link: Link) -> Steps[list[Job]]:
    """All jobs that the host keeps."""

    def step(session: Session) -> Steps[list[Job]]:
        session.request("list_jobs")
        found: list[Job] = []
        seen = Sightings()
        for reply in session.replies("done"):
            seen.note(reply)
            if reply.word == "facts" and seen.job is not None:
                found.append(seen.job)
        yield from ()
        return found

    return (yield from link.persist(step))


def look(link: Link, lines: int) -> Steps[tuple[Job | None, dict[str, str], list[str]]]:
    """The job that is there, what its processes use, and the last lines of its log."""

    def step(session: Session) -> Steps[tuple[Job | None, dict[str, str], list[str]]]:
        _ask_for_fates(session, link.host)
        session.request("look", str(lines))
        seen = Sightings()
        usage: dict[str, str] = {}
        tail: list[str] = []
        for reply in session.replies("done"):
            seen.note(reply)
            if reply.word == "fate":
                yield from seen.take(reply)
            elif reply.word == "use":
                name, _, value = reply.values.partition(" ")
                usage[name] = value
            elif reply.word == "line":
                tail.append(decode(reply.values).decode("utf-8", "replace"))
        return seen.job, usage, tail

    return (yield from link.persist(step))


def log(link: Link, job_id: str, lines: int | None) -> Steps[None]:
    """The log of a job as it is now: all of it, or the last `lines`. Without an id, that of the job that is there."""
    yield from link.persist(_log(link.host, job_id, lines))


def watch(link: Link, job_id: str, lines: int | None) -> Steps[None]:
    """The same, and what the job adds to it until it is over."""
    job_id, offset = yield from link.persist(_log(link.host, job_id, lines))

    def step(session: Session) -> Steps[None]:
        nonlocal offset
        session.request("follow", job_id, str(offset))
        session.reply()
        for piece in session.raw_and_asides():
            if isinstance(piece, Reply):
                yield _phase(piece)
            elif piece:
                yield Logged(piece, offset)
                offset += len(piece)
        session.reply()
        yield from _sighted(session, "facts")

    yield from link.persist(step)


def _log(host: str, job_id: str, lines: int | None) -> Callable[[Session], Steps[tuple[str, int]]]:
    """A step that shows a log, and goes on behind what it has shown when it is done again.

    Returns the job's whole id and the size of its log.
    """
    shown = 0

    def step(session: Session) -> Steps[tuple[str, int]]:
        nonlocal shown
        session.request("log", job_id, "" if lines is None else str(lines))
        with _explaining(host, Sightings()):
            found = session.reply().values
        chunks = session.raw()
        if lines is not None:
            chunks = iter([b"".join(chunks)])  # by the next time other lines may be the last ones
        offset = 0
        for chunk in chunks:
            new = chunk[max(0, shown - offset) :]
            offset += len(chunk)
            if new:
                shown = offset
                yield Logged(new, offset - len(new))
        return found, int(session.reply().values)

    return step


def _ask_for_fates(session: Session, host: str) -> None:
    """Asks what has become of jobs whose results are still awaited here: somebody may have discarded one."""
    awaited = [record.id for record in records() if record.open and record.facts().host == host]
    if awaited:
        session.request("fates", *awaited)


class Sightings:
    """What a host's replies tell on the way: its facts, and the job that is there."""

    def __init__(self) -> None:
        self.facts: dict[str, str] = {}
        self.job: Job | None = None
        self.others: list[str] = []

    def take(self, reply: Reply) -> Steps[None]:
        """Notes a reply, and tells of it."""
        self.note(reply)
        if reply.word == "facts" and self.job is not None:
            yield Described(self.job)
        elif reply.word == "note":
            yield Warned(decode(reply.values).decode("utf-8", "replace"))
        elif reply.word == "discarded":
            yield Said("discarded", f"stopped and discarded job {reply.values}{_about(self.job)}")
        elif reply.word == "fate":
            job_id, _, how = reply.values.partition(" ")
            record, discarded = Record(job_id), _discarded(how)
            if record.open and discarded is not None:
                title = record.facts().title
                record.mark_discarded(str(discarded))
                yield Warned(f"job {job_id}{f' ({title})' if title else ''} was {discarded}")

    def note(self, reply: Reply) -> None:
        if reply.word == "fact":
            name, _, value = reply.values.partition(" ")
            if name == "other":
                self.others.append(value)
            else:
                self.facts[name] = value
        elif reply.word == "job":
            self.job = _job(reply)
        elif reply.word == "facts" and self.job is not None:
            self.job = self.job._replace(facts=_facts(reply.values))
        elif reply.word == "by" and self.job is not None:
            self.job = self.job._replace(discarded=_discarded(reply.values))


def _sighted(session: Session, last: str) -> Steps[Job | None]:
    seen = Sightings()
    for reply in session.replies(last):
        yield from seen.take(reply)
    return seen.job


def _phase(aside: Reply) -> Phase:
    return phase(decode(aside.values).decode("utf-8", "replace"))


def _job(reply: Reply) -> Job:
    job_id, state, code, started, ended, size, marks, phase = reply.values.split(" ", 7)
    if not (job_id.isascii() and job_id.replace("-", "").isalnum()):
        raise HostUnfit(f"the host names a job {job_id!r}, which is no name that sshrun gives", "sshrun doctor")
    return Job(
        id=job_id,
        state=state,  # type: ignore[arg-type]
        code=None if code == "-" else int(code),
        started=None if started == "-" else int(started),
        ended=None if ended == "-" else int(ended),
        log_size=int(size),
        marks=frozenset(filter(None, marks.strip("-").split(","))),
        phase="" if phase == "-" else phase,
    )


def _discarded(values: str) -> Discarded | None:
    at, _, by = values.partition(" ")
    return Discarded(decode(by).decode("utf-8", "replace"), int(at)) if at.isdecimal() else None


def _facts(values: str) -> Facts:
    import json

    try:
        return facts_from_data(json.loads(decode(values) or b"{}"))
    except (ValueError, TypeError):
        return Facts()


@contextmanager
def _explaining(host: str, seen: Sightings) -> Iterator[None]:
    try:
        yield
    except Refusal as refusal:
        explained = _explained(refusal, host, seen)
        if explained is None:
            raise
        raise explained from refusal


def _explained(refusal: Refusal, host: str, seen: Sightings) -> SshrunError | None:
    """A refusal in the words of the person who meets it."""
    values = decode(refusal.values).decode("utf-8", "replace")
    match refusal.word:
        case "busy":
            return JobIsThere(
                busy_text(host, seen.job),
                "sshrun --resume attaches to it; --force stops and discards it",
                seen.job.id if seen.job else "",
            )
        case "late" | "closed":
            return JobIsThere(f"{host}: another client was faster", "sshrun status")
        case "discarded":
            job, _, how = refusal.values.partition(" ")
            fate = _discarded(how) or "discarded by --force from elsewhere"
            return JobIsThere(f"{host}: job {job} was {fate}", "sshrun status")
        case "passed":
            job, _, other = values.partition(" ")
            return JobIsThere(
                f"{host}: job {job} was retrieved by another client, and it is the turn of job {other or 'another'}",
                f"sshrun logs {job} shows what it printed",
            )
        case "nothing":
            return NothingThere(f"{host}: job {values} is not there any more")
        case "folder":
            return HostUnfit(
                f"{host}: the working directory {values!r} cannot be made, entered or written",
                "name another: --host HOST/PATH, or remote_dir",
            )
        case "gone":
            return DirectoryGone(
                f"{host}: the job's working directory {values!r} is gone, and what it left there",
                "sshrun logs shows its log, which is kept; --force gives the host to the next job",
            )
        case "put":
            return transfer.not_placed(host, refusal)
        case "blind":
            return HostUnfit(
                f"{host} shows no processes, so that nobody can tell whether a job lives: /proc is not there, nor a ps",
                "have /proc mounted in the chroot or container that the login leads to",
            )
        case "state":
            return HostUnfit(f"{host}: {values}", "free some space there, or see whose folder it is")
        case "stop":
            return HostUnfit(
                f"{host}: processes of the job could not be ended: {values}", "log in and see what they wait for"
            )
        case "start":
            return HostUnfit(f"{host}: the job's supervisor did not start: {values or 'without a word'}")
        case "truncated":
            return TransferFailed(
                f"{host}: the log there has {values} bytes, fewer than the copy here",
                "somebody cut it; sshrun logs shows the copy",
            )
    return None


def busy_text(host: str, job: Job | None) -> str:
    if job is None:
        return f"{host} is busy with another job"
    import time

    age = f", {age_text(time.time() - job.started)} old" if job.started else ""
    state = "being uploaded" if job.state == "claimed" else str(job.state)
    if job.over:
        retrieved = "retrieved" in job.marks or Record(job.id).retrieved
        state = f"{state}, retrieved" if retrieved else f"{state}, not retrieved"
    return f"{host} has job {job.id}{_about(job)}, {state}{age}"


def _about(job: Job | None) -> str:
    """What the job is and who started it, in brackets; nothing where its claim is all that the host has yet."""
    facts = job.facts if job is not None else Facts()
    origin = f"from {facts.origin}" if facts.origin else ""
    shown = ", ".join(filter(None, (facts.title, origin)))
    return f" ({shown})" if shown else ""
