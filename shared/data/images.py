"""A posted picture becomes the dataset's pixel grid, once, before any framework.

Frameworks decode and resize differently, so neither is asked to: Pillow does
both here, and every backend sees the same bytes. A picture that already has
the dataset's size and mode passes untouched. Others are only scaled
(`resize`), or what is drawn in them is cut out (`ink`: `shared/ink.py`).
"""

import io
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


def prepare(
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
        drawing, found = ink.find(np.asarray(image), height, width)
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
