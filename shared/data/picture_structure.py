"""What a picture file says about its pixels, for every format."""

import struct
from dataclasses import dataclass
from typing import Literal

PictureFormat = Literal["PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF"]

MAX_EXIF_ENTRIES = 1000
ORIENTATION_TAG, SHORT = 0x0112, 3


@dataclass(slots=True)
class PictureStructure:
    """What a picture file says about its pixels.

    Attributes:
        data: the file without what Pillow need not read.
        bytes_per_pixel: how much memory decoding takes for each pixel that it produces.
        extra_bytes: how much memory decoding takes whatever size the pixels are decoded at.
        passes: how often decoding passes over the picture.
        exif: the EXIF data, which begin with a TIFF header, or nothing.
        is_animated: whether the file has several frames.
    """

    format: PictureFormat
    width: int
    height: int
    data: bytes
    bytes_per_pixel: int
    extra_bytes: int = 0
    passes: int = 1
    exif: bytes = b""
    is_animated: bool = False

    @property
    def orientation(self) -> int:
        """Return how the picture is to be turned: the value of EXIF's tag, from 1 (not at all) to 8.

        Raises:
            ValueError: the EXIF data do not begin with a TIFF header.
        """
        if not self.exif:
            return 1
        order = {b"II*\0": "<", b"MM\0*": ">"}.get(self.exif[:4])
        if order is None:
            raise ValueError("its EXIF data are not valid")
        try:
            (start,) = struct.unpack_from(f"{order}I", self.exif, 4)
            (count,) = struct.unpack_from(f"{order}H", self.exif, start)
            for index in range(min(count, MAX_EXIF_ENTRIES)):
                tag, kind, _, value = struct.unpack_from(f"{order}HHIH", self.exif, start + 2 + 12 * index)
                if tag == ORIENTATION_TAG:
                    return value if kind == SHORT and 1 <= value <= 8 else 1
        except struct.error:  # the data end early, as they do in files of some cameras
            pass
        return 1
