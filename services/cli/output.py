"""What the commands print: tables, JSON and numbers.

Names and messages come from a server, so they may contain anything. `clean` makes control characters visible, so that
none of them changes the terminal. The package rich is not used here: its import takes as long as a prediction.
"""

import json
import re
import sys
import textwrap
from collections.abc import Sequence
from shutil import get_terminal_size
from typing import Any

import click

PIPE_COLUMNS = 200  # of output that goes to no terminal: a program reads it, so nothing is broken into two lines
NARROW_COLUMNS = 60
# Control characters, and characters that change the direction of the text after them.
UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def clean(text: object) -> str:
    """Return text whose control characters are written as `\\x1b`, so that they have no effect on a terminal."""
    return UNSAFE.sub(_escape, str(text))


def _escape(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def terminal_width() -> int:
    """Return how many columns a line may have."""
    return get_terminal_size((80 if sys.stdout.isatty() else PIPE_COLUMNS, 24)).columns


def print_line(text: str, err: bool = False, **style: bool) -> None:
    """Print text that may contain names from the server. In a terminal, long lines are broken between words.

    Args:
        text: the text.
        err: print it to the error output.
        style: of the text, such as `bold=True`.
    """
    lines = [clean(text)]
    if (sys.stderr if err else sys.stdout).isatty() and len(text) > terminal_width():
        lines = textwrap.wrap(lines[0], terminal_width(), break_long_words=False, break_on_hyphens=False)
    click.echo(click.style("\n".join(lines), **style) if style else "\n".join(lines), err=err)  # type: ignore[arg-type]


def print_json(value: Any) -> None:
    """Print a value as JSON. Control characters in its strings are escaped."""
    lines = json.dumps(value, ensure_ascii=False, indent=2).split("\n")  # a line end in a string is already escaped
    click.echo("\n".join(UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", line) for line in lines))


def percent(fraction: float | None, digits: int = 2) -> str:
    """Return a fraction in percent, such as `86.59 %`; "-" for None."""
    return "-" if fraction is None else f"{fraction * 100:.{digits}f} %"


def number(value: float | None, form: str = ".4f") -> str:
    """Return a number in a format; "-" for None."""
    return "-" if value is None else format(value, form)


def duration(seconds: float) -> str:
    """Return a duration, such as `0:07`, `12:03` or `1:02:03`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def minute_of(time: str | None) -> str:
    """Return an ISO 8601 time up to its minute; "-" if there is none."""
    return time[:16].replace("T", " ") if time else "-"


def join_words(words: Sequence[str]) -> str:
    """Return words as an enumeration: `a`, `a and b`, or `a, b and c`."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
