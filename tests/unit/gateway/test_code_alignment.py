"""Files of several backends are shown completely, and the places that they have in common stand in the same row."""

import re
from pathlib import Path

import pytest

from services.gateway.reports.code_alignment import BEGINNING, AlignedSection, SourceLine, align_sections
from services.gateway.reports.highlighting import highlight_python

SOURCES = {backend: Path(f"services/{backend}/backend.py").read_text() for backend in ("tensorflow", "pytorch")}
THREE = {**SOURCES, "toy": Path("tests/toy/backend.py").read_text()}
TITLES = [
    *(BEGINNING, "Load the data", "Define the network", "Define the optimiser and the loss"),
    *("Train", "Evaluate", "Save, and serve"),
]

ONE = """\
# 1. Train -----
def train(model):
    # Twin: short.
    step(model)


def save():
    return 1
"""
OTHER = """\
# 1. Train -----
def train(
    model,
):
    # Twin: a comment
    # of two lines.
    step(model)


def only_here():
    pass


def save():
    return 2
"""


def align(sources: dict[str, str]) -> list[AlignedSection]:
    return align_sections({backend: highlight_python(source) for backend, source in sources.items()})


def line_text(line: SourceLine) -> str:
    return "".join(token.text for token in line.tokens)


def text_of(sections: list[AlignedSection], backend: str) -> str:
    """Return a backend's file, put together from the rows."""
    lines = [line for section in sections for row in section.rows if (line := row.lines[backend])]
    assert [line.number for line in lines] == list(range(1, len(lines) + 1))
    return "".join(f"{line_text(line)}\n" for line in lines)


def draw_rows(sections: list[AlignedSection], backends: tuple[str, str]) -> list[tuple[str, str]]:
    """Return each row's two texts without indentation; empty where a backend has no line."""
    pairs = [[row.lines[backend] for backend in backends] for section in sections for row in section.rows]
    texts = [[line_text(line).strip() if line else "" for line in pair] for pair in pairs]
    return [(one, other) for one, other in texts if one or other]


@pytest.mark.parametrize("sources", [SOURCES, THREE, {"pytorch": SOURCES["pytorch"]}], ids=["two", "three", "one"])
def test_the_rows_hold_every_file_completely_and_in_its_order(sources: dict[str, str]) -> None:
    sections = align(sources)
    assert {backend: text_of(sections, backend) for backend in sources} == sources


@pytest.mark.parametrize("source", ["", "\n", "a = 1", "def broken(:\n\t'\n", "é = '\x00'\n\n", "a\r\nb\r\n"])
def test_any_text_is_highlighted_without_loss(source: str) -> None:
    lines = highlight_python(source)
    assert "\n".join("".join(token.text for token in line) for line in lines) == source.removesuffix("\n")


def test_sections_have_the_titles_of_the_files() -> None:
    assert [section.title for section in align(SOURCES)] == TITLES


@pytest.mark.parametrize(("pattern", "least"), [(r" *# Twin:", 20), (r"def ", 16)])
def test_twin_comments_and_functions_begin_in_the_same_row(pattern: str, least: int) -> None:
    rows = [row for section in align(SOURCES) for row in section.rows]
    begins = [[bool(line and re.match(pattern, line_text(line))) for line in row.lines.values()] for row in rows]
    assert sum(all(pair) for pair in begins) == sum(any(pair) for pair in begins) >= least


def test_the_code_after_a_twin_comment_begins_in_the_same_row_and_gaps_are_filled() -> None:
    assert draw_rows(align({"one": ONE, "other": OTHER}), ("one", "other")) == [
        ("# 1. Train -----", "# 1. Train -----"),
        ("def train(model):", "def train("),
        ("", "model,"),
        ("", "):"),
        ("# Twin: short.", "# Twin: a comment"),
        ("", "# of two lines."),
        ("step(model)", "step(model)"),
        ("", "def only_here():"),
        ("", "pass"),
        ("def save():", "def save():"),
        ("return 1", "return 2"),
    ]


def test_functions_in_another_order_stay_in_the_order_of_their_file() -> None:
    one = "def a():\n    1\ndef b():\n    2\n"
    other = "def b():\n    2\ndef a():\n    1\n"
    sections = align({"one": one, "other": other})
    assert (text_of(sections, "one"), text_of(sections, "other")) == (one, other)


def test_only_twin_comments_are_marked() -> None:
    (section,) = [section for section in align({"one": ONE, "other": OTHER}) if section.title == "Train"]
    marked = [line.number for row in section.rows if row.is_twin and (line := row.lines["other"])]
    assert marked == [5, 6]


def test_tokens_have_kinds() -> None:
    (line,) = highlight_python("def f(x): return len('a', 12, None)  # why")
    kinds = {token.text.strip(): token.kind for token in line}
    assert kinds["def"] == kinds["return"] == kinds["None"] == "keyword"
    assert (kinds["f"], kinds["len"], kinds["'a'"], kinds["12"]) == ("function", "builtin", "string", "number")
    assert kinds["# why"] == "comment"
