"""A posted picture is brought to the dataset's shape, or is refused with an error that names it."""

import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from shared.data.images import open_picture, prepare_picture
from shared.errors import InvalidImageError

GREY = (28, 28, 1)
RAMP = (np.arange(784) % 256).astype(np.uint8).reshape(28, 28)


def encode_picture(image: Image.Image, format: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def png_header(width: int, height: int) -> bytes:
    """Return a PNG that has a header but no pixels."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunk = struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    return b"\x89PNG\r\n\x1a\n" + chunk + struct.pack(">I", 0) + b"IDAT" + struct.pack(">I", zlib.crc32(b"IDAT"))


def test_a_picture_of_the_datasets_size_and_mode_is_unchanged() -> None:
    picture = prepare_picture(encode_picture(Image.fromarray(RAMP)), GREY, "ramp.png")
    assert np.array_equal(picture.pixels[..., 0], RAMP)
    assert picture.warnings == ()


def test_a_picture_of_another_size_is_scaled_with_a_warning() -> None:
    picture = prepare_picture(encode_picture(Image.new("L", (56, 112), 200)), GREY, "big.png")
    assert picture.pixels.shape == GREY
    assert picture.pixels.min() == picture.pixels.max() == 200
    assert picture.warnings == ("no ink found", "resized to 28 x 28")


def test_colour_becomes_grey_by_its_luma() -> None:
    red = prepare_picture(encode_picture(Image.new("RGB", (28, 28), (255, 0, 0))), GREY, "red.png")
    assert red.pixels[0, 0, 0] == 76  # ITU-R 601: 0.299 * 255


def test_grey_becomes_colour_if_the_dataset_has_colour() -> None:
    picture = prepare_picture(encode_picture(Image.fromarray(RAMP)), (28, 28, 3), "ramp.png")
    assert all(np.array_equal(picture.pixels[..., channel], RAMP) for channel in range(3))


def test_a_transparent_picture_is_placed_on_white_with_a_warning() -> None:
    picture = prepare_picture(encode_picture(Image.new("RGBA", (28, 28), (0, 0, 0, 0))), GREY, "glass.png")
    assert picture.pixels.min() == 255
    assert "transparent: placed on white" in picture.warnings


def test_sixteen_bits_are_scaled_and_not_clipped() -> None:
    levels = np.tile(np.array([0, 257, 32_768, 65_535], np.uint16), (28, 7))
    picture = prepare_picture(encode_picture(Image.fromarray(levels)), GREY, "deep.png")
    assert picture.pixels[0, :4, 0].tolist() == [0, 1, 128, 255]


def test_a_palette_and_cmyk_become_grey() -> None:
    palette = encode_picture(Image.new("RGB", (28, 28), (255, 255, 255)).convert("P"))
    cmyk = encode_picture(Image.new("CMYK", (28, 28), (0, 0, 0, 0)), "JPEG")
    assert prepare_picture(palette, GREY, "a.png").pixels.min() == 255
    assert prepare_picture(cmyk, GREY, "b.jpg").pixels.min() >= 254


def test_a_photograph_is_turned_as_its_exif_data_says() -> None:
    image = Image.new("L", (28, 28), 0)
    image.paste(255, (0, 0, 28, 14))  # the upper half is white
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    turned = prepare_picture(encode_picture(image, "JPEG", exif=exif, quality=95), GREY, "photo.jpg").pixels[..., 0]
    assert turned[:10].max() < 30
    assert turned[18:].min() > 225


def unusable_files() -> dict[str, bytes]:
    """Return files that are refused, by what is wrong with them."""
    ramp = Image.fromarray(RAMP)
    frames = [Image.new("L", (28, 28), shade) for shade in (0, 255)]
    return {
        "empty": b"",
        "text": b"this is no picture",
        "truncated png": encode_picture(ramp)[:-40],
        "truncated jpeg": encode_picture(ramp, "JPEG")[:-60],
        "ppm": encode_picture(ramp, "PPM"),
        "animated gif": encode_picture(frames[0], "GIF", save_all=True, append_images=frames[1:]),
        "tiff of two pages": encode_picture(frames[0], "TIFF", save_all=True, append_images=frames[1:]),
        "animated": encode_picture(frames[0], save_all=True, append_images=frames[1:]),
        "169 megapixels": png_header(13_000, 13_000),
        "a gigapixel": png_header(40_000, 40_000),
    }


@pytest.mark.parametrize("problem", unusable_files())
def test_an_unusable_file_is_refused_with_an_error_that_names_it(problem: str) -> None:
    with pytest.raises(InvalidImageError, match=r"^mine\.png: "):
        prepare_picture(unusable_files()[problem], GREY, "mine.png")


@given(st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), min_size=1, max_size=8))
def test_changed_bytes_give_a_picture_or_a_refusal_and_no_other_error(changes: list[tuple[int, int]]) -> None:
    data = bytearray(encode_picture(Image.fromarray(RAMP)))
    for place, value in changes:
        data[place % len(data)] = value
    try:
        picture = prepare_picture(bytes(data), GREY, "mutant.png")
    except InvalidImageError:
        return
    assert picture.pixels.shape == GREY


def test_opening_a_picture_reads_its_size_and_decodes_nothing() -> None:
    file = io.BytesIO()
    Image.new("1", (6000, 5000)).save(file, "PNG")
    assert len(file.getvalue()) < 4000
    opened = open_picture(file.getvalue(), "bomb.png")
    assert opened.work == opened.decode_bytes == 30_000_000
    assert opened.image._im is None, "the pixels were decoded"


def test_broken_exif_data_are_refused_like_any_broken_picture() -> None:
    png = encode_picture(Image.new("L", (28, 28)))
    exif = b"garbage!!!"
    chunk = struct.pack(">I", len(exif)) + b"eXIf" + exif + struct.pack(">I", zlib.crc32(b"eXIf" + exif))
    with pytest.raises(InvalidImageError, match=r"odd\.png: the picture is broken"):
        prepare_picture(png[:33] + chunk + png[33:], GREY, "odd.png")
