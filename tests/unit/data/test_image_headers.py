"""The pixels of a picture are counted from its header, for good, truncated, hostile and random bytes."""

import io
import struct
import warnings
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from shared.data.image_headers import MAX_PIXELS, pixel_count
from shared.data.images import POSTED_FORMATS

RAMP = (np.arange(784) % 256).astype(np.uint8).reshape(28, 28)


def encode_picture(image: Image.Image, format: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


# Pillow's names of formats, and options to save them with.
KINDS_OF_FILE = [
    ("PNG", {}),
    ("PNG", {"optimize": True}),
    ("JPEG", {}),
    ("JPEG", {"progressive": True, "comment": "a comment", "exif": b"Exif\0\0" + bytes(2000)}),
    ("WEBP", {}),
    ("WEBP", {"lossless": True}),
    ("WEBP", {"lossless": True, "exif": b"Exif\0\0MM\0*\0\0\0\x08\0\0\0\0\0\0"}),
    ("BMP", {}),
]


@pytest.mark.parametrize(("kind", "options"), KINDS_OF_FILE)
@pytest.mark.parametrize("size", [(1, 1), (28, 28), (311, 17), (3, 4000)])
@pytest.mark.parametrize("mode", ["L", "RGB", "1"])
def test_the_pixels_are_counted_from_the_header(
    kind: str, options: dict[str, object], size: tuple[int, int], mode: str
) -> None:
    data = encode_picture(Image.new(mode, size), kind, **options)
    assert pixel_count(data) == size[0] * size[1]


def test_the_pixels_of_a_bitmap_stored_from_top_to_bottom_are_counted() -> None:
    data = bytearray(encode_picture(Image.new("L", (30, 20)), "BMP"))
    data[22:26] = struct.pack("<i", -20)
    assert Image.open(io.BytesIO(data)).size == (30, 20)
    assert pixel_count(bytes(data)) == 600


def test_the_pixels_of_a_small_file_with_30_million_are_counted() -> None:
    data = encode_picture(Image.new("1", (6000, 5000)), optimize=True)
    assert len(data) < 5000  # bytes
    assert pixel_count(data) == 30_000_000


def test_bytes_that_are_no_picture_have_0_pixels() -> None:
    for data in (b"", b"\x89", b"BM", b"RIFF", b"\xff\xd8\xff", b"this is no picture", bytes(10_000)):
        assert pixel_count(data) == 0
    random = np.random.default_rng(0)
    for length in range(300):
        assert pixel_count(random.bytes(length)) == 0


@pytest.mark.parametrize(("kind", "options"), KINDS_OF_FILE)
def test_a_truncated_file_has_all_pixels_or_0(kind: str, options: dict[str, object]) -> None:
    data = encode_picture(Image.fromarray(RAMP), kind, **options)
    counts = [pixel_count(data[:length]) for length in range(len(data) + 1)]
    assert set(counts) == {0, 28 * 28}
    assert counts == sorted(counts)


@pytest.mark.parametrize(
    "data",
    [
        b"\x89PNG\r\n\x1a\n" + (bytes(4) + b"tEXt" + struct.pack(">I", zlib.crc32(b"tEXt"))) * 100_000,
        b"\xff\xd8" + b"\xff" * 1_000_000,
        b"\xff\xd8" + b"\xff\x00" * 1_000_000,
        b"\xff\xd8\xff\xfe\x00\x02" + b"x" * 1_000_000,
    ],
    ids=["chunks", "padding", "escapes", "stray bytes"],
)
def test_a_header_without_an_end_counts_as_a_large_picture(data: bytes) -> None:
    assert pixel_count(data) == MAX_PIXELS


@given(
    st.sampled_from(KINDS_OF_FILE),
    st.lists(st.tuples(st.integers(0, 60), st.integers(0, 255)), min_size=1, max_size=4),
)
def test_a_file_that_pillow_opens_has_as_many_pixels_as_pillow_says(
    kind_and_options: tuple[str, dict[str, object]], changes: list[tuple[int, int]]
) -> None:
    kind, options = kind_and_options
    data = bytearray(encode_picture(Image.fromarray(RAMP), kind, **options))
    for place, value in changes:
        data[place % len(data)] = value
    counted = pixel_count(bytes(data))
    try:
        with warnings.catch_warnings(action="ignore"):
            opened = Image.open(io.BytesIO(data), formats=POSTED_FORMATS)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return
    assert counted in (opened.width * opened.height, MAX_PIXELS)
