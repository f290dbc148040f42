"""What stood on the host before a job is no result of it, under each shell and with each shell's find and stat."""

from __future__ import annotations

import os
import time
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

import pytest

from sshrun.session.session import Session
from sshrun.transfer.before import Before, request_before
from sshrun.transfer.download import download
from sshrun.transfer.patterns import Pattern, parse_download
from support.shell_host import NO_CONNECTION, ShellHost
from support.trees import contents

OLD = 1_600_000_000
TAR = {"tools": "tar xargs"}


def write(path: Path, text: str = "old") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    os.utime(path, (OLD, OLD))


def job(host: ShellHost, script: str, patterns: Sequence[Pattern]) -> Session:
    """A job that has run, of which the host has noted what stood there before."""
    if host.shell == "busybox":
        # Its stat tells whole seconds, and what changed in that of the start is taken for new.
        began = time.time()
        while time.time() < began + 3.1:
            time.sleep(0.1)
    session, name = host.session(), host.new_id()
    host.claim(session, name)
    session.request("place", str(host.home / "work"))
    request_before(session, patterns)
    host.begin(["sh", "-c", script], session=session, job=name)
    assert host.follow(session, name).code == "0"
    session.request("enter", name)
    assert session.reply().word == "placed"
    return session


def outcome(steps: Generator[Any, None, Any]) -> Any:
    try:
        while True:
            next(steps)
    except StopIteration as end:
        return end.value


def results(
    host: ShellHost, session: Session, home: Path, patterns: Sequence[Pattern], started: int | None = None
) -> Any:
    started = started or int(next(host.state.glob("jobs/*/started")).read_text())
    before = Before(session, patterns, started)
    return outcome(download(session, NO_CONNECTION, patterns, home, TAR, before=before))


def test_what_a_job_neither_made_nor_changed_is_not_its_result(host: ShellHost, tmp_path: Path) -> None:
    """Neither does a time of the last writing make a result of a file, nor does an old one make none of it."""
    work = host.home / "work"
    for name in ("same", "written", "replaced", "removed", "n\nl", "d/same", "d/.hidden", "d/deep/written"):
        write(work / name)
    write(work / "apart/copy")
    patterns = [parse_download(text) for text in ("*", "d", "removed", "no/such")]
    session = job(
        host,
        "cat apart/copy >written; touch -t 202009131226.40 written; cp -p apart/copy x; mv x replaced; rm removed; "
        "cp -p apart/copy new; cp -p apart/copy d/new; cat apart/copy >d/deep/written",
        patterns,
    )
    done = results(host, session, tmp_path / "back", patterns)
    assert sorted(contents(tmp_path / "back")) == ["d/deep/written", "d/new", "new", "replaced", "written"]
    assert {pattern.text: sorted(names) for pattern, names in done.old} == {
        "*": ["n\nl", "same"],
        "d": ["d/.hidden", "d/same"],
    }
    assert (done.missing, done.missing_but_old) == (("removed", "no/such"), ())


def test_what_is_named_and_is_as_before_counts_as_missing(host: ShellHost, tmp_path: Path) -> None:
    work = host.home / "work"
    write(work / "metrics.json")
    write(work / "out/model")
    write(host.home / "far/a")
    patterns = [parse_download(text) for text in ("metrics.json", "out", "out/*", "~/far|near", f"{host.home}/far/a|b")]
    session = job(host, "touch out/x; rm out/x", patterns)
    done = results(host, session, tmp_path / "back", patterns)
    assert contents(tmp_path / "back") == {}
    assert done.missing == ()
    assert done.missing_but_old == ("metrics.json", "out", "~/far", f"{host.home}/far/a")
    assert not (tmp_path / "back").exists()


def test_a_link_is_new_where_it_or_what_it_leads_to_is(host: ShellHost, tmp_path: Path) -> None:
    work = host.home / "work"
    for name in ("run1/m", "run2/m", "a", "b"):
        write(work / name, name)
    for name, target in (("same", "a"), ("turned", "a"), ("written", "b"), ("latest", "run1"), ("fixed", "run1")):
        (work / name).symlink_to(target)
    patterns = [parse_download(text) for text in ("same", "turned", "written", "made", "latest/*", "fixed/*")]
    session = job(host, "ln -sfn run2 latest; ln -sf b turned; ln -s a made; echo more >>b; touch run2/m", patterns)
    results(host, session, tmp_path / "back", patterns)
    assert sorted(contents(tmp_path / "back")) == ["latest/m", "made", "turned", "written"]


def test_a_pattern_that_was_not_known_is_judged_by_the_time_of_the_last_change(host: ShellHost, tmp_path: Path) -> None:
    work = host.home / "work"
    write(work / "a")
    session = job(host, "touch -t 202009131226.40 b", [])
    patterns = [parse_download("*")]
    changed = int((work / "a").stat().st_ctime)
    for started, found in ((changed, ["a", "b"]), (changed + 3600, [])):
        home = tmp_path / str(started)
        done = results(host, session, home, patterns, started)
        assert sorted(contents(home)) == found
        assert bool(done.old) != bool(found)


def test_what_the_first_try_of_a_start_noted_counts(host: ShellHost, tmp_path: Path) -> None:
    """The answer to a start may be lost, and all of it sent again, when the job has made its results already."""
    work = host.home / "work"
    write(work / "a")
    patterns = [parse_download("*")]
    session = job(host, "echo new >b", patterns)
    (name,) = (path.name for path in (host.state / "jobs").iterdir())
    host.claim(session, name)
    request_before(session, patterns)
    (host.job(name) / "id").rename(host.job(name) / "id.away")  # as if it had not begun yet
    request_before(session, patterns)
    session.request("probe", ".")
    list(session.replies("done"))
    (host.job(name) / "id.away").rename(host.job(name) / "id")
    results(host, session, tmp_path / "back", patterns)
    assert sorted(contents(tmp_path / "back")) == ["b"]


@pytest.mark.long
def test_a_tree_without_end_holds_no_start_up_for_long(host: ShellHost, tmp_path: Path) -> None:
    work = host.home / "work"
    write(work / "d/a")
    write(work / "b")
    applet = (host.tools / "find").readlink() if (host.tools / "find").is_symlink() else None
    find = host.vacant("find")
    find.write_text(f"#!{host.tools}/sh\nexec sleep {host.mark}\n")
    find.chmod(0o755)
    patterns = [parse_download(text) for text in ("d", "d/*", "b")]
    session = job(host, "echo new >c", patterns)
    assert f"sleep {host.mark}" not in host.mine().values()
    find.unlink()
    if applet:
        find.symlink_to(applet)
    done = results(host, session, tmp_path / "back", patterns)
    assert sorted(contents(tmp_path / "back")) == ["b", "d/a"], "where nothing is noted, nothing is held back"
    assert done.old == ()
