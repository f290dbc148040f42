from __future__ import annotations

import pytest

from sshrun.environment.requires_python import fits, nearest_that_fits


@pytest.mark.parametrize(
    ("version", "specifiers", "fit"),
    [
        ("3.11.7", ">=3.9", True),
        ("3.9.0", ">=3.9", True),
        ("3.8.19", ">=3.9", False),
        ("3.11.7", ">=3.9, <3.12", True),
        ("3.12.0", ">=3.9,<3.12", False),
        ("3.12.1", "<=3.12", False),
        ("3.12.1", "<4", True),
        ("3.11.7", "==3.11.*", True),
        ("3.11.7", "!=3.11.*", False),
        ("3.11.7", "==3.11.7", True),
        ("3.11.7", "~=3.9", True),
        ("3.11.7", "~=3.11.8", False),
        ("4.0", "~=3.9", False),
        ("3.13.0rc1", ">=3.13", True),
        ("3.11.7", ">3.11", True),
        ("3.11.7", "nonsense", True),
        ("3.11.7", "", True),
    ],
)
def test_a_version_is_within_its_specifiers(version: str, specifiers: str, fit: bool) -> None:
    assert fits(version, specifiers) is fit


@pytest.mark.parametrize(
    ("version", "others", "specifiers", "other"),
    [
        ("3.9.2", ["3.13", "3.12", "3.11", "uv"], ">=3.11", "3.11"),
        ("3.13.0", ["3.12", "3.9"], "<3.13", "3.12"),
        ("3.11.2", ["3.12"], ">=3.12.4", ""),
        ("3.11.2", ["uv"], ">=3.9", ""),
        ("3", ["3.12"], ">=3.12", "3.12"),
    ],
)
def test_the_nearest_that_fits(version: str, others: list[str], specifiers: str, other: str) -> None:
    assert nearest_that_fits(version, others, specifiers) == other
