"""How far two words are apart, for hints."""

from __future__ import annotations

from collections.abc import Iterable


def letters_apart(one: str, other: str) -> int:
    """How many letters must be changed, added, left out or swapped with their neighbour (Damerau, Levenshtein)."""
    before: list[int] = []
    above = list(range(len(other) + 1))
    for i, letter in enumerate(one, 1):
        row = [i]
        for j, counterpart in enumerate(other, 1):
            cost = min(above[j] + 1, row[j - 1] + 1, above[j - 1] + (letter != counterpart))
            if i > 1 and j > 1 and letter == other[j - 2] and one[i - 2] == counterpart:
                cost = min(cost, before[j - 2] + 1)
            row.append(cost)
        before, above = above, row
    return above[-1]


def near_miss(word: str, known: Iterable[str]) -> str:
    """The known word that `word` misses by one or two letters, or ""."""
    candidates = [(letters_apart(word, name), name) for name in known if abs(len(name) - len(word)) <= 2]
    distance, name = min(candidates, default=(0, ""))
    return name if 1 <= distance <= 2 else ""


def nearest(word: str, known: Iterable[str]) -> str:
    """The known word that `word` most probably means, or ""."""
    import difflib

    names = list(known)
    return near_miss(word, names) or next(iter(difflib.get_close_matches(word, names, 1)), "")
