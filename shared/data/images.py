"""A posted picture becomes the dataset's pixel grid, once, before any framework.

Frameworks decode and resize differently, so neither is asked to: Pillow does
both here, and every backend sees the same bytes. A picture that already has
the dataset's size and mode passes untouched. Others are only scaled
(`resize`), or what is drawn in them is cut out (`ink`: `shared/ink.py`).
"""

import io
import struct
import threading
import warnings
from contextlib import nullcontext
from dataclasses import dataclass
from math import isqrt
from time import perf_counter
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from shared.errors import InvalidImageError
from shared.network.layers import Shape

FORMATS = ("PNG", "JPEG", "WEBP", "BMP")
MAX_PIXELS = 50_000_000
# How many chunks or segments of a header `pixel_count` reads. A photograph of a phone has up to about fifty.
MAX_HEADER_STEPS = 200
SCAN = b"\xff\xda"  # JPEG's marker; a scan may be a few bytes, and each is a pass over the whole picture
MAX_SCANS = 40  # a progressive picture has ten
LARGE = 4_000_000  # pixels: such pictures are decoded one at a time, and made smaller before they are copied
DRAWN_IN = 400  # pixels of the shorter side that a drawing is looked for in, at the least: a JPEG is decoded no larger
Preparation = Literal["ink", "resize"]


@dataclass(frozen=True)
class PreparedPicture:
    """pixels uint8 [H, W, C], what a person should know of how they came about, and how long decoding took."""

    pixels: NDArray[np.uint8]
    warnings: tuple[str, ...] = ()
    decode_ms: float = 0.0

    def png(self) -> bytes:
        buffer = io.BytesIO()
        Image.fromarray(self.pixels.squeeze()).save(buffer, "PNG")
        return buffer.getvalue()


def pixel_count(data: bytes) -> int:
    """Return width x height as the header of a PNG, JPEG, WebP or BMP file states it.

    Nothing is decoded, so that a caller can decide from the result whether decoding is slow enough for a thread.
    The call takes a few microseconds, and at most `MAX_HEADER_STEPS` steps for a hostile file.

    Args:
        data: the file's bytes; any bytes are allowed.

    Returns:
        The number of pixels. 0 if the bytes are no readable picture: decoding them says what is wrong.
        `MAX_PIXELS` if the header is longer than any usual one: such a file is as slow to open as a large picture.
    """
    try:
        if data.startswith(b"\x89PNG\r\n\x1a\n"):
            return _png_pixel_count(data)
        if data.startswith(b"\xff\xd8\xff"):
            return _jpeg_pixel_count(data)
        if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
            return _webp_pixel_count(data)
        if data.startswith(b"BM"):
            return _bmp_pixel_count(data)
    except (struct.error, IndexError):  # the file ends within its header
        pass
    return 0


def _png_pixel_count(data: bytes) -> int:
    """Follow the chunks (4 bytes of length, 4 of type, the content, 4 of checksum) up to the pixels in IDAT.

    IHDR has to be the first chunk. Pillow also takes it from another place, and of several it takes the last.
    """
    offset, pixels = 8, 0
    for _ in range(MAX_HEADER_STEPS):
        length, kind = struct.unpack_from(">I4s", data, offset)
        if kind == b"IHDR":
            width, height = struct.unpack_from(">II", data, offset + 8)
            pixels = width * height
        elif kind in (b"IDAT", b"fdAT"):  # fdAT: the pixels of an animation
            return pixels
        offset += 12 + length
    return MAX_PIXELS


def _jpeg_pixel_count(data: bytes) -> int:
    """Follow the segments (0xFF, a marker, 2 bytes of length that count themselves) up to a frame header, SOF.

    SOF's content is 1 byte of precision, 2 of height, 2 of width (ITU-T T.81, B.2.2). Its markers are 0xC0 to 0xCF
    without DHT (0xC4), JPG (0xC8) and DAC (0xCC). Between segments Pillow skips other bytes; so does this function.
    """
    offset = 2
    for _ in range(MAX_HEADER_STEPS):
        marker = data[offset + 1]
        if data[offset] != 0xFF or marker == 0xFF:  # a stray byte, or padding
            offset += 1
        elif marker in (0x00, 0xC8) or 0xD0 <= marker <= 0xD9 or 0xF0 <= marker <= 0xFD:
            offset += 2  # these have no content that Pillow would read
        elif 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xCC):
            height, width = struct.unpack_from(">HH", data, offset + 5)
            return int(width * height)
        elif marker < 0xC0 or marker == 0xDA:  # no JPEG marker, or pixels (SOS) before their header
            return 0
        else:
            (length,) = struct.unpack_from(">H", data, offset + 2)
            offset += 2 + max(2, length)
    return MAX_PIXELS


def _webp_pixel_count(data: bytes) -> int:
    """Read the first chunk: VP8X states the canvas, VP8 (lossy) and VP8L (lossless) the picture (RFC 9649)."""
    kind = data[12:16]
    if kind == b"VP8X":  # width - 1 and height - 1 in 3 bytes each
        if len(data) < 30:
            return 0
        width, height = (int.from_bytes(data[start : start + 3], "little") + 1 for start in (24, 27))
    elif kind == b"VP8L":  # a signature of 1 byte, then width - 1 and height - 1 in 14 bits each
        (sizes,) = struct.unpack_from("<I", data, 21)
        width, height = (sizes & 0x3FFF) + 1, (sizes >> 14 & 0x3FFF) + 1
    elif kind == b"VP8 ":  # a frame tag of 3 bytes, a start code of 3, then both in the lower 14 of 16 bits
        width, height = (size & 0x3FFF for size in struct.unpack_from("<HH", data, 26))
    else:
        return 0
    return width * height


