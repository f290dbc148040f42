"""Whether a Python is one that `requires-python` allows."""

from __future__ import annotations

import re
from collections.abc import Iterable

# The version specifiers of the packaging specifications (PEP 440), without the pre-releases that no host's Python is.
_CLAUSE = re.compile(r"\s*(~=|===?|!=|<=?|>=?)\s*v?(\d+(?:\.\d+)*)(\.\*)?[^,]*")

RELEASES = tuple(f"3.{minor}" for minor in range(9, 15))  # what uv fetches, as far as it is worth naming


def nearest_that_fits(version: str, others: Iterable[str], specifiers: str) -> str:
    """Of the `others`, such as `3.12`, the one that is within the specifiers and nearest to `version`; "" for none."""
    found = [other for other in others if other[:1].isdigit() and fits(other, specifiers)]
    return min(found, key=lambda other: _distance(_numbers(version), _numbers(other)), default="")


def _distance(version: tuple[int, ...], other: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(abs(one - two) for one, two in zip(version[:2], other[:2], strict=False))


def fits(version: str, specifiers: str) -> bool:
    """Whether `3.11.7` is within `>=3.9,<3.12`. A clause that cannot be read excludes nothing: pip will judge it."""
    return all(_holds(_numbers(version), match) for clause in specifiers.split(",") if (match := _CLAUSE.match(clause)))


def _holds(version: tuple[int, ...], clause: re.Match[str]) -> bool:
    operator, wanted, prefix = clause[1], _numbers(clause[2]), clause[3]
    if prefix or operator == "~=":
        begins = wanted if prefix else wanted[:-1]
        same = version[: len(begins)] == begins
        return not same if operator == "!=" else same and (operator != "~=" or version >= wanted)
    wanted, version = _same_length(wanted, version)
    return {
        ">=": version >= wanted,
        ">": version > wanted,
        "<=": version <= wanted,
        "<": version < wanted,
        "!=": version != wanted,
    }.get(operator, version == wanted)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.match(r"[\d.]*", version)[0].split(".") if number)  # type: ignore[index]


def _same_length(first: tuple[int, ...], second: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    length = max(len(first), len(second))
    return first + (0,) * (length - len(first)), second + (0,) * (length - len(second))
