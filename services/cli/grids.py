"""Prints rows and columns. A terminal that is too narrow gets one line per cell instead, so that no word is broken."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import click
from rich.cells import cell_len

from .output import clean, print_line, terminal_width

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

    def print(self, title: str = "") -> None:
        """Print the rows below a title."""
        if title:
            print_line(title, bold=True)
        if not self._print_table(terminal_width()):
            self._print_records()

    def _print_table(self, width: int) -> bool:
        """Print a table, unless it does not fit. Only the titles of columns may be broken, between words."""
        broken = [title.split() for title in self._columns]
        for gap, titles in ((GAP, [[title] for title in self._columns]), (NARROW_GAP, broken)):
            widths = [
                max(map(cell_len, ("", *title, *(row.cells[index] for row in self._rows))))
                for index, title in enumerate(titles)
            ]
            if sum(widths) + gap * (len(widths) - 1) <= width:
                height = max(map(len, titles))
                padded = [[""] * (height - len(title)) + title for title in titles]
                for line in zip(*padded, strict=True):
                    self._print_cells(line, widths, gap, "bold")
                for row in self._rows:
                    self._print_cells(row.cells, widths, gap, row.style)
                return True
        return False

    def _print_cells(self, cells: Iterable[str], widths: list[int], gap: int, style: str) -> None:
        """Print one line of a table, without blanks at its end."""
        padded = []
        for column, cell, width in zip(self._columns, cells, widths, strict=True):
            blanks = " " * (width - cell_len(cell))
            padded.append(blanks + cell if column in self._right else cell + blanks)
        _echo((" " * gap).join(padded).rstrip(), style)

    def _print_records(self) -> None:
        """Print each cell on a line of its own, after the title of its column."""
        for index, row in enumerate(self._rows):
            if index:
                click.echo()
            for title, cell in zip(self._columns, row.cells, strict=True):
                if cell:
                    _echo(f"{title}: {cell}", row.style)


def _echo(line: str, style: str) -> None:
    click.echo(click.style(line, bold=True) if style == "bold" else line)
