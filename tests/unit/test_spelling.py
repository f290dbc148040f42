from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sshrun.spelling import letters_apart, near_miss, nearest

words = st.text("abcd", max_size=8)


@pytest.mark.parametrize(
    ("one", "other", "distance"),
    [("", "", 0), ("a", "", 1), ("host", "hots", 1), ("force", "frce", 1), ("wait", "await", 1), ("tar", "rsync", 5)],
)
def test_counts_changed_added_missing_and_swapped_letters(one: str, other: str, distance: int) -> None:
    assert letters_apart(one, other) == distance


@given(words, words)
def test_distance_is_symmetric_and_zero_only_for_the_same_word(one: str, other: str) -> None:
    assert letters_apart(one, other) == letters_apart(other, one)
    assert (letters_apart(one, other) == 0) == (one == other)


@given(words, st.integers(0, 8), st.sampled_from("xyz"))
def test_one_added_letter_is_a_near_miss(word: str, at: int, letter: str) -> None:
    assert near_miss(word[:at] + letter + word[at:], [word]) == word


def test_the_word_itself_and_a_distant_one_are_no_near_miss() -> None:
    assert near_miss("force", ["force"]) == ""
    assert near_miss("epochs", ["force", "resume"]) == ""


def test_nearest_also_finds_what_is_further_away() -> None:
    assert near_miss("upload", ["upload_files", "archive"]) == ""
    assert nearest("upload", ["upload_files", "archive"]) == "upload_files"
    assert nearest("xyz", ["upload_files", "archive"]) == ""
