"""`tandem api`: one request to any address of the API, for everything that no other command does."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .errors import InputError
from .files import refuse_binary_terminal, save_response
from .job_options import parse_json
from .output import clean, print_json
from .target import Target

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse

JSON_TYPE = "application/json"
MAX_JSON_BYTES = 16 * 2**20  # larger answers are passed on as they are


@click.command()
@click.argument("method", type=click.Choice(["GET", "POST", "PUT", "DELETE", "HEAD"], case_sensitive=False))
@click.argument("path")
@click.option("--data", "-d", metavar="TEXT|@FILE|-", help="The body: text, a file, or the standard input.")
@click.option("--type", "media_type", help="The body's media type; by default application/json for JSON.")
@click.option("--header", "-H", "headers", multiple=True, metavar="NAME:VALUE", help="May be repeated.")
@click.option("--output", "-o", type=click.Path(dir_okay=False, path_type=Path), help="Save the answer to a file.")
@click.pass_obj
def api(
    target: Target,
    method: str,
    path: str,
    data: str | None,
    media_type: str | None,
    headers: tuple[str, ...],
    output: Path | None,
) -> None:
    """Send one request, and print the answer. JSON is indented in a terminal.

    \b
    tandem api GET /v1/networks
    tandem api POST /v1/trainings --data '{"dataset": "digits"}'
    tandem api POST '/v1/predictions?model=welcome' --data @seven.png
    """
    sent = _parse_headers(headers)
    body = None if data is None else _read_body(data)
    if body is not None:
        sent.setdefault("Content-Type", media_type or _guess_type(body))
    with target.client.open(method.upper(), f"/{path.lstrip('/')}", body, sent) as response:
        if output:
            save_response(response, output)
        else:
            _print_response(response)


def _print_response(response: "BaseHTTPResponse") -> None:
    """Print an answer: JSON indented if this is a terminal, and other text as it comes.

    Raises:
        InputError: the answer is binary, and the standard output is a terminal.
    """
    media_type = response.headers.get("Content-Type", "")
    is_json = media_type.startswith(JSON_TYPE)
    length = int(response.headers.get("Content-Length") or MAX_JSON_BYTES)
    if is_json and sys.stdout.isatty() and length < MAX_JSON_BYTES:
        print_json(parse_json(response.read().decode(), "the answer"))
        return
    if not is_json and not media_type.startswith("text/") and sys.stdout.isatty():
        refuse_binary_terminal()
    for block in iter(response.read1, b""):  # at once, because events come over minutes
        if sys.stdout.isatty():
            click.echo("\n".join(map(clean, block.decode(errors="replace").split("\n"))), nl=False)
        else:
            sys.stdout.buffer.write(block)
            sys.stdout.buffer.flush()


def _parse_headers(texts: tuple[str, ...]) -> dict[str, str]:
    """Return headers by name.

    Raises:
        InputError: a text is not of the form NAME:VALUE.
    """
    headers = {}
    for text in texts:
        name, colon, value = text.partition(":")
        if not colon or not name.strip() or not text.isprintable() or not text.isascii():
            raise InputError(f"{clean(text)!r} is no header: write NAME:VALUE")
        headers[name.strip()] = value.strip()
    return headers


def _read_body(text: str) -> bytes:
    """Return the body of a request.

    Raises:
        InputError: the file cannot be read.
    """
    if text == "-":
        return sys.stdin.buffer.read()
    if not text.startswith("@"):
        return text.encode()
    try:
        return Path(text[1:]).read_bytes()
    except OSError as error:
        raise InputError(f"{clean(text[1:])} cannot be read: {error.strerror}") from None


def _guess_type(body: bytes) -> str:
    """Return the media type of a body by its first bytes."""
    if body.startswith(b"\x89PNG"):
        return "image/png"
    if body.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if body.startswith(b"PK\x03\x04"):
        return "application/zip"
    return JSON_TYPE if body.lstrip()[:1] in (b"{", b"[", b'"') else "application/octet-stream"
