"""What a pattern that excludes (`!PATTERN`) takes out of what earlier ones selected."""

from __future__ import annotations

import os
from collections.abc import Sequence

from sshrun.transfer.items import Item
from sshrun.transfer.matching import matcher
from sshrun.transfer.patterns import Pattern, has_wildcard, steps_of


class Exclusion:
    """What a pattern that excludes takes out: the files that it means, and directories with all that is in them.

    Judged by names alone, since what was selected is known: nothing is read from the disk again.
    """

    def __init__(self, pattern: Pattern, start: str) -> None:
        self.pattern = pattern
        source = os.path.normpath(pattern.source)
        if source.startswith("~"):
            start, source = os.path.expanduser("~"), source[1:]
        elif source.startswith("/"):
            start = "/"
        steps = steps_of(source)
        while steps[:1] == [".."]:
            start, steps = os.path.dirname(start), steps[1:]
        self._start = start.rstrip("/") + "/"
        self._parts = [(step, matcher(step) if has_wildcard(step) else step.__eq__) for step in steps]

    def covers(self, item: Item) -> bool:
        if not item.source.startswith(self._start):
            return False
        return self._match(0, steps_of(item.source[len(self._start) :]), 0, directory=item.is_directory)

    def _match(self, part: int, steps: Sequence[str], at: int, *, directory: bool) -> bool:
        """Whether the parts from `part` on mean a beginning of the steps from `at` on, of a `directory` or a file."""
        if part == len(self._parts):
            return True
        wildcard, matches = self._parts[part]
        if wildcard == "**" and part + 1 == len(self._parts) and at and (directory or at < len(steps)):
            return True  # as in glob, `a/**` means `a` too
        if at == len(steps):
            return False
        hidden = steps[at].startswith(".")
        if wildcard == "**":
            if part + 1 == len(self._parts):
                return not hidden
            skipped = self._match(part + 1, steps, at, directory=directory)
            return skipped or (not hidden and self._match(part, steps, at + 1, directory=directory))
        if hidden and not wildcard.startswith("."):
            return False
        return bool(matches(steps[at])) and self._match(part + 1, steps, at + 1, directory=directory)
