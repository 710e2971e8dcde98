"""A file that is built to take long or much memory is refused, or what it adds to its pixels is left out."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageOps

from shared.data.images import MAX_DECODE_BYTES, open_picture, prepare_picture
from shared.data.picture_files import MAX_JPEG_SCANS, read_structure
from shared.errors import InvalidImageError

GREY = (28, 28, 1)


def encode_picture(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def png_chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png_with(*chunks: bytes) -> bytes:
    """Return a PNG of 28 x 28 black pixels with chunks after its header."""
    png = encode_picture(Image.new("L", (28, 28)), "PNG")
    return png[:33] + b"".join(chunks) + png[33:]


JPEG = encode_picture(Image.new("L", (28, 28)), "JPEG")
PROGRESSIVE = encode_picture(Image.linear_gradient("L"), "JPEG", progressive=True)
LAST_SCAN = PROGRESSIVE.rindex(b"\xff\xda")
# libjpeg passes over a marker that it does not know while it looks for the next restart, and reads what follows.
HIDING = PROGRESSIVE[LAST_SCAN : LAST_SCAN + 40] + b"\xff\x02\xff\x00"
REFUSED = {
    "20,000 PNG chunks": png_with(*[png_chunk(b"tEXt", b"a\0b")] * 20_000),
    "a PNG palette of 2 kB": png_with(png_chunk(b"PLTE", bytes(2048))),
    "a million bytes that fill a JPEG up": JPEG[:2] + b"\xff" * 10**6 + JPEG[2:],
    "10,000 JPEG comments": JPEG[:2] + b"\xff\xfe\0\2" * 10_000 + JPEG[2:],
    "1,000 quantization tables": JPEG[:2] + (b"\xff\xdb\0\x43\0" + b"\1" * 64) * 1000 + JPEG[2:],
    "a JPEG without a frame": JPEG[:2] + JPEG[JPEG.index(b"\xff\xda") :],
    "a JPEG of many scans": PROGRESSIVE[:LAST_SCAN] + PROGRESSIVE[LAST_SCAN:-2] * (MAX_JPEG_SCANS + 1) + b"\xff\xd9",
    "scans that a reserved marker hides": PROGRESSIVE[:LAST_SCAN] + HIDING + PROGRESSIVE[LAST_SCAN:],
    "a PNG whose first chunk is too long": png_with()[:8] + struct.pack(">I", 25) + png_with()[12:],
    "a WebP canvas that is larger than its picture": encode_picture(
        Image.new("RGB", (28, 28)), "WEBP", exif=b"Exif\0\0II*\0\x08\0\0\0\0\0"
    ).replace(b"\x1b\0\0\x1b\0\0", b"\xff\x3f\0\xff\x3f\0", 1),
    "a compressed BMP": b"BM" + bytes(12) + struct.pack("<IiiHHI", 40, 28, 28, 1, 8, 1) + bytes(2000),
}


@pytest.mark.parametrize("problem", REFUSED)
def test_a_file_that_takes_long_is_refused(problem: str) -> None:
    with pytest.raises(InvalidImageError, match=r"^mine: the picture is broken: "):
        prepare_picture(REFUSED[problem], GREY, "mine")


@pytest.mark.parametrize(("kind", "side"), [("WEBP", 3000), ("JPEG", 6500)])
def test_a_file_that_takes_much_memory_is_refused_with_advice(kind: str, side: int) -> None:
    options = {"lossless": True} if kind == "WEBP" else {"progressive": True, "subsampling": 0}
    data = encode_picture(Image.new("RGB", (side, side)), kind, **options)
    assert side * side < 50_000_000
    with pytest.raises(InvalidImageError, match="too much memory to decode: send a smaller picture"):
        open_picture(data, "mine")
    assert MAX_DECODE_BYTES < 300_000_000


def test_profiles_texts_and_thumbnails_do_not_reach_pillow() -> None:
    bomb = zlib.compress(bytes(10**6))
    chunks = (
        png_chunk(b"iCCP", b"a\0\0" + bomb),
        png_chunk(b"zTXt", b"a\0\0" + bomb),
        png_chunk(b"iTXt", b"a\0\1\0\0\0" + bomb),
    )
    file = read_structure(png_with(*chunks))
    assert file is not None
    assert file.data == png_with()
    photograph = encode_picture(
        Image.linear_gradient("L"), "JPEG", icc_profile=bytes(200_000), comment="c" * 1000, exif=b"Exif\0\0garbage"
    )
    file = read_structure(photograph)
    assert file is not None
    assert file.data == encode_picture(Image.linear_gradient("L"), "JPEG")


def test_exif_data_are_searched_for_the_orientation_only() -> None:
    """Pillow would copy what each of these 5,000 entries refers to, 240 MB in all."""
    entries = b"".join(struct.pack("<HHII", tag, 1, 48_000, 8) for tag in range(1, 5000))
    exif = b"II*\0" + struct.pack("<IH", 8, 4999) + entries
    assert prepare_picture(png_with(png_chunk(b"eXIf", exif)), GREY, "mine").pixels.max() == 0
    turned = b"MM\0*" + struct.pack(">IHHHIHH", 8, 1, 0x0112, 3, 1, 6, 0)
    file = read_structure(png_with(png_chunk(b"eXIf", turned)))
    assert file is not None
    assert file.orientation == 6


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_is_turned_as_pillow_turns_it(kind: str, orientation: int) -> None:
    image = Image.radial_gradient("L").crop((0, 0, 28, 28))
    image.paste(255, (0, 0, 14, 7))
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encode_picture(image, kind, exif=exif, **({"lossless": True} if kind == "WEBP" else {}))
    expected = ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("L")
    assert np.array_equal(prepare_picture(data, GREY, "mine").pixels[..., 0], np.asarray(expected))


@pytest.mark.parametrize("mode", ["1", "P", "L", "LA", "RGB", "RGBA", "I;16", "key"])
def test_a_large_picture_of_any_mode_is_reduced(mode: str) -> None:
    """A quarter is white, and stays so. Scaling overshoots a little at edges."""
    side = 4200
    image = Image.new("I;16" if mode == "I;16" else "L", (side, side))
    image.paste(65_535 if mode == "I;16" else 255, (0, 0, side // 2, side // 2))
    options = {"transparency": 0} if mode == "key" else {}
    data = encode_picture(image if mode in ("I;16", "key") else image.convert(mode), "PNG", **options)
    picture = prepare_picture(data, GREY, "mine")
    white = picture.pixels[:13, :13, 0]
    assert white.min() > 250
    black = picture.pixels[15:, 15:, 0]
    assert black.min() > 250 if mode == "key" else black.max() < 5
    assert ("transparent: placed on white" in picture.warnings) == (mode == "key")
