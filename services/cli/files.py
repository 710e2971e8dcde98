"""Writes files that the server sends. An interrupted download leaves no incomplete file."""

import os
import sys
import tempfile
from pathlib import Path

import click

from .client import Client
from .output import clean


def save_download(client: Client, path: str, place: Path) -> None:
    """Write what a path of the API answers to a file, and say so on the error output. `-` is the standard output.

    Args:
        client: the client of the server.
        path: the path of the API.
        place: the file. An existing file is replaced when the download is complete.

    Raises:
        ClientError: the server refuses it, or the connection broke.
        click.UsageError: the file cannot be written.
    """
    if str(place) == "-":
        client.download(path, click.get_binary_stream("stdout"))
        return
    try:
        size = _replace_file(client, path, place)
    except OSError as error:
        raise click.UsageError(f"{clean(place)} cannot be written: {error.strerror}") from None
    click.echo(f"Saved {clean(place)} ({size:,} bytes).", err=True)


def _replace_file(client: Client, path: str, place: Path) -> int:
    if place.exists() and not place.is_file():  # such as /dev/null: it is written in place
        with place.open("wb") as device:
            return client.download(path, device)
    handle, draft = tempfile.mkstemp(dir=place.parent, prefix=".tandem-")
    try:
        with os.fdopen(handle, "wb") as file:
            size = client.download(path, file)
        mask = os.umask(0)
        os.umask(mask)
        Path(draft).chmod(0o666 & ~mask)
        Path(draft).replace(place)
    except BaseException:
        Path(draft).unlink(missing_ok=True)
        raise
    return size


def refuse_binary_terminal() -> None:
    """Refuse to write binary data to a terminal.

    Raises:
        click.UsageError: the standard output is a terminal.
    """
    if sys.stdout.isatty():
        raise click.UsageError("the answer is binary: name a file with --output, or use a pipe")
