"""The result of one check."""

from __future__ import annotations

from typing import Literal, NamedTuple

Verdict = Literal["ok", "warning", "failure"]


class Finding(NamedTuple):
    """One line: the check, its verdict, and what to type where that is not ok.

    `busy` is a failure that only time or the person can resolve: the host holds a job.
    """

    check: str
    verdict: Verdict
    text: str
    fix: str = ""
    busy: bool = False


def ok(check: str, text: str) -> Finding:
    return Finding(check, "ok", text)


def warning(check: str, text: str, fix: str = "") -> Finding:
    """A job could run, with a limitation."""
    return Finding(check, "warning", text, fix)


def failure(check: str, text: str, fix: str = "", *, busy: bool = False) -> Finding:
    """No job could run."""
    return Finding(check, "failure", text, fix, busy)
