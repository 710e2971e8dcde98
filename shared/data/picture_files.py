"""Reads the structure of a picture file before Pillow sees the file, in time that the file's size bounds.

Pillow reads everything that a file holds besides its pixels: colour profiles, texts, thumbnails, EXIF data. In a file
that was made for it, that takes seconds and gigabytes. `read_structure` finds the size and the orientation by itself,
and returns the file without such data. Nothing that decides a pixel's value is left out: Tandem applies no profile.

Sources: W3C PNG (third edition), ITU-T T.81 (JPEG), RFC 9649 (WebP), Microsoft's BITMAPINFOHEADER. TIFF and GIF are in
`tiff_and_gif.py`.
"""

import re
import struct
from collections.abc import Callable, Iterator

from shared.data.picture_structure import PictureStructure
from shared.data.tiff_and_gif import GIF_SIGNATURES, TIFF_SIGNATURES, read_gif, read_tiff

MAX_PNG_CHUNKS = 16_384  # A file of 64 MB in the usual chunks of 8 kB has half as many.
MAX_PALETTE_BYTES = 1024  # Of a PNG's palette, and of its transparency.
MAX_JPEG_SEGMENTS = 2000  # Before the end of the picture; bytes that only fill up count as segments.
MAX_JPEG_TABLE_BYTES = 64 * 2**10  # Of all segments before the first scan, without those of applications.
# A JPEG with more scans is refused: a scan may have few bytes, but decoding it passes over the whole picture. A usual
# progressive JPEG has ten.
MAX_JPEG_SCANS = 40
MAX_WEBP_CHUNKS = 100

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
PNG_FIRST_CHUNK = b"\0\0\0\x0dIHDR"  # Its length is fixed. Pillow would take what follows from any other length.
PNG_KEPT_CHUNKS = (b"PLTE", b"tRNS", b"IDAT", b"IEND")
PNG_TRUECOLOUR = 2  # the colour type; it has no alpha, and Pillow keeps it in four bytes

JPEG_START = b"\xff\xd8"
JPEG_END, JPEG_SCAN, JPEG_EXIF, JPEG_COMMENT, JPEG_FILL = 0xD9, 0xDA, 0xE1, 0xFE, 0xFF
# Of the segments of applications, JFIF (E0) and Adobe (EE) are kept: they say how colours are encoded.
JPEG_LEFT_OUT = (*range(0xE1, 0xEE), 0xEF, JPEG_COMMENT)
JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
JPEG_PROGRESSIVE = (0xC2, 0xC6, 0xCA, 0xCE)
JPEG_RESERVED = range(0x02, 0xC0)
JPEG_WITHOUT_LENGTH = frozenset((0x00, 0x01, *range(0xD0, 0xDA)))
JPEG_MARKER_IN_SCAN = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
SEARCH_BYTES = 2**20  # A search in more bytes at once would keep other threads waiting for milliseconds.
EXIF_PREFIX = b"Exif\0\0"

