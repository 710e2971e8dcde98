"""Options that several commands share: how the progress of a job is shown, and which backends are meant."""

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

import click

from .completion import complete_backend
from .errors import InputError

Command = TypeVar("Command", bound=Callable[..., Any])


@dataclass(frozen=True)
class JobDisplay:
    """How a command shows a job.

    Attributes:
        is_plain: lines without control characters instead of bars.
        is_json: only the final document, as JSON.
        is_detached: only the id of the submitted job.
    """

    is_plain: bool = False
    is_json: bool = False
    is_detached: bool = False


def job_options(command: Command) -> Command:
    """Add `--plain`, `--json` and `--detach` to a command, which gets them as one argument `display`."""

    @click.option("--plain", is_flag=True, help="Lines instead of bars; the default without a terminal.")
    @click.option("--json", "as_json", is_flag=True, help="Print only the final document, as JSON.")
    @click.option("--detach", is_flag=True, help="Print the job's id, and do not wait for its end.")
    @wraps(command)
    def with_display(*arguments: Any, plain: bool, as_json: bool, detach: bool, **options: Any) -> Any:
        return command(*arguments, display=JobDisplay(plain, as_json, detach), **options)

    return with_display  # type: ignore[return-value]


def backend_option(command: Command) -> Command:
    """Add the repeatable option `--backend`, which the command gets as `backends`."""
    text = "May be repeated; by default all."
    return click.option("--backend", "backends", multiple=True, help=text, shell_complete=complete_backend)(command)


def given(**fields: object) -> dict[str, object]:
    """Return the fields of a request that the user gave. For the others, the server has defaults."""
    return {name: value for name, value in fields.items() if value not in (None, ())}


def read_network(text: str) -> object:
    """Return a network: a preset's name, or the JSON of a file, or of the standard input for `-`.

    Raises:
        InputError: the file cannot be read, or is not JSON.
    """
    if text != "-" and not text.endswith(".json") and "/" not in text:
        return text
    try:
        content = sys.stdin.read() if text == "-" else Path(text).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{text} cannot be read: {getattr(error, 'strerror', None) or 'not UTF-8'}") from None
    return parse_json(content, "the standard input" if text == "-" else text)


def parse_json(text: str, name: str) -> object:
    """Return parsed JSON.

    Args:
        text: the JSON.
        name: what it is, for the message.

    Raises:
        InputError: it is not JSON. The message has the line and the column.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise InputError(f"{name} is nested too deeply") from None
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise InputError(f"{name} is not JSON: {error.msg} at {where}") from None
