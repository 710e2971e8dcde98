"""A posted picture becomes the dataset's pixel grid, or is refused by name."""

import io
import struct
import warnings
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from shared.data.images import MAX_PIXELS, POSTED_FORMATS, pixel_count, prepare_picture
from shared.errors import InvalidImageError

GREY = (28, 28, 1)
RAMP = (np.arange(784) % 256).astype(np.uint8).reshape(28, 28)


def encoded(image: Image.Image, format: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def declared_png(width: int, height: int) -> bytes:
    """A PNG that is only a header: what it declares, it need not hold."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunk = struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    return b"\x89PNG\r\n\x1a\n" + chunk + struct.pack(">I", 0) + b"IDAT" + struct.pack(">I", zlib.crc32(b"IDAT"))


def test_a_picture_of_the_right_size_and_mode_passes_untouched() -> None:
    picture = prepare_picture(encoded(Image.fromarray(RAMP)), GREY, "ramp.png")
    assert np.array_equal(picture.pixels[..., 0], RAMP)
    assert picture.warnings == ()


def test_another_size_is_scaled_and_says_so() -> None:
    picture = prepare_picture(encoded(Image.new("L", (56, 112), 200)), GREY, "big.png")
    assert picture.pixels.shape == GREY
    assert picture.pixels.min() == picture.pixels.max() == 200
    assert picture.warnings == ("resized to 28 x 28",)


def test_colour_becomes_grey_by_its_luma() -> None:
    red = prepare_picture(encoded(Image.new("RGB", (28, 28), (255, 0, 0))), GREY, "red.png")
    assert red.pixels[0, 0, 0] == 76  # ITU-R 601: 0.299 * 255


def test_grey_becomes_colour_where_the_dataset_has_colour() -> None:
    picture = prepare_picture(encoded(Image.fromarray(RAMP)), (28, 28, 3), "ramp.png")
    assert all(np.array_equal(picture.pixels[..., channel], RAMP) for channel in range(3))


def test_what_is_transparent_is_placed_on_white() -> None:
    picture = prepare_picture(encoded(Image.new("RGBA", (28, 28), (0, 0, 0, 0))), GREY, "glass.png")
    assert picture.pixels.min() == 255
    assert "transparent: placed on white" in picture.warnings


def test_sixteen_bits_are_scaled_and_not_clipped() -> None:
    levels = np.tile(np.array([0, 257, 32_768, 65_535], np.uint16), (28, 7))
    picture = prepare_picture(encoded(Image.fromarray(levels)), GREY, "deep.png")
    assert picture.pixels[0, :4, 0].tolist() == [0, 1, 127, 255]


def test_a_palette_and_cmyk_become_grey() -> None:
    palette = encoded(Image.new("RGB", (28, 28), (255, 255, 255)).convert("P"))
    cmyk = encoded(Image.new("CMYK", (28, 28), (0, 0, 0, 0)), "JPEG")
    assert prepare_picture(palette, GREY, "a.png").pixels.min() == 255
    assert prepare_picture(cmyk, GREY, "b.jpg").pixels.min() >= 254


def test_a_camera_turned_on_its_side_is_turned_back() -> None:
    image = Image.new("L", (28, 28), 0)
    image.paste(255, (0, 0, 28, 14))  # the upper half is white
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    turned = prepare_picture(encoded(image, "JPEG", exif=exif, quality=95), GREY, "photo.jpg").pixels[..., 0]
    assert turned[:10].max() < 30
    assert turned[18:].min() > 225


def refused() -> dict[str, bytes]:
    ramp = Image.fromarray(RAMP)
    frames = [Image.new("L", (28, 28), shade) for shade in (0, 255)]
    return {
        "empty": b"",
        "text": b"this is no picture",
        "truncated png": encoded(ramp)[:-40],
        "truncated jpeg": encoded(ramp, "JPEG")[:-60],
        "gif": encoded(ramp, "GIF"),
        "animated": encoded(frames[0], save_all=True, append_images=frames[1:]),
        "169 megapixels": declared_png(13_000, 13_000),
        "a gigapixel": declared_png(40_000, 40_000),
    }


@pytest.mark.parametrize("what", refused())
def test_what_cannot_be_used_is_refused_by_name(what: str) -> None:
    with pytest.raises(InvalidImageError, match=r"^mine\.png: "):
        prepare_picture(refused()[what], GREY, "mine.png")


@given(st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), min_size=1, max_size=8))
def test_mutated_bytes_give_a_picture_or_a_refusal_and_nothing_else(changes: list[tuple[int, int]]) -> None:
    data = bytearray(encoded(Image.fromarray(RAMP)))
    for place, value in changes:
        data[place % len(data)] = value
    try:
        picture = prepare_picture(bytes(data), GREY, "mutant.png")
    except InvalidImageError:
        return
    assert picture.pixels.shape == GREY


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
    data = encoded(Image.new(mode, size), kind, **options)
    assert pixel_count(data) == size[0] * size[1]


def test_the_pixels_of_a_bitmap_stored_from_top_to_bottom_are_counted() -> None:
    data = bytearray(encoded(Image.new("L", (30, 20)), "BMP"))
    data[22:26] = struct.pack("<i", -20)
    assert Image.open(io.BytesIO(data)).size == (30, 20)
    assert pixel_count(bytes(data)) == 600


def test_the_pixels_of_a_small_file_with_30_million_are_counted() -> None:
    data = encoded(Image.new("1", (6000, 5000)), optimize=True)
    assert len(data) < 5000
    assert pixel_count(data) == 30_000_000


def test_bytes_that_are_no_picture_have_no_pixels() -> None:
    for data in (b"", b"\x89", b"BM", b"RIFF", b"\xff\xd8\xff", b"this is no picture", bytes(10_000)):
        assert pixel_count(data) == 0
    random = np.random.default_rng(0)
    for length in range(300):
        assert pixel_count(random.bytes(length)) == 0


@pytest.mark.parametrize(("kind", "options"), KINDS_OF_FILE)
def test_a_truncated_file_has_all_its_pixels_or_none(kind: str, options: dict[str, object]) -> None:
    data = encoded(Image.fromarray(RAMP), kind, **options)
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
def test_what_pillow_opens_is_counted(
    kind_and_options: tuple[str, dict[str, object]], changes: list[tuple[int, int]]
) -> None:
    kind, options = kind_and_options
    data = bytearray(encoded(Image.fromarray(RAMP), kind, **options))
    for place, value in changes:
        data[place % len(data)] = value
    counted = pixel_count(bytes(data))
    try:
        with warnings.catch_warnings(action="ignore"):
            opened = Image.open(io.BytesIO(data), formats=POSTED_FORMATS)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return
    assert counted in (opened.width * opened.height, MAX_PIXELS)
