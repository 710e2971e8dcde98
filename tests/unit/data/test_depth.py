"""Pictures of 1, 12, 16 and 32 bits and of floating point become the pixels of the same picture in 8 bits."""

import io
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from shared.data.image_folder import PictureFile, read_pictures
from shared.data.images import PICTURE_FORMATS, prepare_picture
from shared.errors import InvalidImageError

GREY = (28, 28, 1)
RAMP = (np.arange(784) % 256).astype(np.uint8).reshape(28, 28)


def encode_picture(image: Image.Image, kind: str = "TIFF", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


DEEP = {
    "12 bits in 16": RAMP.astype(np.uint16) * 16,
    "16 bits": RAMP.astype(np.uint16) * 257,
    "8 bits in 16": RAMP.astype(np.uint16),
    "16 bits in 32": RAMP.astype(np.int32) * 257,
    "31 bits in 32": RAMP.astype(np.int32) * 8_421_504,
    "floating point from 0 to 1": (RAMP / 255).astype(np.float32),
    "floating point from 0 to 255": RAMP.astype(np.float32),
    "floating point from 0 to 65,535": RAMP.astype(np.float32) * 257,
    "floating point from -1 to 1": (RAMP / 127.5 - 1).astype(np.float32),
    "floating point a little above 1": (RAMP / 250).astype(np.float32),
}


@pytest.mark.parametrize("kind", DEEP)
def test_deep_pictures_are_scaled_by_their_content(kind: str) -> None:
    picture = prepare_picture(encode_picture(Image.fromarray(DEEP[kind])), GREY, "deep.tif")
    assert np.abs(picture.pixels[..., 0].astype(int) - RAMP).max() <= 1
    assert picture.warnings == ()


def test_one_bit_becomes_black_and_white() -> None:
    image = Image.fromarray(RAMP).point(lambda value: 255 * (value > 127)).convert("1")
    for kind in ("PNG", "TIFF", "BMP"):
        assert set(np.unique(prepare_picture(encode_picture(image, kind), GREY, "bits").pixels)) == {0, 255}


@pytest.mark.parametrize(
    "values",
    [np.full((28, 28), np.nan, np.float32), np.full((28, 28), -5, np.int32), np.full((28, 28), np.inf, np.float32)],
)
def test_values_that_have_no_brightness_are_refused_by_name(values: NDArray[np.float32]) -> None:
    with pytest.raises(InvalidImageError, match=r"^odd\.tif: .*save it with 8 or 16 bits"):
        prepare_picture(encode_picture(Image.fromarray(values)), GREY, "odd.tif")


@pytest.mark.parametrize("kind", PICTURE_FORMATS)
def test_every_format_is_accepted_for_training_and_for_prediction(kind: str, tmp_path: Path) -> None:
    data = encode_picture(Image.fromarray(RAMP), kind, **({"lossless": True} if kind == "WEBP" else {}))
    path = tmp_path / "picture"
    path.write_bytes(data)
    images, _ = read_pictures((PictureFile(str(tmp_path), path.name, 0, len(data), 0),), GREY)
    assert np.array_equal(images[0], prepare_picture(data, GREY, "picture").pixels)


def test_transparency_is_reported_only_if_a_pixel_is_transparent() -> None:
    image = Image.new("RGBA", (28, 28), (255, 0, 0, 255))
    assert "transparent" not in " ".join(prepare_picture(encode_picture(image, "PNG"), GREY, "a.png").warnings)
    image.putpixel((3, 3), (255, 0, 0, 254))
    assert "transparent: placed on white" in prepare_picture(encode_picture(image, "PNG"), GREY, "a.png").warnings
    palette = Image.fromarray(RAMP).convert("P")
    unused = encode_picture(Image.new("P", (28, 28), 1), "PNG", transparency=0)
    assert "transparent" not in " ".join(prepare_picture(unused, GREY, "a.png").warnings)
    assert palette.mode == "P"


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "a HEIC file"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic", "a HEIC file"),
        (b"\0\0\0\x1cftypavif\0\0\0\0avifmif1miaf", "an AVIF file"),
        (b"%PDF-1.7\n", "a PDF file"),
        (b"\n<svg xmlns='http://www.w3.org/2000/svg'/>", "an SVG file"),
    ],
)
def test_other_formats_are_named_and_the_refusal_says_what_to_do(data: bytes, kind: str) -> None:
    with pytest.raises(InvalidImageError, match=rf"^head: {kind}, .*export it as JPEG or PNG"):
        prepare_picture(data, GREY, "head")
