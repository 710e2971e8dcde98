"""Which lines of several backends' files stand side by side.

Each `backend.py` has the same sections, the same functions and `# Twin:` comments at the same places. These are the
marks at which the files are aligned: a mark begins in the same row in every file that has it. The files are read as
text and never run.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import zip_longest
from typing import NamedTuple, TypeVar

from services.gateway.reports.highlighting import CodeToken

BEGINNING = "Imports and configuration"
"""The title of what comes before the first section."""
TWIN = "# Twin:"

_Key = TypeVar("_Key")
_HEADING = re.compile(r"# \d+\. (?P<title>.+?)(?: -+)?")
_DEFINITION = re.compile(r"(?:def|class) (?P<name>\w+)")


class Mark(NamedTuple):
    """A place in a section that several files have.

    Attributes:
        kind: `start` of the section, `definition`, `twin`, or `after twin`: the line after a Twin comment.
        owner: the top-level definition that the mark is in or begins.
        ordinal: how many marks of this kind and owner come before it.
    """

    kind: str
    owner: str
    ordinal: int


class SourceLine(NamedTuple):
    """A line of a file; `number` counts from 1."""

    number: int
    tokens: list[CodeToken]
    is_twin: bool


@dataclass(frozen=True)
class AlignedRow:
    """Lines that stand side by side.

    Attributes:
        is_twin: a line of the row belongs to a Twin comment.
        lines: backend -> its line, or None if the backend has nothing in this row.
    """

    is_twin: bool
    lines: dict[str, SourceLine | None]


@dataclass(frozen=True)
class AlignedSection:
    """The rows of a section, which begins with a comment such as `# 1. Load the data`."""

    title: str
    rows: list[AlignedRow]


def align_sections(files: Mapping[str, list[list[CodeToken]]]) -> list[AlignedSection]:
    """Return the sections of all files, in the order of the files.

    Args:
        files: backend -> the tokens of each line.
    """
    split = {backend: _split_sections(_mark_twins(lines)) for backend, lines in files.items()}
    titles = _merge_orders(sections.keys() for sections in split.values())
    return [
        AlignedSection(title, _align_rows({backend: sections.get(title, []) for backend, sections in split.items()}))
        for title in titles
    ]


def _mark_twins(lines: list[list[CodeToken]]) -> list[SourceLine]:
    """Return a file's lines. A Twin comment goes on for as long as the lines after it are comments."""
    found: list[SourceLine] = []
    for number, tokens in enumerate(lines, 1):
        first = next((token for token in tokens if token.text.strip()), None)
        is_comment = first is not None and first.kind == "comment"
        goes_on = bool(found) and found[-1].is_twin
        is_twin = is_comment and (goes_on or _text_of(tokens).strip().startswith(TWIN))
        found.append(SourceLine(number, tokens, is_twin))
    return found


def _split_sections(lines: list[SourceLine]) -> dict[str, list[SourceLine]]:
    """Return title -> the lines of the section. A title that occurs twice continues its first section."""
    sections: dict[str, list[SourceLine]] = {BEGINNING: []}
    title = BEGINNING
    for line in lines:
        if heading := _HEADING.fullmatch(_text_of(line.tokens)):
            title = heading["title"]
        sections.setdefault(title, []).append(line)
    return sections


def _align_rows(files: dict[str, list[SourceLine]]) -> list[AlignedRow]:
    """Return the rows of a section. A mark that a file does not have takes no row of that file."""
    marked = {backend: _split_at_marks(lines) for backend, lines in files.items()}
    order = _merge_orders(found.keys() for found in marked.values())
    parts = {backend: _keep_order(found, order) for backend, found in marked.items()}
    rows = []
    for mark in order:
        for lines in zip_longest(*(found.get(mark, []) for found in parts.values())):
            is_twin = any(line is not None and line.is_twin for line in lines)
            rows.append(AlignedRow(is_twin, dict(zip(parts, lines, strict=True))))
    return rows


def _split_at_marks(lines: list[SourceLine]) -> dict[Mark, list[SourceLine]]:
    """Return mark -> the lines from this mark to the next one."""
    mark = Mark("start", "", 0)
    parts: dict[Mark, list[SourceLine]] = {mark: []}
    owner, was_twin = "", False
    for line in lines:
        text = _text_of(line.tokens)
        kind = ""
        if definition := _DEFINITION.match(text):
            kind, owner = "definition", definition["name"]
        elif line.is_twin and text.strip().startswith(TWIN):
            kind = "twin"
        elif was_twin and not line.is_twin:
            kind = "after twin"
        if kind:
            ordinal = sum(earlier.kind == kind and earlier.owner == owner for earlier in parts)
            mark = Mark(kind, owner, ordinal)
        parts.setdefault(mark, []).append(line)
        was_twin = line.is_twin
    return parts


def _keep_order(parts: dict[Mark, list[SourceLine]], order: list[Mark]) -> dict[Mark, list[SourceLine]]:
    """Return the parts of a file without the marks that another file has in another order."""
    kept: dict[Mark, list[SourceLine]] = {}
    last = 0
    for mark, lines in parts.items():
        last = max(last, order.index(mark))
        kept.setdefault(order[last], []).extend(lines)
    return kept


def _merge_orders(orders: Iterable[Iterable[_Key]]) -> list[_Key]:
    """Return every key once, each after the key that precedes it in the first order that has it."""
    merged: list[_Key] = []
    for order in orders:
        place = 0
        for key in order:
            if key in merged:
                place = merged.index(key) + 1
            else:
                merged.insert(place, key)
                place += 1
    return merged


def _text_of(tokens: list[CodeToken]) -> str:
    return "".join(token.text for token in tokens)
