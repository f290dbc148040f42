from __future__ import annotations

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sshrun.job import Facts, Job, age_text, code_text, facts_from_data, facts_to_data, new_id, size_text

TEXTS = st.text(max_size=20)
FACTS = st.builds(
    Facts,
    command=TEXTS,
    model=TEXTS,
    argv=st.lists(TEXTS).map(tuple),
    runner=TEXTS,
    download_files=st.lists(TEXTS).map(tuple),
    shutdown_cmds=st.lists(TEXTS).map(tuple),
    log_folder=st.none() | st.dictionaries(TEXTS, TEXTS, min_size=1),
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


@given(FACTS)
def test_facts_survive_being_stored(facts: Facts) -> None:
    assert facts_from_data(json.loads(json.dumps(facts_to_data(facts)))) == facts


def test_facts_of_another_version_are_read_as_far_as_they_are_known() -> None:
    assert facts_from_data({"model": "m", "of tomorrow": [1]}) == Facts(model="m")


@pytest.mark.parametrize(
    ("facts", "title"),
    [
        (Facts(command="train", model="m", argv=("python", "m.py"), runner="script"), "train m"),
        (Facts(command="--", model="sleep", argv=("sleep", "60"), runner="program"), "sleep 60"),
        (Facts(), ""),
    ],
)
def test_a_job_is_called_what_was_typed(facts: Facts, title: str) -> None:
    assert facts.title == title


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
    assert [Job("x", state).over for state in ("claimed", "preparing", "running", "finished", "lost")] == [
        False, False, False, True, True,
    ]  # fmt: skip
