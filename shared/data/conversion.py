"""Reduces and converts decoded pictures in bands of rows, so that no second copy of a large picture is made."""

import numpy as np
from PIL import Image

BAND_PIXELS = 2**20  # How many pixels of a picture are converted at once.


def reduce_picture(image: Image.Image, factor: int) -> Image.Image:
    """Return a picture reduced by a whole factor.

    Pillow reduces only modes with whole channels. Other modes are converted first, in bands of rows.
    """
    has_key = "transparency" in image.info  # a colour that is transparent; averages would not have it
    if image.mode in ("L", "LA", "RGB", "RGBA", "CMYK") and not has_key:
        return image.reduce(factor)
    if image.mode == "F" or image.mode.startswith("I"):
        mode = "L"
    elif image.has_transparency_data:
        mode = "RGBA"
    else:
        mode = "L" if image.mode in ("1", "L") else "RGB"
    reduced = Image.new(mode, (-(-image.width // factor), -(-image.height // factor)))
    rows = max(1, BAND_PIXELS // image.width // factor) * factor
    for top in range(0, image.height, rows):
        band = image.crop((0, top, image.width, min(top + rows, image.height)))
        reduced.paste(_to_eight_bits(band).convert(mode).reduce(factor), (0, top // factor))
    return reduced


def convert_picture(image: Image.Image, mode: str, notes: list[str], background: str = "white") -> Image.Image:
    """Convert a picture to grey ("L") or colour ("RGB"). A transparent one is placed on the background.

    It is converted in bands of rows, so that only the result is a further copy.

    Args:
        notes: a warning about transparency is appended.
    """
    if image.has_transparency_data and not image.mode.startswith("I"):
        notes.append(f"transparent: placed on {background}")
    if image.width * image.height <= BAND_PIXELS:
        return _convert_band(image, mode, background)
    converted = Image.new(mode, image.size)
    rows = max(1, BAND_PIXELS // image.width)
    for top in range(0, image.height, rows):
        band = image.crop((0, top, image.width, min(top + rows, image.height)))
        converted.paste(_convert_band(band, mode, background), (0, top))
    return converted


def _convert_band(image: Image.Image, mode: str, background: str) -> Image.Image:
    image = _to_eight_bits(image)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, background), image)
    if image.mode in ("CMYK", "YCCK", "LAB", "HSV"):
        image = image.convert("RGB")
    return image.convert(mode)


def _to_eight_bits(image: Image.Image) -> Image.Image:
    """Return a picture of 16 bits per pixel with 8. Pillow's `convert` would turn all values above 255 into white."""
    if not image.mode.startswith("I"):
        return image
    return Image.fromarray((np.asarray(image) // 257).clip(0, 255).astype(np.uint8))
