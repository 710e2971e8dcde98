"""A posted picture becomes the dataset's pixel grid, once, before any framework.

Frameworks decode and resize differently, so neither is asked to: Pillow does
both here, and every backend sees the same bytes. A picture that already has
the dataset's size and mode passes untouched.
"""

import io
import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from shared.errors import InvalidImageError
from shared.layers import Shape

FORMATS = ("PNG", "JPEG", "WEBP", "BMP")
MAX_PIXELS = 50_000_000
SCAN, MAX_SCANS = b"\xff\xda", 40  # JPEG's marker; a progressive picture has ten


@dataclass(frozen=True)
class Picture:
    """pixels uint8 [H, W, C], and what a person should know of how they came about."""

    pixels: NDArray[np.uint8]
    warnings: tuple[str, ...] = ()


def prepare(data: bytes, shape: Shape, name: str, formats: tuple[str, ...] = FORMATS) -> Picture:
    """Decode a picture file and bring it to `shape` [H, W, C].

    Args:
        data: the file's bytes.
        shape: the dataset's; C is 1 (grey) or 3 (RGB).
        name: what to call the picture in an error.
        formats: Pillow's names of those that are read.

    Raises:
        InvalidImageError: empty, not a picture, broken, animated or too large.
    """
    height, width, channels = shape
    notes: list[str] = []
    image = ImageOps.exif_transpose(_decode(data, name, formats))
    mode = "L" if channels == 1 else "RGB"
    if image.mode != mode:
        image = _to_mode(image, mode, notes)
    if image.size != (width, height):
        notes.append(f"resized from {image.width} x {image.height} to {width} x {height}")
        image = image.resize((width, height), Image.Resampling.LANCZOS, reducing_gap=3.0)
    return Picture(np.asarray(image, np.uint8).reshape(height, width, channels), tuple(notes))


def _decode(data: bytes, name: str, formats: tuple[str, ...]) -> Image.Image:
    if not data:
        raise InvalidImageError(f"{name}: the file is empty")
    try:
        with warnings.catch_warnings():
            # Pillow only warns up to twice its limit; our own check below is exact.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(data), formats=formats)
        if image.width * image.height > MAX_PIXELS:
            raise InvalidImageError(
                f"{name}: {image.width} x {image.height} pixels are more than {MAX_PIXELS:,}: send a smaller picture"
            )
        # A phone's JPEG may carry a second, smaller picture: the first is meant.
        if image.format != "MPO" and getattr(image, "is_animated", False):
            raise InvalidImageError(f"{name}: the picture is animated: send a single frame")
        if (
            image.format in ("JPEG", "MPO") and data.count(SCAN) > MAX_SCANS
        ):  # a few bytes each, and every one goes over the whole picture
            raise InvalidImageError(f"{name}: a JPEG of more than {MAX_SCANS} scans: save it anew")
        image.load()  # verify() would let a truncated JPEG pass
    except UnidentifiedImageError:
        raise InvalidImageError(f"{name}: not a {', '.join(formats[:-1])} or {formats[-1]} file") from None
    except Image.DecompressionBombError:
        raise InvalidImageError(f"{name}: more than {MAX_PIXELS:,} pixels: send a smaller picture") from None
    except (OSError, SyntaxError, ValueError, EOFError, MemoryError) as error:
        raise InvalidImageError(f"{name}: the picture is broken: {error}") from None
    return image


def _to_mode(image: Image.Image, mode: str, notes: list[str]) -> Image.Image:
    if image.mode.startswith("I"):  # 16 bits a pixel: convert() would clip all but the darkest to white
        image = Image.fromarray((np.asarray(image, np.int64) // 257).clip(0, 255).astype(np.uint8))
    if image.has_transparency_data:
        notes.append("transparent: placed on white")
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    if image.mode in ("CMYK", "YCCK", "LAB", "HSV"):
        image = image.convert("RGB")
    return image.convert(mode)
