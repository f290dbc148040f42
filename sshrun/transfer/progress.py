"""How far a transfer is: events, as often as anybody can see them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sshrun.events import TransferProgress
from sshrun.transfer.engine import Step, count_files
from sshrun.transfer.items import Item
from sshrun.units import files_text, size_text


class Progress:
    """Counts, and reports no more often than a display is drawn."""

    def __init__(self, direction: str, items: Sequence[Item]) -> None:
        self.direction = direction
        self.items = items
        self.total = sum(item.size for item in items if not item.is_directory)
        self.done = 0
        self.files = 0
        self._reported = 0.0

    @property
    def text(self) -> str:
        """What is under way, as a whole."""
        return f"{self.direction}ing {files_text(count_files(self.items))}, {size_text(self.total)}"

    def take(self, step: Step) -> Iterable[TransferProgress]:
        import time

        self.done = min(self.done + step.bytes, self.total)
        self.files += step.files
        now = time.monotonic()
        if now - self._reported > 0.05:
            self._reported = now
            yield TransferProgress(self.direction, self.done, self.total, self.files)

    def end(self, engine: str) -> TransferProgress:
        return TransferProgress(self.direction, self.total, self.total, self.files, finished=True, engine=engine)
