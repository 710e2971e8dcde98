"""What the commands print: tables, JSON and numbers.

Names and messages come from a server, so they may contain anything. `clean` makes control characters visible, so that
none of them changes the terminal. Consoles interpret no markup.
"""

import json
import re
import sys
from collections.abc import Sequence
from shutil import get_terminal_size
from typing import IO, Any

import click
from rich.console import Console
from rich.text import Text

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


def create_console(file: IO[str] | None = None) -> Console:
    """Return a console that interprets no markup and highlights nothing.

    Args:
        file: where it prints; by default to the standard output.
    """
    stream = file or sys.stdout
    width = None if stream.isatty() else get_terminal_size((PIPE_COLUMNS, 24)).columns
    return Console(file=stream, markup=False, highlight=False, emoji=False, width=width)


def print_line(console: Console, text: str, style: str = "") -> None:
    """Print text that may contain names from the server. A long line is broken between words in a terminal only."""
    console.print(Text(clean(text)), style=style, soft_wrap=not console.is_terminal)


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
