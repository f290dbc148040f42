"""Tables for a person: drawn by rich on a terminal, and plain elsewhere, with nothing that depends on widths."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from sshrun.terminal import visible

NOTHING = "-"  # an empty cell, where programs may count the columns


class Table(NamedTuple):
    """Rows of as many cells as there are headers. Columns that are `wrapped` take several lines where room is short."""

    headers: Sequence[str]
    rows: Sequence[Sequence[str]]
    wrapped: Sequence[str] = ()

    def plain(self) -> Iterable[str]:
        """A line for each row, without headers: for a pipe or a file."""
        for row in self.rows:
            yield "  ".join(visible(cell) or NOTHING for cell in row)

    def drawn(self, width: int) -> str:
        """The table as a terminal of that width shows it."""
        from rich import table
        from rich.text import Text

        drawn = table.Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
        for header in self.headers:
            drawn.add_column(header, no_wrap=header not in self.wrapped, overflow="fold")
        for row in self.rows:
            drawn.add_row(*(Text(visible(cell)) for cell in row))  # no markup, no emoji: it may come from a host
        return _drawn(drawn, width)


class Sheet(NamedTuple):
    """Names and what each of them is."""

    rows: Sequence[tuple[str, str]]

    def plain(self) -> Iterable[str]:
        for name, value in self.rows:
            yield f"{visible(name):<8} {visible(value)}"

    def drawn(self, width: int) -> str:
        from rich import table
        from rich.text import Text

        drawn = table.Table.grid(padding=(0, 2, 0, 0))
        drawn.add_column(style="bold", no_wrap=True)
        drawn.add_column(overflow="fold")
        for name, value in self.rows:
            drawn.add_row(Text(visible(name)), Text(visible(value)))
        return _drawn(drawn, width)


def _drawn(renderable: object, width: int) -> str:
    import io

    from rich.console import Console

    text = io.StringIO()
    Console(file=text, force_terminal=True, width=width, legacy_windows=False).print(renderable)
    return "".join(f"{line.rstrip()}\n" for line in text.getvalue().splitlines())
