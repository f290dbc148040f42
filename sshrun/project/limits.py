"""How much of a project goes along without being asked for: more is data, and nobody means to send it at each run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sshrun.errors import UsageError
from sshrun.project.hints import as_rule
from sshrun.project.root import IGNORE_FILE
from sshrun.terminal import visible
from sshrun.transfer.items import Item
from sshrun.units import files_text, size_text

LARGEST_FILE = 100_000_000  # bytes
LARGEST_PROJECT = 500_000_000  # bytes
MOST_FILES = 20_000

_SHOWN = 3


def check(root: str, items: Sequence[Item]) -> None:
    """Raises UsageError for a selection that is over a limit; what `upload_files` names is not to be in it."""
    over = [item for item in items if item.size > LARGEST_FILE]
    total = sum(item.size for item in items)
    if over:
        over.sort(key=lambda item: -item.size)
        named = ", ".join(f"{visible(item.name)} ({size_text(item.size)})" for item in over[:_SHOWN])
        more = f" and {files_text(len(over) - _SHOWN)} more" if len(over) > _SHOWN else ""
        verb = "is" if len(over) == 1 else "are"
        raise UsageError(
            f"of the project {visible(root)}, {named}{more} {verb} over {size_text(LARGEST_FILE)} a file",
            _advice(root, over[0].name),
        )
    if total > LARGEST_PROJECT:
        largest = by_directory(items)
        named = ", ".join(f"{visible(directory)} ({size_text(size)})" for directory, _, size in largest[:_SHOWN])
        raise UsageError(
            f"the project {visible(root)} is {size_text(total)}, over {size_text(LARGEST_PROJECT)}; largest: {named}",
            _advice(root, largest[0][0]),
        )
    if len(items) > MOST_FILES:
        fullest = sorted(by_directory(items), key=lambda row: -row[1])
        named = ", ".join(f"{visible(directory)} ({files_text(count)})" for directory, count, _ in fullest[:_SHOWN])
        raise UsageError(
            f"the project {visible(root)} has {files_text(len(items))}, over {MOST_FILES}; most: {named}",
            _advice(root, fullest[0][0]),
        )


def by_directory(items: Iterable[Item]) -> list[tuple[str, int, int]]:
    """The directories at the top of a project (`NAME/`, and `./` for the files beside them), the number of files in
    each and their bytes; the largest first.
    """
    found: dict[str, list[int]] = {}
    for item in items:
        top, slash, _ = item.name.partition("/")
        row = found.setdefault(f"{top}/" if slash else "./", [0, 0])
        row[0] += 1
        row[1] += item.size
    return sorted(((name, count, size) for name, (count, size) in found.items()), key=lambda row: (-row[2], row[0]))


def _advice(root: str, name: str) -> str:
    if name == "./":
        return f"write what is to stay here into {visible(root)}/{IGNORE_FILE}, or name what is to go in upload_files"
    return f"write {as_rule(name)} into {visible(root)}/{IGNORE_FILE}, and name it in upload_files if the job needs it"
