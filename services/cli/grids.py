"""Prints rows and columns. A terminal that is too narrow gets one line per cell instead, so that no word is broken."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import click
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from .output import clean, print_line

GAP = 2  # blanks between two columns
NARROW_GAP = 1


class _Row(NamedTuple):
    """The cleaned cells of a row, and how they look."""

    cells: tuple[str, ...]
    style: str


class Grid:
    """Rows of text.

    Args:
        columns: the titles of the columns.
        right: those whose cells are aligned to the right.
    """

    def __init__(self, columns: Sequence[str], right: Iterable[str] = ()) -> None:
        self._columns = [clean(column) for column in columns]
        self._right = set(right)
        self._rows: list[_Row] = []

    def add(self, *cells: object, style: str = "") -> None:
        """Add a row. Cells are converted to text; control characters in them are escaped."""
        self._rows.append(_Row(tuple(map(clean, cells)), style))

    def print(self, console: Console, title: str = "") -> None:
        """Print the rows below a title. Output that goes to no terminal has no blanks at the ends of its lines."""
        if title:
            print_line(console, title, "bold")
        table = self._fit(console.width)
        if table is None:
            self._print_records(console)
        elif console.is_terminal:
            console.print(table)
        else:
            with console.capture() as captured:
                console.print(table)
            click.echo("\n".join(line.rstrip() for line in captured.get().rstrip().split("\n")))

    def _fit(self, width: int) -> Table | None:
        """Return a table of at most this width, or None. Only the titles of columns may be broken, between words."""
        for gap, titles in (
            (GAP, self._columns),
            (NARROW_GAP, self._columns),
            (NARROW_GAP, [max(title.split() or [""], key=cell_len) for title in self._columns]),
        ):
            widths = [
                max(map(cell_len, (title, *(row.cells[index] for row in self._rows))))
                for index, title in enumerate(titles)
            ]
            if sum(widths) + gap * (len(widths) - 1) <= width:
                return self._create_table(widths, gap)
        return None

    def _create_table(self, widths: list[int], gap: int) -> Table:
        table = Table(box=None, padding=(0, gap, 0, 0), pad_edge=False, header_style="bold")
        for title, width in zip(self._columns, widths, strict=True):
            justify: str = "right" if title in self._right else "left"
            table.add_column(Text(title), justify=justify, width=width, vertical="bottom")  # type: ignore[arg-type]
        for row in self._rows:
            table.add_row(*map(Text, row.cells), style=row.style)
        return table

    def _print_records(self, console: Console) -> None:
        """Print each cell on a line of its own, after the title of its column."""
        for index, row in enumerate(self._rows):
            if index:
                console.print()
            for title, cell in zip(self._columns, row.cells, strict=True):
                if cell:
                    console.print(Text(f"{title}: {cell}"), style=row.style, overflow="fold")
