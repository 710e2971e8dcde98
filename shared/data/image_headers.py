"""Read a picture's size from the header of its file, without decoding it."""

import struct

MAX_PIXELS = 50_000_000  # A picture with more pixels is refused.
MAX_HEADER_STEPS = 200  # How many parts of a header are read. A phone's photograph has up to about fifty.


def pixel_count(data: bytes) -> int:
    """Return width x height as stated in the header of a PNG, JPEG, WebP or BMP file.

    The gateway uses it to choose whether a picture is decoded in a thread. The function decodes nothing, never raises,
    and takes microseconds: it reads at most `MAX_HEADER_STEPS` parts of a header.

    Args:
        data: the file's bytes; any bytes are allowed.

    Returns:
        The number of pixels. 0 if the bytes are no readable picture; decoding them says what is wrong. `MAX_PIXELS` if
        the header has more parts than are read here, because such a file is slow to open, too.
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
    except (struct.error, IndexError):  # The file ends within its header.
        pass
    return 0


def _png_pixel_count(data: bytes) -> int:
    """Follow the chunks up to IDAT, which holds the pixels. The size is in IHDR (W3C PNG, sections 5.3 and 11.2.1).

    A chunk is 4 bytes of length, 4 bytes of type, the content, and 4 bytes of checksum. IHDR must be the first chunk,
    but Pillow accepts it later, too, and uses the last one. This function does the same.
    """
    offset, pixels = 8, 0
    for _ in range(MAX_HEADER_STEPS):
        length, kind = struct.unpack_from(">I4s", data, offset)
        if kind == b"IHDR":
            width, height = struct.unpack_from(">II", data, offset + 8)
            pixels = width * height
        elif kind in (b"IDAT", b"fdAT"):  # fdAT holds the pixels of an animation.
            return pixels
        offset += 12 + length
    return MAX_PIXELS


def _jpeg_pixel_count(data: bytes) -> int:
    """Follow the segments up to SOF, the frame header, which states the size (ITU-T T.81, B.1.1 and B.2.2).

    A segment is 0xFF, a marker, and 2 bytes of length that include themselves, then the content. The content of SOF
    begins with 1 byte of precision, 2 of height and 2 of width. Its markers are 0xC0 to 0xCF without DHT (0xC4),
    JPG (0xC8) and DAC (0xCC). Pillow skips other bytes between segments, and so does this function.
    """
    offset = 2
    for _ in range(MAX_HEADER_STEPS):
        marker = data[offset + 1]
        if data[offset] != 0xFF or marker == 0xFF:  # The byte is junk or padding.
            offset += 1
        elif marker in (0x00, 0xC8) or 0xD0 <= marker <= 0xD9 or 0xF0 <= marker <= 0xFD:
            offset += 2  # Pillow reads no content after these markers.
        elif 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xCC):
            height, width = struct.unpack_from(">HH", data, offset + 5)
            return int(width * height)
        elif marker < 0xC0 or marker == 0xDA:  # This is no JPEG marker, or SOS before SOF.
            return 0
        else:
            (length,) = struct.unpack_from(">H", data, offset + 2)
            offset += 2 + max(2, length)
    return MAX_PIXELS


def _webp_pixel_count(data: bytes) -> int:
    """Read the size from the first chunk: VP8X (extended), VP8L (lossless) or VP8 (lossy). Source: RFC 9649."""
    kind = data[12:16]
    if kind == b"VP8X":  # Bytes 24 to 29: width - 1 and height - 1, 3 bytes each.
        if len(data) < 30:
            return 0
        width, height = (int.from_bytes(data[start : start + 3], "little") + 1 for start in (24, 27))
    elif kind == b"VP8L":  # Byte 20 is a signature; then width - 1 and height - 1 follow, 14 bits each.
        (sizes,) = struct.unpack_from("<I", data, 21)
        width, height = (sizes & 0x3FFF) + 1, (sizes >> 14 & 0x3FFF) + 1
    elif kind == b"VP8 ":  # From byte 26: width and height, each in the lower 14 of 16 bits.
        width, height = (size & 0x3FFF for size in struct.unpack_from("<HH", data, 26))
    else:
        return 0
    return width * height


def _bmp_pixel_count(data: bytes) -> int:
    """Read the size from the second header. If that is 12 bytes long, sizes have 16 bits, else 32.

    A negative height means that the rows are stored from top to bottom.
    """
    (header_size,) = struct.unpack_from("<I", data, 14)
    width, height = struct.unpack_from("<HH" if header_size == 12 else "<Ii", data, 18)
    return int(width * abs(height))
