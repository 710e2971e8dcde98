"""Writes files that the server sends. An interrupted download leaves no incomplete file."""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

import click

from .errors import InputError
from .output import clean

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse

    from .client import Client

BLOCK_BYTES = 2**16


def save_download(client: "Client", path: str, place: Path) -> None:
    """Write what a path of the API answers to a file, and say so on the error output. `-` is the standard output.

    Args:
        client: the client of the server.
        path: the path of the API.
        place: the file. An existing file is replaced when the download is complete.

    Raises:
        ClientError: the server refuses it, or the connection broke.
        InputError: the file cannot be written, or it is a terminal.
    """
    if str(place) == "-":
        refuse_binary_terminal()
    with client.open("GET", path) as response:
        save_response(response, place)


def save_response(response: "BaseHTTPResponse", place: Path) -> None:
    """Write the body of a response to a file, as `save_download` does.

    Raises:
        urllib3.exceptions.HTTPError: the connection broke.
        InputError: the file cannot be written.
    """
    if str(place) == "-":
        _copy(response, sys.stdout.buffer)
        return
    try:
        with _replacing(place) as file:
            size = _copy(response, file)
    except OSError as error:
        raise InputError(f"{clean(place)} cannot be written: {error.strerror}") from None
    click.echo(f"Saved {clean(place)} ({size:,} bytes).", err=True)


def refuse_binary_terminal() -> None:
    """Refuse to write binary data to a terminal.

    Raises:
        InputError: the standard output is a terminal.
    """
    if sys.stdout.isatty():
        raise InputError("the answer is binary: name a file with --output, or use a pipe")


def _copy(response: "BaseHTTPResponse", file: IO[bytes]) -> int:
    """Copy a body to a file. Returns the number of bytes."""
    return sum(file.write(block) for block in iter(lambda: response.read(BLOCK_BYTES), b""))


@contextmanager
def _replacing(place: Path) -> Iterator[IO[bytes]]:
    """Yield a new file that replaces an existing one when it is complete. A device is written in place."""
    if place.exists() and not place.is_file():
        with place.open("wb") as device:
            yield device
        return
    handle, draft = tempfile.mkstemp(dir=place.parent, prefix=".tandem-")
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
        mask = os.umask(0)
        os.umask(mask)
        Path(draft).chmod(0o666 & ~mask)
        Path(draft).replace(place)
    except BaseException:
        Path(draft).unlink(missing_ok=True)
        raise
