from __future__ import annotations

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sshrun.job import Job, Manifest, State, code_text, manifest_from_data, manifest_to_data, new_id
from sshrun.spec.runner import stored_logs
from sshrun.units import age_text, size_text

TEXTS = st.text(max_size=20)
MANIFESTS = st.builds(
    Manifest,
    command=TEXTS,
    model=TEXTS,
    argv=st.lists(TEXTS).map(tuple),
    runner=TEXTS,
    download_files=st.lists(TEXTS).map(tuple),
    shutdown_cmds=st.lists(TEXTS).map(tuple),
    runner_logs=st.none() | st.dictionaries(TEXTS, TEXTS, min_size=1),
)


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (0, "exit 0"),
        (7, "exit 7"),
        (128, "exit 128"),
        (137, "exit 137 (SIGKILL, or the program's own code)"),
        (143, "exit 143 (SIGTERM, or the program's own code)"),
        (255, "exit 255"),
    ],
)
def test_codes_in_words(code: int, text: str) -> None:
    assert code_text(code) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "0 s"),
        (0.9, "0 s"),
        (119, "119 s"),
        (120, "2 min"),
        (3599, "59 min"),
        (3600, "1 h 0 min"),
        (12000, "3 h 20 min"),
        (172799, "47 h 59 min"),
        (187200, "2 d 4 h"),
    ],
)
def test_ages_in_words(seconds: float, text: str) -> None:
    assert age_text(seconds) == text


@given(MANIFESTS)
def test_manifests_survive_being_stored(manifest: Manifest) -> None:
    assert manifest_from_data(json.loads(json.dumps(manifest_to_data(manifest)))) == manifest


def test_manifests_of_another_version_are_read_as_far_as_they_are_known() -> None:
    assert manifest_from_data({"model": "m", "of tomorrow": [1]}) == Manifest(model="m")


def test_the_logs_of_an_older_manifest_are_known() -> None:
    logs = {"folder": "models/m", "command_log": "cli_logs/train.log", "variable": "MLTK_CACHE_DIR", "cache": "~/.mltk"}
    stored = stored_logs(manifest_from_data({"log_folder": logs}).runner_logs or {}, "/p")
    assert stored is not None
    assert (stored.remote, stored.command_log) == ("~/.mltk/models/m", "cli_logs/train.log")


@pytest.mark.parametrize("logs", ["models/m", ["models/m"], {"cache": "x"}, 7])
def test_logs_that_a_host_made_up_are_none(logs: object) -> None:
    assert manifest_from_data({"model": "m", "log_folder": logs}) == Manifest(model="m")
    assert manifest_from_data({"model": "m", "runner_logs": "models/m"}) == Manifest(model="m")


# As 0.1.0 wrote them down before clients, paths and arguments were recorded.
OLD = json.loads(
    """{"command": "train", "model": "my_model", "argv": ["sh", "my_model.sh"], "runner": "script", "host": "gpu1",
    "client": "laptop", "archive": "my_model.zip", "spec": "/p/my_model.py", "download_files": ["made"]}"""
)


def test_an_old_job_is_still_known_by_its_spec() -> None:
    old = manifest_from_data(OLD)
    assert (old.title, old.origin) == ("train my_model", "laptop:/p/my_model.py")
    mine = Manifest(command="train", model="my_model", client="laptop", path="/p/my_model.py")
    assert mine.names(old, started_locally=False)
    assert not mine._replace(path="/q/my_model.py").names(old, started_locally=False)
    assert mine._replace(client="desk", path="/q/my_model.py").names(old, started_locally=False), "nothing to compare"
    assert mine.names(Manifest(command="train", model="my_model"), started_locally=False)


def test_a_job_is_that_of_a_path_on_a_client() -> None:
    job = Manifest(command="train", model="m", client="laptop", user="joe", path="/p/m.py")
    assert job.names(job, started_locally=False)
    assert not job._replace(path="/q/m.py").names(job, started_locally=True)
    assert not job._replace(model="n").names(job, started_locally=True)
    assert not job._replace(client="desk").names(job, started_locally=False)
    assert job._replace(client="laptop.local").names(job, started_locally=True), "its network has renamed it"
    assert job.origin == "joe@laptop:/p/m.py"


@pytest.mark.parametrize(
    ("manifest", "title"),
    [
        (Manifest(command="train", model="m", argv=("python", "m.py"), runner="script"), "train m"),
        (Manifest(command="--", model="sleep", argv=("sleep", "60"), runner="program"), "sleep 60"),
        (Manifest(command="train", model="m", runner="script", args=("--epochs", "3")), "train m --epochs 3"),
        (Manifest(command="run", model="fit", spec="/p/fit.py", runner="run", args=("0.1",)), "run fit.py 0.1"),
        (Manifest(command="train", model="m", args=("x" * 1000,)), f"train m {'x' * 191}…"),
        (Manifest(), ""),
    ],
)
def test_a_job_is_called_what_was_typed(manifest: Manifest, title: str) -> None:
    assert manifest.title == title


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1024, "1.02 kB"), (999_700, "1 MB"), (81_234_567_890, "81.2 GB")],
)
def test_sizes_are_told_in_three_digits(count: int, text: str) -> None:
    assert size_text(count) == text


def test_ids_differ_sort_by_age_and_need_no_quoting() -> None:
    ids = []
    for _ in range(100):
        ids.append(new_id())
        time.sleep(0.0001)
    assert len(set(ids)) == 100
    assert ids == sorted(ids)
    assert all(set(name) <= set("0123456789abcdef-") for name in ids)


def test_what_is_over() -> None:
    assert {state for state in State if Job("x", state).is_over} == {State.FINISHED, State.LOST}


def test_what_stands_in_the_way_of_a_start() -> None:
    assert {state for state in State if Job("x", state).holds_slot} == set(State) - {State.VOID}
    for flag in ("retrieved", "discarded"):
        assert not Job("x", State.FINISHED, flags=frozenset({flag})).holds_slot