WEBP_BYTES_PER_PIXEL = 16  # Measured with Pillow 13: libwebp's two canvases, the frame and Pillow's copy.
WEBP_ANIMATED, WEBP_ALPHA = 0x02, 0x10
ISO_MEDIA_FORMATS = {
    "an AVIF file": {b"avif", b"avis"},
    "a HEIC file": {b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1"},
}
OTHER_FORMATS = {
    b"%PDF": "a PDF file",
    b"<svg": "an SVG file",
    b"<?xml": "an XML or SVG file",
    b"8BPS": "a Photoshop file",
    b"\0\0\1\0": "an icon file",
    b"\0\0\0\x0cjP": "a JPEG 2000 file",
    b"\xff\x0a": "a JPEG XL file",
    b"\0\0\0\x0cJXL": "a JPEG XL file",
    b"II+\0": "a BigTIFF file",
    b"MM\0+": "a BigTIFF file",
}
BMP_UNCOMPRESSED = (0, 3, 6)  # BI_RGB, BI_BITFIELDS, BI_ALPHABITFIELDS


def read_structure(data: bytes) -> PictureStructure | None:
    """Return the structure of a file, or None if it is neither PNG, JPEG, WebP, BMP, GIF nor TIFF.

    Raises:
        ValueError, LookupError, struct.error: the file is broken, or is built to take long.
    """
    read = next((read for signature, read in _readers() if data.startswith(signature)), None)
    if read is None and data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        read = _read_webp
    return read(data) if read else None


def _readers() -> Iterator[tuple[bytes, Callable[[bytes], PictureStructure]]]:
    """Yield the first bytes of a format's files and the function that reads them."""
    yield PNG_SIGNATURE, _read_png
    yield JPEG_START, _read_jpeg
    yield b"BM", _read_bmp
    yield from ((signature, read_gif) for signature in GIF_SIGNATURES)
    yield from ((signature, read_tiff) for signature in TIFF_SIGNATURES)


def name_unsupported_format(data: bytes) -> str:
    """Return what a file is that Tandem does not read, such as "a HEIC file", or "" if it is not recognised."""
    if data[4:8] == b"ftyp":  # ISO/IEC 14496-12: the major brand, a version, and the compatible brands
        (length,) = struct.unpack_from(">I", data)
        brands = {data[8:12], *(data[at : at + 4] for at in range(16, min(length, 128), 4))}
        return next((kind for kind, known in ISO_MEDIA_FORMATS.items() if brands & known), "a video or an audio file")
    return next((kind for start, kind in OTHER_FORMATS.items() if data.lstrip()[:64].startswith(start)), "")


def _read_png(data: bytes) -> PictureStructure:
    if data[8:16] != PNG_FIRST_CHUNK:
        raise ValueError("it does not begin with a header")
    width, height, depth, colour = struct.unpack_from(">IIBB", data, 16)
    position, kept, exif, is_animated, has_pixels = 33, [data[:33]], b"", False, False
    for _ in range(MAX_PNG_CHUNKS):
        if position + 8 > len(data):
            break  # Pillow decides whether enough pixels have come
        length, kind = struct.unpack_from(">I4s", data, position)
        end = position + 12 + length
        if kind in PNG_KEPT_CHUNKS:
            if kind in (b"PLTE", b"tRNS") and length > MAX_PALETTE_BYTES:
                raise ValueError(f"its {kind.decode()} has more than {MAX_PALETTE_BYTES} bytes")
            kept.append(data[position:end])
            has_pixels = has_pixels or kind == b"IDAT"
        elif kind == b"eXIf":
            exif = data[position + 8 : end - 4]
        elif kind == b"acTL" and not has_pixels:
            is_animated = struct.unpack_from(">I", data, position + 8)[0] > 1
        position = end
        if kind == b"IEND":
            break
    else:
        raise ValueError(f"it has more than {MAX_PNG_CHUNKS:,} chunks: save it again")
    bytes_per_pixel = 4 if colour == PNG_TRUECOLOUR or colour > 3 else 2 if depth == 16 else 1
    exif = exif.removeprefix(EXIF_PREFIX)
    return PictureStructure("PNG", width, height, b"".join(kept), bytes_per_pixel, exif=exif, is_animated=is_animated)


def _read_jpeg(data: bytes) -> PictureStructure:
    kept: list[bytes] = []
    exif, table_bytes = b"", 0
    frame: tuple[int, bytes] | None = None
    position = 2
    for marker, segment, position in _segments_before_scan(data):  # noqa: B007 - the scan begins at the last position
        if marker == JPEG_EXIF and not exif and segment[4:10] == EXIF_PREFIX:
            exif = segment[10:]
        elif marker in JPEG_FRAMES:
            if frame:
                raise ValueError("it has two frames")
            frame = marker, segment[4:]
        if marker not in JPEG_LEFT_OUT:
            kept.append(segment)
            table_bytes += len(segment)
            if table_bytes > MAX_JPEG_TABLE_BYTES:
                raise ValueError(f"its tables have more than {MAX_JPEG_TABLE_BYTES:,} bytes: save it again")
    if frame is None:
        raise ValueError("it has no frame")
    marker, content = frame
    height, width, components = struct.unpack_from(">xHHB", content)
    has_several_scans = marker in JPEG_PROGRESSIVE or data[position + 4] < components
    return PictureStructure(
        "JPEG",
        width,
        height,
        b"".join((JPEG_START, *kept, memoryview(data)[position:])),
        1 if components == 1 else 4,
        extra_bytes=_coefficient_bytes(width, height, content[6:]) if has_several_scans else 0,
        passes=_count_scans(data, position) if has_several_scans else 1,
        exif=exif,
    )


def _segments_before_scan(data: bytes) -> Iterator[tuple[int, bytes, int]]:
    """Yield the marker of each segment before the first scan, the segment with its marker, and where it ends."""
    position = 2
    for _ in range(MAX_JPEG_SEGMENTS):
        if data[position] != JPEG_FILL:
            raise ValueError("a segment does not begin with a marker")
        marker = data[position + 1]
        if marker == JPEG_SCAN:
            return
        if marker == JPEG_FILL:
            position += 1
            yield marker, b"", position
            continue
        if marker in JPEG_WITHOUT_LENGTH:
            raise ValueError(f"the marker {marker:02x} is out of place")
        segment, position = _segment_at(data, position)
        yield marker, segment, position
    raise ValueError(f"it has more than {MAX_JPEG_SEGMENTS:,} segments before its pixels: save it again")


def _segment_at(data: bytes, position: int) -> tuple[bytes, int]:
    """Return a segment of a JPEG with its marker, and where it ends."""
    (length,) = struct.unpack_from(">H", data, position + 2)
    end = position + 2 + length
    if length < 2 or end > len(data):
        raise ValueError("a segment is cut off")
    return data[position:end], end


def _coefficient_bytes(width: int, height: int, components: bytes) -> int:
    """Return how much memory libjpeg takes for the coefficients of a picture with several scans.

    Args:
        width: of the picture.
        height: of the picture.
        components: three bytes each: id, sampling factors (4 bits each), quantization table.
    """
    samplings = [(byte >> 4 or 1) * (byte & 15 or 1) for byte in components[1::3]]
    return 2 * width * height * sum(samplings) // max(samplings)


def _count_scans(data: bytes, position: int) -> int:
    """Return how many scans a JPEG has, whose first one begins at a position.

    Raises:
        ValueError: there are more than MAX_JPEG_SCANS, too many segments between them, or a reserved marker. libjpeg
            may pass over such a marker alone, and decode what seems to be its segment.
    """
    scans = 0
    for _ in range(MAX_JPEG_SEGMENTS):
        marker = data[position + 1]
        if marker == JPEG_END:
            return scans
        if marker in JPEG_RESERVED:
            raise ValueError("it has a reserved marker between its scans")
        if marker == JPEG_SCAN:
            scans += 1
            if scans > MAX_JPEG_SCANS:
                raise ValueError(f"it has more than {MAX_JPEG_SCANS} scans: save it again")
        end = position + 2
        if marker not in JPEG_WITHOUT_LENGTH:
            _, end = _segment_at(data, position)
        for start in range(end, len(data), SEARCH_BYTES):
            # One byte more, because a marker has two.
            if found := JPEG_MARKER_IN_SCAN.search(data, start, start + SEARCH_BYTES + 1):
                position = found.start()
                break
        else:
            return scans  # Pillow decides whether enough pixels have come
    raise ValueError(f"it has more than {MAX_JPEG_SEGMENTS:,} segments: save it again")


def _read_webp(data: bytes) -> PictureStructure:
    position, kept, exif, is_animated = 12, b"", b"", False
    sizes = set()
    for _ in range(MAX_WEBP_CHUNKS):
        if position + 8 > len(data):
            break
        kind, length = struct.unpack_from("<4sI", data, position)
        content = data[position + 8 : position + 8 + length]
        if kind == b"VP8X":
            is_animated = bool(content[0] & WEBP_ANIMATED)
            sizes.add(tuple(1 + int.from_bytes(content[at : at + 3], "little") for at in (4, 7)))
            content = bytes((content[0] & WEBP_ALPHA,)) + content[1:]
        elif kind == b"VP8 ":
            sizes.add(tuple(side & 0x3FFF for side in struct.unpack_from("<HH", content, 6)))
        elif kind == b"VP8L":
            (bits,) = struct.unpack_from("<I", content, 1)
            sizes.add((1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)))
        elif kind == b"EXIF":
            exif = content.removeprefix(EXIF_PREFIX)
        if kind in (b"VP8X", b"VP8 ", b"VP8L", b"ALPH"):
            kept += struct.pack("<4sI", kind, length) + content + b"\0" * (length & 1)
        position += 8 + length + (length & 1)
    else:
        raise ValueError(f"it has more than {MAX_WEBP_CHUNKS} chunks: save it again")
    if is_animated:
        sizes = {max(sizes)}
    if len(sizes) != 1:
        raise ValueError("it states no size, or several")
    ((width, height),) = sizes
    rebuilt = struct.pack("<4sI4s", b"RIFF", 4 + len(kept), b"WEBP") + kept
    return PictureStructure("WEBP", width, height, rebuilt, WEBP_BYTES_PER_PIXEL, exif=exif, is_animated=is_animated)


def _read_bmp(data: bytes) -> PictureStructure:
    (header_bytes,) = struct.unpack_from("<I", data, 14)
    if header_bytes == 12:  # OS/2 1.x
        width, height, _, bits = struct.unpack_from("<HHHH", data, 18)
        compression = 0
    else:
        width, height, _, bits, compression = struct.unpack_from("<iiHHI", data, 18)
    if compression not in BMP_UNCOMPRESSED:  # Pillow unpacks these in Python
        raise ValueError("a compressed BMP is not supported: save it as PNG")
    return PictureStructure("BMP", abs(width), abs(height), data, 1 if bits <= 8 else 4)
