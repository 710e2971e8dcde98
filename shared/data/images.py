"""Turn a posted picture file into the dataset's pixels, once, before any framework sees it.

Frameworks decode and resize differently. So Pillow does both here, and every backend gets the same bytes. A picture
that already has the dataset's size and mode is passed on unchanged. Others are scaled (`resize`), or the drawing in
them is cut out (`ink`, see `ink.py`).
"""

import io
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from math import isqrt
from time import perf_counter
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from shared.errors import InvalidImageError
from shared.network.layers import Shape

# How a picture of another size or mode is brought to the dataset's shape: `ink` cuts out and centres what is drawn,
# `resize` only scales.
Preparation = Literal["ink", "resize"]

MAX_PIXELS = 50_000_000  # A picture with more pixels is refused.
POSTED_FORMATS = ("PNG", "JPEG", "WEBP", "BMP")  # Pillow's names of the formats that a client may post.
# A picture with more pixels than this is decoded while no other one is, and is reduced before it is copied. This
# bounds the memory that several large pictures take at the same time.
LARGE_PICTURE_PIXELS = 4_000_000
# For `ink`, a JPEG is decoded at a reduced size whose shorter side has at least this many pixels.
MIN_INK_SIDE = 400
JPEG_SCAN_MARKER = b"\xff\xda"  # The marker SOS, which begins each scan of a JPEG (ITU-T T.81, table B.1).
# A JPEG with more scans is refused: a scan may have few bytes, but decoding it passes over the whole picture. A usual
# progressive JPEG has ten.
MAX_JPEG_SCANS = 40

# What Pillow raises for broken pictures, and for broken EXIF data in them.
BROKEN_PICTURE_ERRORS = (OSError, SyntaxError, ValueError, EOFError, MemoryError, struct.error, LookupError, TypeError)
# Pillow's own limit is replaced by MAX_PIXELS, which `open_picture` checks before anything is decoded.
Image.MAX_IMAGE_PIXELS = None

_large_picture_lock = threading.Lock()


@dataclass(frozen=True)
class PreparedPicture:
    """A picture in the dataset's shape.

    Attributes:
        pixels: uint8 [H, W, C].
        warnings: what the user should know about how the pixels came about, such as "resized to 28 x 28".
        decode_ms: how long decoding the file took, in milliseconds.
    """

    pixels: NDArray[np.uint8]
    warnings: tuple[str, ...] = ()
    decode_ms: float = 0.0

    def png(self) -> bytes:
        """Return the pixels as a PNG file."""
        buffer = io.BytesIO()
        Image.fromarray(self.pixels.squeeze()).save(buffer, "PNG")
        return buffer.getvalue()


@dataclass(frozen=True)
class OpenedPicture:
    """A picture whose header was read and whose pixels are not decoded yet.

    Attributes:
        name: what errors call the picture.
        open_ms: how long reading the header took, in milliseconds.
    """

    name: str
    image: Image.Image
    open_ms: float

    @property
    def pixels(self) -> int:
        """Return width x height of the pixels to decode. They decide how long decoding takes."""
        return self.image.width * self.image.height

    @property
    def is_large(self) -> bool:
        """Return whether the picture is decoded while no other large one is."""
        return self.pixels > LARGE_PICTURE_PIXELS


def prepare_picture(
    data: bytes,
    shape: Shape,
    name: str,
    formats: tuple[str, ...] = POSTED_FORMATS,
    preparation: Preparation = "resize",
) -> PreparedPicture:
    """Open a picture file and prepare it: see `open_picture` and `prepare_opened` for arguments and errors."""
    return prepare_opened(open_picture(data, name, formats, preparation), shape, preparation)


def open_picture(
    data: bytes, name: str, formats: tuple[str, ...] = POSTED_FORMATS, preparation: Preparation = "resize"
) -> OpenedPicture:
    """Read the header of a picture file, and check what can be checked before decoding.

    Args:
        data: the file's bytes.
        name: what errors call the picture.
        formats: Pillow's names of the accepted formats.
        preparation: for `ink`, a JPEG will be decoded at a half, a quarter or an eighth of its size, as long as its
            shorter side keeps MIN_INK_SIDE pixels.

    Raises:
        InvalidImageError: the file is empty, no picture of these formats, animated, or has more than MAX_PIXELS or
            MAX_JPEG_SCANS.
    """
    if not data:
        raise InvalidImageError(f"{name}: the file is empty")
    started = perf_counter()
    with _naming_errors(name, formats):
        image: Image.Image = Image.open(io.BytesIO(data), formats=formats)
        if image.width * image.height > MAX_PIXELS:
            raise InvalidImageError(
                f"{name}: {image.width} x {image.height} pixels are more than {MAX_PIXELS:,}: send a smaller picture"
            )
        # A phone's JPEG may contain a second, smaller picture (MPO). Pillow decodes the first one, which is meant.
        if image.format != "MPO" and getattr(image, "is_animated", False):
            raise InvalidImageError(f"{name}: the picture is animated: send a single frame")
        if image.format in ("JPEG", "MPO") and data.count(JPEG_SCAN_MARKER) > MAX_JPEG_SCANS:
            raise InvalidImageError(f"{name}: the JPEG has more than {MAX_JPEG_SCANS} scans: save the picture again")
        if preparation == "ink":
            image.draft(None, (MIN_INK_SIDE, MIN_INK_SIDE))
    return OpenedPicture(name, image, (perf_counter() - started) * 1000)


