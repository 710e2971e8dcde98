"""A small, plain PNG is decoded without Pillow's reader, to the same pixels. Every other file is left to the reader."""

import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from shared.data.picture_files import read_structure
from shared.data.plain_png import MAX_PLAIN_SIDE, decode_plain_png

GREY, PALETTE, RGBA = 0, 3, 6
CHANNELS = {0: 1, 2: 3, 4: 2, 6: 4}


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png_of(width: int, height: int, colour: int, stream: bytes, depth: int = 8, interlace: int = 0) -> bytes:
    """Return a PNG with a header, one IDAT chunk that holds a stream, and an end. All checksums are right."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlace)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", stream) + chunk(b"IEND", b"")


def encode_rows(width: int, height: int, colour: int, seed: int) -> bytes:
    """Return random bytes as the rows of a picture, each with a random filter."""
    random = np.random.Generator(np.random.PCG64(seed))
    rows = random.integers(0, 256, (height, 1 + width * CHANNELS[colour]), np.uint8)
    rows[:, 0] = random.integers(0, 5, height)
    return rows.tobytes()


def decode(data: bytes) -> Image.Image | None:
    file = read_structure(data)
    assert file is not None
    return decode_plain_png(file)


def decode_with_reader(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data), formats=("PNG",))
    image.load()
    return image


PLAIN = png_of(28, 28, GREY, zlib.compress(encode_rows(28, 28, GREY, 0)))


@given(
    st.integers(1, MAX_PLAIN_SIDE),
    st.integers(1, MAX_PLAIN_SIDE),
    st.sampled_from([0, 2, 6]),
    st.integers(0, 9),
    st.integers(0, 2**32),
)
def test_a_plain_file_becomes_the_pixels_that_pillows_reader_decodes(
    width: int, height: int, colour: int, level: int, seed: int
) -> None:
    data = png_of(width, height, colour, zlib.compress(encode_rows(width, height, colour, seed), level))
    image, expected = decode(data), decode_with_reader(data)
    assert image is not None
    assert (image.mode, image.size, image.tobytes()) == (expected.mode, expected.size, expected.tobytes())
    assert image.has_transparency_data == expected.has_transparency_data


@given(st.binary(max_size=40), st.integers(0, 900), st.integers(0, 900), st.integers(0, 9))
def test_a_changed_stream_becomes_what_the_reader_decodes_or_is_left_to_it(
    inserted: bytes, start: int, end: int, level: int
) -> None:
    """The checksums of the chunks are right, so only the decoder can find the change."""
    stream = zlib.compress(encode_rows(28, 28, GREY, 1), level)
    data = png_of(28, 28, GREY, stream[:start] + inserted + stream[end:])
    image = decode(data)
    if image is not None:
        expected = decode_with_reader(data)
        assert (image.mode, image.size, image.tobytes()) == (expected.mode, expected.size, expected.tobytes())


@given(st.lists(st.tuples(st.integers(33, len(PLAIN) - 1), st.integers(1, 255)), min_size=1, max_size=4))
def test_a_file_with_a_changed_byte_is_left_to_the_reader(changes: list[tuple[int, int]]) -> None:
    data = bytearray(PLAIN)
    for place, difference in dict(changes).items():
        data[place] ^= difference
    assert decode(bytes(data)) is None


def test_a_truncated_file_is_left_to_the_reader() -> None:
    assert all(decode(PLAIN[:length]) is None for length in range(33, len(PLAIN)))


def rows_of(width: int, height: int) -> bytes:
    return zlib.compress(bytes(height * (1 + width)))


OTHER_FILES = {
    "a wide picture": png_of(MAX_PLAIN_SIDE + 1, 1, GREY, rows_of(MAX_PLAIN_SIDE + 1, 1)),
    "a high picture": png_of(1, MAX_PLAIN_SIDE + 1, GREY, rows_of(1, MAX_PLAIN_SIDE + 1)),
    "no width": png_of(0, 28, GREY, rows_of(0, 28)),
    "sixteen bits": png_of(28, 28, GREY, zlib.compress(bytes(28 * 57)), depth=16),
    "one bit": png_of(28, 28, GREY, zlib.compress(bytes(28 * 5)), depth=1),
    "interlaced": png_of(28, 28, GREY, zlib.compress(bytes(1000)), interlace=1),
    "a palette": png_of(28, 28, PALETTE, rows_of(28, 28)),
    "a transparent colour": PLAIN[:33] + chunk(b"tRNS", b"\0\0") + PLAIN[33:],
    "a suggested palette": PLAIN[:33] + chunk(b"PLTE", bytes(768)) + PLAIN[33:],
    "two IDAT chunks": PLAIN[:33] + chunk(b"IDAT", b"") + PLAIN[33:],
    "a wrong checksum of the header": PLAIN[:29] + b"\0\0\0\0" + PLAIN[33:],
    "too few rows": png_of(28, 28, GREY, rows_of(28, 28)[:10]),
    "an unknown filter": png_of(28, 28, GREY, zlib.compress(b"\5" + bytes(811))),
    "a stream without zlib's header": png_of(28, 28, GREY, rows_of(28, 28)[2:]),
}


@pytest.mark.parametrize("problem", OTHER_FILES)
def test_a_file_that_is_not_plain_is_left_to_the_reader(problem: str) -> None:
    assert decode(OTHER_FILES[problem]) is None


def test_chunks_that_tandem_ignores_do_not_matter() -> None:
    ignored = chunk(b"gAMA", struct.pack(">I", 1)) + chunk(b"tEXt", b"a\0b") + chunk(b"pHYs", bytes(9))
    image, expected = decode(PLAIN[:33] + ignored + PLAIN[33:] + b"trailing bytes"), decode(PLAIN)
    assert image is not None
    assert expected is not None
    assert image.tobytes() == expected.tobytes()
