"""TIFF and GIF files are opened only after their size is known, and without what is built to take long."""

import io
import struct

import numpy as np
import pytest
from PIL import Image, ImageOps

from shared.data.images import open_picture, prepare_picture
from shared.data.picture_files import read_structure
from shared.errors import InvalidImageError

GREY = (28, 28, 1)
RAMP = (np.arange(784) % 256).astype(np.uint8).reshape(28, 28)


def encode_picture(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def tiff_with(*entries: tuple[int, int, int, int], compression: int = 1, next_page: int = 0) -> bytes:
    """Return a TIFF of 28 x 28 black pixels with more entries: tag, type, count, value."""
    usual = [(256, 4, 1, 28), (257, 4, 1, 28), (258, 4, 1, 8), (259, 4, 1, compression), (262, 4, 1, 1)]
    usual += [(273, 4, 1, 8), (277, 4, 1, 1), (278, 4, 1, 28), (279, 4, 1, 784)]
    names = {entry[0] for entry in entries}
    kept = sorted([entry for entry in usual if entry[0] not in names] + list(entries))
    directory = struct.pack("<H", len(kept)) + b"".join(struct.pack("<HHII", *entry) for entry in kept)
    return b"II*\0" + struct.pack("<I", 792) + bytes(784) + directory + struct.pack("<I", next_page)


def test_the_tiff_that_the_other_tests_change_is_read() -> None:
    assert prepare_picture(tiff_with(), GREY, "mine").pixels.max() == 0


REFUSED = {
    "a TIFF of 40,000 x 40,000": tiff_with((256, 4, 1, 40_000), (257, 4, 1, 40_000)),
    "a TIFF with a tile of 65,000 x 65,000": tiff_with((322, 4, 1, 65_000), (323, 4, 1, 65_000)),
    "a TIFF compressed as JPEG": tiff_with(compression=7),
    "a TIFF with a million strips": tiff_with((273, 4, 10**6, 8)),
    "a TIFF with a tag twice": tiff_with((256, 4, 1, 28), (256, 4, 1, 28)),
    "a TIFF of two pages": tiff_with(next_page=792),
    "a TIFF that is cut off": tiff_with()[:500],
    "a TIFF of 600 tags": tiff_with(*[(50_000 + tag, 4, 1, 0) for tag in range(600)]),
    "a GIF with a picture of 65,535 x 65,535": b"GIF89a\x1c\0\x1c\0\0\0\0,\0\0\0\0\xff\xff\xff\xff\0\2\0;",
    "a GIF of 400,000 blocks": b"GIF89a\x1c\0\x1c\0\0\0\0!\xfe" + b"\1a" * 400_000 + b"\0;",
    "a GIF without a picture": b"GIF89a\x1c\0\x1c\0\0\0\0;",
}


@pytest.mark.parametrize("problem", REFUSED)
def test_a_file_that_takes_long_is_refused(problem: str) -> None:
    with pytest.raises(InvalidImageError, match=r"^mine: "):
        open_picture(REFUSED[problem], "mine")


@pytest.mark.parametrize("compression", [None, "tiff_lzw", "tiff_adobe_deflate", "packbits"])
@pytest.mark.parametrize("mode", ["L", "RGB", "P", "RGBA", "CMYK"])
def test_usual_tiffs_keep_their_pixels(mode: str, compression: str | None) -> None:
    image = Image.fromarray(RAMP).convert(mode)
    data = encode_picture(image, "TIFF", compression=compression, description="a" * 5000)
    pixels = prepare_picture(data, (28, 28, 3), "mine").pixels
    assert np.array_equal(pixels, np.asarray(image.convert("RGB")))


def test_scans_of_one_bit_are_read() -> None:
    image = Image.fromarray(RAMP).convert("1")
    expected = np.asarray(image.convert("L"))
    for compression in ("group3", "group4"):
        data = encode_picture(image, "TIFF", compression=compression)
        assert np.array_equal(prepare_picture(data, GREY, "scan").pixels[..., 0], expected)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_tiff_is_turned_as_pillow_turns_it(orientation: int) -> None:
    image = Image.fromarray(RAMP)
    data = encode_picture(image, "TIFF", tiffinfo={274: orientation})
    expected = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    assert np.array_equal(prepare_picture(data, GREY, "mine").pixels[..., 0], np.asarray(expected))


def test_comments_of_a_gif_do_not_reach_pillow() -> None:
    data = encode_picture(Image.fromarray(RAMP), "GIF")
    commented = encode_picture(Image.fromarray(RAMP), "GIF", comment=b"c" * 5000)
    file = read_structure(commented)
    assert file is not None
    assert len(file.data) <= len(data)
    assert np.array_equal(prepare_picture(commented, GREY, "mine").pixels[..., 0], RAMP)
