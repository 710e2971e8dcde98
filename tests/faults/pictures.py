"""Attacks with pictures: small files of many pixels, and files that are no pictures."""

import io
import threading
import uuid
from collections import Counter
from collections.abc import Iterator
from functools import cache

from PIL import Image

from benchmarks.malformed import generate_malformed_files
from tests.faults.attack import measure_attack, send
from tests.faults.experiment import Experiment, Fault

PATH = "/v1/predictions?model=probe"
PNG = {"Content-Type": "image/png"}
RAW_SIDE = 5400
FORM_SIDE = 7050
PICTURES_PER_FORM = 8
HOSTILE_PICTURES = 300


@cache
def encode_blank_png(side: int, mode: str) -> bytes:
    """Return a PNG file of a few kB with side x side pixels."""
    file = io.BytesIO()
    Image.new(mode, (side, side)).save(file, "PNG", optimize=True)
    return file.getvalue()


@cache
def form_of(side: int, mode: str, count: int) -> tuple[bytes, str]:
    """Return a multipart body with several copies of a picture, and its media type."""
    boundary = uuid.uuid4().hex
    lines = []
    for number in range(count):
        header = f'Content-Disposition: form-data; name="image"; filename="{number}.png"'
        lines.append(f"--{boundary}\r\n{header}\r\nContent-Type: image/png\r\n\r\n".encode())
        lines.append(encode_blank_png(side, mode) + b"\r\n")
    return b"".join([*lines, f"--{boundary}--\r\n".encode()]), f"multipart/form-data; boundary={boundary}"


def post_raw_bombs(port: int, stop: threading.Event, answers: "Counter[str]") -> None:
    """Post a picture of 29 million pixels as the body, again and again."""
    while not stop.is_set():
        answers[send(port, "POST", PATH, encode_blank_png(RAW_SIDE, "1"), PNG)] += 1


def post_forms_of_bombs(port: int, stop: threading.Event, answers: "Counter[str]") -> None:
    """Post eight pictures of 50 million pixels in one form, in the modes that are not reduced."""
    for mode in _alternate("1", "P"):
        if stop.is_set():
            return
        body, media_type = form_of(FORM_SIDE, mode, PICTURES_PER_FORM)
        answers[send(port, "POST", PATH, body, {"Content-Type": media_type})] += 1


def post_malformed_files(port: int, stop: threading.Event, answers: "Counter[str]") -> None:
    """Post files that are no pictures."""
    for _, data in generate_malformed_files(HOSTILE_PICTURES, seed=threading.get_ident() % 1000):
        if stop.is_set():
            return
        answers[send(port, "POST", PATH, data, PNG)] += 1


def attack_with_raw_bombs(experiment: Experiment) -> None:
    """Measure another client during `post_raw_bombs`."""
    measure_attack(experiment, post_raw_bombs)


def attack_with_forms(experiment: Experiment) -> None:
    """Measure another client during `post_forms_of_bombs`."""
    measure_attack(experiment, post_forms_of_bombs)


def attack_with_malformed_files(experiment: Experiment) -> None:
    """Measure another client during `post_malformed_files`. Each file must be refused, and none accepted."""
    found = measure_attack(experiment, post_malformed_files)
    accepted = {answer for answer in found.answers if not answer.startswith("4")}
    experiment.require(not accepted, f"malformed pictures were answered with {', '.join(sorted(accepted))}")


def _alternate(*values: str) -> Iterator[str]:
    while True:
        yield from values


FAULTS = [
    Fault("hostile-pictures", "fault 28", "hostile images", attack_with_malformed_files, has_trainings=False),
    Fault(
        "raw-bomb",
        "attack",
        "PNG of 5,400 x 5,400 as a raw body",
        attack_with_raw_bombs,
        has_trainings=False,
        is_short=True,
    ),
    Fault("form-bombs", "attack", "forms of 8 PNGs of 7,050 x 7,050", attack_with_forms, has_trainings=False),
]
