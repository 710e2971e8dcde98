"""`tandem predict`: ask every backend what pictures show, and print one row per picture."""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from .completion import complete_model
from .errors import InputError
from .grids import Grid
from .job_options import backend_option
from .output import clean, percent, print_json, print_line
from .target import Target

MAX_PICTURES = 64  # in one request
MAX_BYTES = 24 * 2**20  # of the pictures of one request, if it has more than one
STARTER_MODEL = "welcome"  # every Tandem has it from the start


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...", type=click.Path())
@click.option("--model", "-m", default=STARTER_MODEL, show_default=True, shell_complete=complete_model)
@click.option("--version", help="A number or an alias such as stable; by default the newest.")
@backend_option
@click.option("--json", "as_json", is_flag=True, help="Print the answers as JSON.")
@click.pass_obj
def predict(
    target: Target, files: tuple[str, ...], model: str, version: str | None, backends: tuple[str, ...], as_json: bool
) -> None:
    """Ask every backend what pictures show. FILE `-` is the standard input.

    \b
    tandem predict seven.png
    tandem predict --model mlp-mnist drawings/*.png
    """
    query = {"model": model}
    if version:
        query["version"] = version
    if backends:
        query["backends"] = ",".join(backends)
    answers = [target.client.predict_pictures(query, batch) for batch in _batch_pictures(files)]
    images = [image for answer in answers for image in answer["images"]]
    errors = {backend: reason for answer in answers for backend, reason in answer["errors"].items()}
    if as_json:
        print_json({"model": model, "images": images, "errors": errors})
    else:
        _show_answers(images, errors)


def _batch_pictures(files: Sequence[str]) -> Iterator[list[tuple[str, bytes]]]:
    """Yield the names and contents of pictures, in groups that fit into one request each.

    Raises:
        InputError: a file cannot be read.
    """
    batch: list[tuple[str, bytes]] = []
    size = 0
    for file in files:
        data = _read_picture(file)
        if batch and (len(batch) == MAX_PICTURES or size + len(data) > MAX_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(("-" if file == "-" else Path(file).name, data))
        size += len(data)
    yield batch


def _read_picture(file: str) -> bytes:
    """Return the content of a picture.

    Raises:
        InputError: it cannot be read, or the standard input is empty.
    """
    if file == "-":
        data = sys.stdin.buffer.read()
        if not data:
            raise InputError("the standard input is empty: tandem predict - < picture.png")
        return data
    try:
        return Path(file).read_bytes()
    except OSError as error:
        reason = "a folder; name its files: FOLDER/*" if Path(file).is_dir() else error.strerror
        raise InputError(f"{clean(file)} cannot be read: {reason}") from None


def _show_answers(images: Sequence[Any], errors: dict[str, str]) -> None:
    backends = list(dict.fromkeys(backend for image in images for backend in image["results"]))
    table = Grid(("picture", *backends, "agree") if len(backends) > 1 else ("picture", *backends))
    for image in images:
        cells = [_describe(image["results"].get(backend)) for backend in backends]
        agreement = [{True: "yes", False: "NO", None: "-"}[image["agree"]]] if len(backends) > 1 else []
        table.add(image["name"], *cells, *agreement, style="bold" if image["agree"] is False else "")
    table.print()
    several = sum(image["agree"] is not None for image in images)
    if several > 1:
        agreed = sum(image["agree"] is True for image in images)
        print_line(f"The backends agree on {agreed} of {several} pictures.")
    for image in images:
        for warning in image["warnings"]:
            print_line(err=True, text=f"{image['name']}: {warning}")
    for backend, reason in errors.items():
        print_line(err=True, text=f"{backend} gave no answer: {reason}")


def _describe(result: Any) -> str:
    return f"{result['class']} ({percent(result['probability'], 1)})" if result else "-"
