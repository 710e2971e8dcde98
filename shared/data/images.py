"""Turn a posted picture file into the dataset's pixels, once, before any framework sees it.

Frameworks decode and resize differently. So Pillow does both here, and every backend gets the same bytes. A picture
that already has the dataset's size and mode is passed on unchanged. Others are scaled (`resize`), or the drawing in
them is cut out (`ink`, see `ink.py`).

A file of a few kB can hold millions of pixels. So `picture_files.py` reads the size first, and pictures that would take
too much memory or time are refused before they are decoded.
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
from PIL import Image, ImageFile, UnidentifiedImageError

from shared.data.conversion import convert_picture, convert_to_eight_bits, reduce_picture
from shared.data.own_kind import is_own_kind
from shared.data.picture_files import name_unsupported_format, read_structure
from shared.data.picture_structure import PictureStructure
from shared.data.plain_png import decode_plain_png
from shared.errors import InvalidImageError
from shared.network.layers import Shape

# How a picture of another size or mode is brought to the dataset's shape: `ink` cuts out and centres what is drawn,
# `resize` only scales.
Preparation = Literal["ink", "resize"]

MAX_PIXELS = 50_000_000  # A picture with more pixels is refused.
MAX_SIDE = 65_535  # Pixels: a picture with a longer side is refused.
MAX_DECODE_BYTES = 256 * 10**6  # A picture that takes more memory to decode is refused.
# A WebP picture with more pixels is refused: Pillow copies such pictures several times, and no other thread of Python
# runs meanwhile.
MAX_WEBP_PIXELS = 8_000_000
# Pillow's names of the accepted formats, for predictions and for datasets.
PICTURE_FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")
# A picture that takes more memory than this is decoded while no other one is. This bounds the memory that several large
# pictures take at the same time.
LARGE_DECODE_BYTES = 8 * 10**6
# A picture with more pixels than this is reduced by a whole factor before it is converted.
REDUCED_PIXELS = 4_000_000
# For `ink`, a JPEG is decoded at a reduced size whose shorter side has at least this many pixels.
MIN_INK_SIDE = 400
# How many times faster than at its full size a JPEG is decoded at a reduced size.
REDUCED_JPEG_SPEED = 4
NO_INK = "no ink found"  # The warning for a blank picture.
# Grey levels: a grey picture that is only scaled is blank if its pixels differ by at most so much.
MAX_BLANK_RANGE = 16
USUAL_PASSES = 10  # of a progressive JPEG; more passes take accordingly longer

# What Pillow raises for broken pictures.
BROKEN_PICTURE_ERRORS = (OSError, SyntaxError, ValueError, EOFError, MemoryError, struct.error, LookupError, TypeError)
# Pillow's own limit is replaced by MAX_PIXELS, which `open_picture` checks before anything is decoded.
Image.MAX_IMAGE_PIXELS = None
# How to turn a picture for each value of EXIF's orientation tag.
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

_large_picture_lock = threading.Lock()


@dataclass(slots=True)
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


@dataclass(slots=True)
class OpenedPicture:
    """A picture whose header was read. Its pixels are not decoded yet, unless it is small.

    Attributes:
        name: what errors call the picture.
        image: Pillow's image. The pixels of an `ImageFile` are freed once the picture is prepared.
        open_ms: how long reading the header took, and decoding if the picture is small, in milliseconds.
        orientation: how the picture is to be turned, as EXIF's tag says, from 1 (not at all) to 8.
        work: how long decoding takes, as the number of pixels of a PNG that takes as long.
        decode_bytes: how much memory decoding takes.
    """

    name: str
    image: Image.Image
    open_ms: float
    orientation: int
    work: int
    decode_bytes: int

    @property
    def is_large(self) -> bool:
        """Return whether the picture is decoded while no other large one is."""
        return self.decode_bytes > LARGE_DECODE_BYTES


def prepare_picture(
    data: bytes,
    shape: Shape,
    name: str,
    preparation: Preparation = "resize",
) -> PreparedPicture:
    """Open a picture file and prepare it: see `open_picture` and `prepare_opened` for arguments and errors."""
    return prepare_opened(open_picture(data, name, preparation), shape, preparation)


def open_picture(data: bytes, name: str, preparation: Preparation = "resize") -> OpenedPicture:
    """Read the header of a picture file, and check what can be checked before decoding.

    A small PNG without any fault is decoded at once: see `plain_png.py`.

    Args:
        data: the file's bytes.
        name: what errors call the picture.
        preparation: for `ink`, a JPEG will be decoded at a half, a quarter or an eighth of its size, as long as its
            shorter side keeps MIN_INK_SIDE pixels.

    Raises:
        InvalidImageError: the file is empty, no picture of `PICTURE_FORMATS`, animated, or takes too long or too much
            memory to decode. The message says what to change.
    """
    if not data:
        raise InvalidImageError(f"{name}: the file is empty")
    started = perf_counter()
    with _naming_errors(name):
        file = read_structure(data)
        if file is None:
            raise InvalidImageError(f"{name}: {_describe_unsupported(data)}")
        _check_size(name, file.width, file.height)
        if file.is_animated:
            raise InvalidImageError(f"{name}: the picture is animated or has several pages: send a single one")
        image = decode_plain_png(file) or Image.open(io.BytesIO(file.data), formats=(file.format,))
        if image.size != (file.width, file.height):
            raise ValueError("it states several sizes")
        if preparation == "ink":
            image.draft(None, (MIN_INK_SIDE, MIN_INK_SIDE))
        decode_bytes = image.width * image.height * file.bytes_per_pixel + file.extra_bytes
        if decode_bytes > MAX_DECODE_BYTES or (file.format == "WEBP" and file.width * file.height > MAX_WEBP_PIXELS):
            raise InvalidImageError(
                f"{name}: a {file.format} file of {file.width} x {file.height} pixels takes too much memory to decode: "
                "send a smaller picture, or save it as a JPEG that is not progressive"
            )
        work = _work_of(file, is_reduced=image.size != (file.width, file.height))
        orientation = file.orientation
    return OpenedPicture(name, image, (perf_counter() - started) * 1000, orientation, work, decode_bytes)


def _check_size(name: str, width: int, height: int) -> None:
    """Raise InvalidImageError if a picture is too large."""
    if width * height > MAX_PIXELS or max(width, height) > MAX_SIDE:
        raise InvalidImageError(
            f"{name}: {width} x {height} pixels are more than {MAX_PIXELS:,}, or a side has more than {MAX_SIDE:,}: "
            "send a smaller picture"
        )


def _work_of(file: PictureStructure, *, is_reduced: bool) -> int:
    """Return how long decoding takes, in pixels.

    Args:
        file: the structure of the file.
        is_reduced: whether a JPEG is decoded at a reduced size.
    """
    pixels = file.width * file.height // (REDUCED_JPEG_SPEED if is_reduced else 1)
    return pixels * max(file.passes, USUAL_PASSES) // USUAL_PASSES


def _describe_unsupported(data: bytes) -> str:
    """Return what is wrong with a file of no accepted format, and what to do."""
    accepted = f"{', '.join(PICTURE_FORMATS[:-1])} or {PICTURE_FORMATS[-1]}"
    kind = name_unsupported_format(data)
    return f"{kind}, which is not supported: export it as JPEG or PNG" if kind else f"not a {accepted} file"


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
    is_own = (image.mode, image.size) == (mode, (width, height))
    if preparation == "ink" and is_own:
        pixels = _pixels_of(image)
        if is_own_kind(pixels[..., 0] if channels == 1 else np.asarray(image.convert("L"))):
            return PreparedPicture(pixels, (), decode_ms)
    if preparation == "ink":
        from shared.data import ink  # OpenCV is loaded only where ink is prepared.

        background = "black" if _is_light_on_transparent(image) else "white"
        image = convert_picture(image, "L", notes, background)
        drawing, ink_notes = ink.cut_out_ink(np.asarray(image), height, width)
        notes += ink_notes
        if drawing is not None:
            return PreparedPicture(np.repeat(drawing[..., None], channels, 2), tuple(notes), decode_ms)
        notes.insert(0, NO_INK)
    if image.mode != mode:
        image = convert_picture(image, mode, notes)
    if image.size != (width, height):
        notes.append(f"resized to {width} x {height}")
        image = image.resize((width, height), Image.Resampling.LANCZOS, reducing_gap=3.0)
    pixels = _pixels_of(image)
    if preparation == "resize" and channels == 1 and int(pixels.max()) - int(pixels.min()) <= MAX_BLANK_RANGE:
        notes.insert(0, NO_INK)
    return PreparedPicture(pixels, tuple(notes), decode_ms)


def _pixels_of(image: Image.Image) -> NDArray[np.uint8]:
    """Return the pixels of a picture in grey or RGB, uint8 [H, W, 1 or 3], read-only."""
    pixels = np.frombuffer(image.tobytes(), np.uint8)
    return pixels.reshape(image.height, image.width, len(image.getbands()))


def _decode(opened: OpenedPicture) -> Image.Image:
    """Decode a picture, reduce it by a whole factor if it is large, and turn it as its EXIF data say."""
    image = opened.image
    if not isinstance(image, ImageFile.ImageFile):  # It is decoded already, and has 8 bits per channel.
        turn = TURNS.get(opened.orientation)
        return image if turn is None else image.transpose(turn)
    with _naming_errors(opened.name):
        with _large_picture_lock if opened.is_large else nullcontext():
            image.load()  # Image.verify() accepts a truncated JPEG.
            factor = isqrt(image.width * image.height // REDUCED_PIXELS)
            reduced = reduce_picture(image, factor) if factor > 1 else image.copy()
            image.close()  # The list of a request's pictures would keep all their pixels.
        reduced = convert_to_eight_bits(reduced)
        turn = TURNS.get(opened.orientation)
        return reduced if turn is None else reduced.transpose(turn)


@contextmanager
def _naming_errors(name: str) -> Iterator[None]:
    """Turn Pillow's errors into InvalidImageErrors that name the picture."""
    try:
        yield
    except UnidentifiedImageError:
        raise InvalidImageError(f"{name}: the picture is broken: its header cannot be read") from None
    except BROKEN_PICTURE_ERRORS as error:
        raise InvalidImageError(f"{name}: the picture is broken: {error}") from None


def _is_light_on_transparent(image: Image.Image) -> bool:
    """Return whether a white background would hide the drawing: most is transparent, and the rest is light."""
    if not image.has_transparency_data:
        return False
    small = image.convert("RGBA").reduce(max(1, min(image.size) // MIN_INK_SIDE)).convert("LA")
    grey, alpha = np.moveaxis(np.asarray(small, np.float32), 2, 0)
    return bool(alpha.mean() < 128 and (grey * alpha).sum() > 128 * alpha.sum())