def prepare_opened(opened: OpenedPicture, shape: Shape, preparation: Preparation = "resize") -> PreparedPicture:
    """Decode an opened picture and bring it to the dataset's shape. It can be done once.

    Args:
        shape: the dataset's [H, W, C]; C is 1 (grey) or 3 (RGB).
        preparation: what to do with a picture that has another size or mode.

    Raises:
        InvalidImageError: the picture is broken.
    """
    height, width, channels = shape
    notes: list[str] = []
    started = perf_counter()
    image = _decode(opened)
    decode_ms = opened.open_ms + (perf_counter() - started) * 1000
    mode = "L" if channels == 1 else "RGB"
    if preparation == "ink" and (image.mode, image.size) != (mode, (width, height)):
        from shared.data import ink  # OpenCV is loaded only where ink is prepared.

        background = "black" if _is_light_on_transparent(image) else "white"
        image = _convert(image, "L", notes, background)
        drawing, ink_notes = ink.cut_out_ink(np.asarray(image), height, width)
        notes += ink_notes
        if drawing is not None:
            return PreparedPicture(np.repeat(drawing[..., None], channels, 2), tuple(notes), decode_ms)
    if image.mode != mode:
        image = _convert(image, mode, notes)
    if image.size != (width, height):
        notes.append(f"resized to {width} x {height}")
        image = image.resize((width, height), Image.Resampling.LANCZOS, reducing_gap=3.0)
    return PreparedPicture(np.asarray(image, np.uint8).reshape(height, width, channels), tuple(notes), decode_ms)


def _decode(opened: OpenedPicture) -> Image.Image:
    """Decode a picture. One of more than `LARGE_PICTURE_PIXELS` is reduced by a whole factor."""
    image = opened.image
    with _naming_errors(opened.name, POSTED_FORMATS):
        with _large_picture_lock if opened.is_large else nullcontext():
            image.load()  # Image.verify() accepts a truncated JPEG.
            factor = isqrt(image.width * image.height // LARGE_PICTURE_PIXELS)
            if factor > 1 and image.mode in ("L", "LA", "RGB", "RGBA", "CMYK"):
                image = image.reduce(factor)
        return ImageOps.exif_transpose(image)


@contextmanager
def _naming_errors(name: str, formats: tuple[str, ...]) -> Iterator[None]:
    """Turn Pillow's errors into InvalidImageErrors that name the picture."""
    try:
        yield
    except UnidentifiedImageError:
        raise InvalidImageError(f"{name}: not a {', '.join(formats[:-1])} or {formats[-1]} file") from None
    except BROKEN_PICTURE_ERRORS as error:
        raise InvalidImageError(f"{name}: the picture is broken: {error}") from None


def _is_light_on_transparent(image: Image.Image) -> bool:
    """Return whether a white background would hide the drawing: most is transparent, and the rest is light."""
    if not image.has_transparency_data:
        return False
    small = image.convert("RGBA").reduce(max(1, min(image.size) // MIN_INK_SIDE)).convert("LA")
    grey, alpha = np.moveaxis(np.asarray(small, np.float32), 2, 0)
    return bool(alpha.mean() < 128 and (grey * alpha).sum() > 128 * alpha.sum())


def _convert(image: Image.Image, mode: str, notes: list[str], background: str = "white") -> Image.Image:
    """Convert a picture to grey ("L") or colour ("RGB"). A transparent one is placed on the background.

    Args:
        notes: a warning about transparency is appended.
    """
    if image.mode.startswith("I"):  # 16 bits per pixel. Pillow's convert() would turn all values above 255 into white.
        image = Image.fromarray((np.asarray(image, np.int64) // 257).clip(0, 255).astype(np.uint8))
    if image.has_transparency_data:
        notes.append(f"transparent: placed on {background}")
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, background), image)
    if image.mode in ("CMYK", "YCCK", "LAB", "HSV"):
        image = image.convert("RGB")
    return image.convert(mode)