def _bmp_pixel_count(data: bytes) -> int:
    """Read the second header: 12 bytes long it has sizes of 16 bits, else of 32, the height negative if top-down."""
    (header_size,) = struct.unpack_from("<I", data, 14)
    width, height = struct.unpack_from("<HH" if header_size == 12 else "<Ii", data, 18)
    return int(width * abs(height))


def prepare_picture(
    data: bytes, shape: Shape, name: str, formats: tuple[str, ...] = FORMATS, preparation: Preparation = "resize"
) -> PreparedPicture:
    """Decode a picture file and bring it to `shape` [H, W, C].

    Args:
        data: the file's bytes.
        shape: the dataset's; C is 1 (grey) or 3 (RGB).
        name: what to call the picture in an error.
        formats: Pillow's names of those that are read.
        preparation: what becomes of one that has not the shape and the mode already.

    Raises:
        InvalidImageError: empty, not a picture, broken, animated or too large.
    """
    height, width, channels = shape
    notes: list[str] = []
    begun = perf_counter()
    image = ImageOps.exif_transpose(_decode(data, name, formats, DRAWN_IN if preparation == "ink" else None))
    decode_ms = (perf_counter() - begun) * 1000
    mode = "L" if channels == 1 else "RGB"
    if preparation == "ink" and (image.mode, image.size) != (mode, (width, height)):
        from shared.data import ink  # OpenCV is only for whoever has ink to prepare

        image = _to_mode(image, "L", notes, "black" if _is_light_on_nothing(image) else "white")
        drawing, found = ink.cut_out_ink(np.asarray(image), height, width)
        notes += found
        if drawing is not None:
            return PreparedPicture(np.repeat(drawing[..., None], channels, 2), tuple(notes), decode_ms)
    if image.mode != mode:
        image = _to_mode(image, mode, notes)
    if image.size != (width, height):
        notes.append(f"resized to {width} x {height}")
        image = image.resize((width, height), Image.Resampling.LANCZOS, reducing_gap=3.0)
    return PreparedPicture(np.asarray(image, np.uint8).reshape(height, width, channels), tuple(notes), decode_ms)


def _decode(data: bytes, name: str, formats: tuple[str, ...], side: int | None) -> Image.Image:
    """Decoded; a JPEG at a half, a quarter or an eighth, as long as its shorter side keeps `side` pixels."""
    if not data:
        raise InvalidImageError(f"{name}: the file is empty")
    try:
        with warnings.catch_warnings():
            # Pillow only warns up to twice its limit; our own check below is exact.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image: Image.Image = Image.open(io.BytesIO(data), formats=formats)
        if image.width * image.height > MAX_PIXELS:
            raise InvalidImageError(
                f"{name}: {image.width} x {image.height} pixels are more than {MAX_PIXELS:,}: send a smaller picture"
            )
        # A phone's JPEG may carry a second, smaller picture: the first is meant.
        if image.format != "MPO" and getattr(image, "is_animated", False):
            raise InvalidImageError(f"{name}: the picture is animated: send a single frame")
        if image.format in ("JPEG", "MPO") and data.count(SCAN) > MAX_SCANS:
            raise InvalidImageError(f"{name}: a JPEG of more than {MAX_SCANS} scans: save it anew")
        if side:
            image.draft(None, (side, side))
        with _turn if image.width * image.height > LARGE else nullcontext():
            image.load()  # verify() would let a truncated JPEG pass
            factor = isqrt(image.width * image.height // LARGE)
            if factor > 1 and image.mode in ("L", "LA", "RGB", "RGBA", "CMYK"):
                image = image.reduce(factor)
    except UnidentifiedImageError:
        raise InvalidImageError(f"{name}: not a {', '.join(formats[:-1])} or {formats[-1]} file") from None
    except Image.DecompressionBombError:
        raise InvalidImageError(f"{name}: more than {MAX_PIXELS:,} pixels: send a smaller picture") from None
    except (OSError, SyntaxError, ValueError, EOFError, MemoryError) as error:
        raise InvalidImageError(f"{name}: the picture is broken: {error}") from None
    return image


_turn = threading.Lock()


def _is_light_on_nothing(image: Image.Image) -> bool:
    """Whether white paper would hide what is drawn: little is there, and that is light."""
    if not image.has_transparency_data:
        return False
    small = image.convert("RGBA").reduce(max(1, min(image.size) // DRAWN_IN)).convert("LA")
    grey, alpha = np.moveaxis(np.asarray(small, np.float32), 2, 0)
    return bool(alpha.mean() < 128 and (grey * alpha).sum() > 128 * alpha.sum())


def _to_mode(image: Image.Image, mode: str, notes: list[str], paper: str = "white") -> Image.Image:
    if image.mode.startswith("I"):  # 16 bits a pixel: convert() would clip all but the darkest to white
        image = Image.fromarray((np.asarray(image, np.int64) // 257).clip(0, 255).astype(np.uint8))
    if image.has_transparency_data:
        notes.append(f"transparent: placed on {paper}")
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, paper), image)
    if image.mode in ("CMYK", "YCCK", "LAB", "HSV"):
        image = image.convert("RGB")
    return image.convert(mode)
