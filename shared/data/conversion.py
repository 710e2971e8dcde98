"""Reduces and converts decoded pictures in bands of rows, so that no second copy of a large picture is made."""

from collections.abc import Callable

import numpy as np
from PIL import Image

from shared.data.value_range import BAND_PIXELS, find_range, is_deep, scale_to_eight_bits


def reduce_picture(image: Image.Image, factor: int) -> Image.Image:
    """Return a picture reduced by a whole factor, with 8 bits per value.

    Pillow reduces only modes with whole channels. Other modes are converted first, in bands of rows.

    Raises:
        ValueError: the picture has values that cannot be scaled to 8 bits.
    """
    has_key = "transparency" in image.info  # a colour that is transparent; averages would not have it
    if image.mode in ("L", "LA", "RGB", "RGBA", "CMYK") and not has_key:
        return image.reduce(factor)
    convert: Callable[[Image.Image], Image.Image]
    if is_deep(image):
        mode, values = "L", find_range(image)
        convert = lambda band: scale_to_eight_bits(band, values)  # noqa: E731
    else:
        mode = "RGBA" if image.has_transparency_data else "L" if image.mode in ("1", "L") else "RGB"
        convert = lambda band: band.convert(mode)  # noqa: E731
    reduced = Image.new(mode, (-(-image.width // factor), -(-image.height // factor)))
    rows = max(1, BAND_PIXELS // image.width // factor) * factor
    for top in range(0, image.height, rows):
        band = image.crop((0, top, image.width, min(top + rows, image.height)))
        reduced.paste(convert(band).reduce(factor), (0, top // factor))
    return reduced


def convert_to_eight_bits(image: Image.Image) -> Image.Image:
    """Return a picture of 1 bit, or of more than 8, in grey with 8 bits. Other pictures are returned as they are.

    Raises:
        ValueError: the picture has values that cannot be scaled to 8 bits.
    """
    if image.mode == "1" and not image.has_transparency_data:
        return image.convert("L")
    return reduce_picture(image, 1) if is_deep(image) else image


def convert_picture(image: Image.Image, mode: str, notes: list[str], background: str = "white") -> Image.Image:
    """Convert a picture to grey ("L") or colour ("RGB"). Where it is transparent, the background is seen.

    It is converted in bands of rows, so that only the result is a further copy.

    Args:
        image: a picture with 8 bits per value.
        mode: of the result.
        notes: a warning is appended if a pixel is transparent.
        background: the colour.
    """
    converted = Image.new(mode, image.size)
    rows = max(1, BAND_PIXELS // image.width)
    is_transparent = False
    for top in range(0, image.height, rows):
        band = image.crop((0, top, image.width, min(top + rows, image.height)))
        if band.has_transparency_data:
            band = band.convert("RGBA")
            if np.asarray(band.getchannel("A")).min() < 255:
                is_transparent = True
                band = Image.alpha_composite(Image.new("RGBA", band.size, background), band)
        if band.mode in ("CMYK", "YCCK", "LAB", "HSV"):
            band = band.convert("RGB")
        converted.paste(band.convert(mode), (0, top))
    if is_transparent:
        notes.append(f"transparent: placed on {background}")
    return converted
