"""Attacks with pictures: small files of many pixels, and files that are no pictures."""

import io
import itertools
import threading
import uuid
from collections import Counter
from collections.abc import Sequence
from functools import cache, partial

from PIL import Image

from benchmarks.malformed import generate_malformed_files
from tests.faults.attack import measure_attack, send
from tests.faults.experiment import Experiment, Fault

PATH = "/v1/predictions?model=probe"
PNG = "image/png"
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


def post_repeatedly(
    bodies: Sequence[tuple[bytes, str]], port: int, stop: threading.Event, answers: "Counter[str]"
) -> None:
    """Post bodies, one after the other, again and again.

    Args:
        bodies: each with its media type. They are made before the attack, because making them takes a core for seconds.
    """
    for body, media_type in itertools.cycle(bodies):
        if stop.is_set():
            return
        answers[send(port, "POST", PATH, body, {"Content-Type": media_type})] += 1


def attack_with_raw_bombs(experiment: Experiment) -> None:
    """Measure another client while a picture of 29 million pixels is posted as the body."""
    measure_attack(experiment, partial(post_repeatedly, [(encode_blank_png(RAW_SIDE, "1"), PNG)]))


def attack_with_forms(experiment: Experiment) -> None:
    """Measure another client while forms with eight pictures of 50 million pixels are posted.

    The pictures have the modes that are not reduced.
    """
    forms = [form_of(FORM_SIDE, mode, PICTURES_PER_FORM) for mode in ("1", "P")]
    measure_attack(experiment, partial(post_repeatedly, forms))


def attack_with_malformed_files(experiment: Experiment) -> None:
    """Measure another client while files are posted that are no pictures. None of them may be accepted."""
    files = generate_malformed_files(HOSTILE_PICTURES, seed=experiment.random.randrange(1000))
    found = measure_attack(experiment, partial(post_repeatedly, [(data, PNG) for _, data in files]))
    # 503: the file states so many pixels that it has to wait until the others have been decoded.
    accepted = {answer for answer in found.answers if not answer.startswith(("4", "503"))}
    experiment.require(not accepted, f"malformed pictures were answered with {', '.join(sorted(accepted))}")


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
