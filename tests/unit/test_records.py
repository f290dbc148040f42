from __future__ import annotations

import os
from pathlib import Path

import pytest

from sshrun.errors import OutputFailed
from sshrun.job import Manifest
from sshrun.jobs.records import Record, jobs_directory, prepare, prune, records


def test_what_two_clients_write_to_one_log_is_there_once(home: Path) -> None:
    first, second = Record("a"), Record("a")
    first.write_log(b"one\n", 0)
    second.write_log(b"two\n", 4)
    first.write_log(b"two\nthree\n", 4)
    assert first.log.read_bytes() == b"one\ntwo\nthree\n"
    assert second.log_size == 14
    first.close()
    second.close()


def test_records_are_nobody_elses_to_read(home: Path) -> None:
    record = Record("a")
    record.write_log(b"secret", 0)
    record.write_manifest(Manifest(model="m"))
    record.close()
    assert record.directory.stat().st_mode & 0o777 == 0o700
    assert record.log.stat().st_mode & 0o777 == 0o600


def test_a_record_begins_with_the_manifest_and_ends_with_the_code(home: Path) -> None:
    record = Record("a")
    assert (record.begun, record.retrieved, record.code, record.log_size) == (False, False, None, 0)
    record.write_manifest(Manifest(command="train", model="m"))
    assert record.begun and record.manifest() == Manifest(command="train", model="m")
    record.mark_retrieved(7)
    assert (record.retrieved, record.code) == (True, 7)


def test_a_lost_job_is_retrieved_without_a_code(home: Path) -> None:
    record = Record("a")
    record.mark_retrieved(None)
    assert (record.retrieved, record.code) == (True, None)


def test_manifests_that_are_none_count_as_empty(home: Path) -> None:
    record = Record("a")
    record.write("manifest", "[1")
    assert record.manifest() == Manifest()
    assert Record("b").manifest() == Manifest()


def test_a_disk_that_is_full_is_an_error_to_be_told(home: Path) -> None:
    record = Record("a")
    record.make()
    record.log.symlink_to("/dev/full")
    with pytest.raises(OutputFailed, match="a/log: No space left on device"):
        record.write_log(b"line\n", 0)
    record.close()


def test_a_home_that_is_no_folder_holds_no_records(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "file").touch()
    monkeypatch.setenv("HOME", str(home / "file"))
    assert list(records()) == []
    with pytest.raises(OutputFailed, match=r"file/\.sshrun/jobs: Not a directory"):
        prepare()
    with pytest.raises(OutputFailed, match="Not a directory"):
        Record("a").write_manifest(Manifest())


def test_the_latest_comes_first_and_the_oldest_goes(home: Path) -> None:
    assert list(records()) == []
    for number in range(5):
        record = Record(f"2026010{number}")
        record.write_manifest(Manifest())
        if number != 1:
            record.mark_retrieved(0)
    prune(2)
    assert [record.id for record in records()] == ["20260104", "20260103", "20260101"], "one is not retrieved yet"
    assert sorted(os.listdir(jobs_directory())) == ["20260101", "20260103", "20260104"]
