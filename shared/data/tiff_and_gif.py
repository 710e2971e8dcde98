"""Reads the structure of TIFF and GIF files: see `picture_files.py`.

Sources: TIFF 6.0 (Adobe 1992) with its technical note 2 and the tag SampleFormat; GIF89a (CompuServe 1990).
"""

import struct

from shared.data.picture_structure import ORIENTATION_TAG, PictureStructure

TIFF_SIGNATURES = (b"II*\0", b"MM\0*")
GIF_SIGNATURES = (b"GIF87a", b"GIF89a")

MAX_TIFF_ENTRIES = 500
MAX_TIFF_STRIPS = 65_536
MAX_TIFF_TILE_PIXELS = 2**24  # libtiff makes room for a whole tile, however small the picture is.
# Compressions whose work the number of pixels bounds: none, CCITT (three kinds), LZW, Deflate (two numbers), PackBits.
TIFF_COMPRESSIONS = (1, 2, 3, 4, 5, 8, 32946, 32773)
WIDTH, HEIGHT, BITS, COMPRESSION, SAMPLES = 256, 257, 258, 259, 277
TILE_WIDTH, TILE_HEIGHT = 322, 323
STRIP_TAGS = (273, 279, 324, 325)  # offsets and byte counts of strips and of tiles
COLOUR_MAP = 320
# The tags that decide a pixel's value. Colour profiles, texts, thumbnails and makers' notes are left out.
TIFF_KEPT_TAGS = frozenset(
    (
        *(WIDTH, HEIGHT, BITS, COMPRESSION, SAMPLES, TILE_WIDTH, TILE_HEIGHT, COLOUR_MAP, *STRIP_TAGS),
        *(262, 266, 278, 284, 292, 293, 317, 332, 338, 339),
    )
)
MAX_TIFF_VALUES = 16  # Of a tag, except for strips, tiles and the colour map.
TIFF_TYPES = {1: "B", 3: "H", 4: "I"}

GIF_TRAILER, GIF_EXTENSION, GIF_IMAGE, GIF_CONTROL = 0x3B, 0x21, 0x2C, 0xF9
MAX_GIF_BLOCKS = 300_000  # A file of 64 MB in the usual blocks of 255 bytes has fewer.


def read_tiff(data: bytes) -> PictureStructure:
    """Return the structure of a TIFF of one page. Its directory keeps the tags that decide a pixel's value.

    Raises:
        ValueError, LookupError, struct.error: the file is broken, has several pages or an unusual compression, or is
            built to take long.
    """
    order = "<" if data[:2] == b"II" else ">"
    (start,) = struct.unpack_from(f"{order}I", data, 4)
    (count,) = struct.unpack_from(f"{order}H", data, start)
    if count > MAX_TIFF_ENTRIES:
        raise ValueError(f"it has more than {MAX_TIFF_ENTRIES} tags: save it again")
    (next_page,) = struct.unpack_from(f"{order}I", data, start + 2 + 12 * count)
    values: dict[int, int] = {}
    kept = []
    orientation = 1
    for index in range(count):
        entry = data[start + 2 + 12 * index : start + 14 + 12 * index]
        tag, kind, length = struct.unpack_from(f"{order}HHI", entry)
        first = _first_tiff_value(data, order, entry)
        if tag == ORIENTATION_TAG:
            orientation = first
        if tag not in TIFF_KEPT_TAGS:
            continue
        limit = MAX_TIFF_STRIPS if tag in STRIP_TAGS else 3 * 65_536 if tag == COLOUR_MAP else MAX_TIFF_VALUES
        if kind not in TIFF_TYPES or length > limit:
            raise ValueError(f"its tag {tag} has an unusual type, or too many values: save it again")
        if tag in values:
            raise ValueError(f"it has the tag {tag} twice")
        values[tag] = first
        kept.append(entry)
    if values.get(COMPRESSION, 1) not in TIFF_COMPRESSIONS:
        raise ValueError("its compression is not supported: save it without compression, or as PNG")
    if values.get(TILE_WIDTH, 0) * values.get(TILE_HEIGHT, 0) > MAX_TIFF_TILE_PIXELS:
        raise ValueError("its tiles are too large: save it again")
    directory = struct.pack(f"{order}H", len(kept)) + b"".join(kept) + bytes(4)
    bytes_per_pixel = max(4, values.get(BITS, 1) * values.get(SAMPLES, 1) // 8)
    return PictureStructure(
        "TIFF",
        values[WIDTH],
        values[HEIGHT],
        b"".join((data[:start], directory, memoryview(data)[start + len(directory) :])),
        bytes_per_pixel,
        exif=_orientation_as_exif(orientation),
        is_animated=next_page != 0,
    )


def _first_tiff_value(data: bytes, order: str, entry: bytes) -> int:
    """Return the first value of a directory's entry, or 0 if it is no unsigned integer."""
    kind, count, place = struct.unpack_from(f"{order}HII", entry, 2)
    code = TIFF_TYPES.get(kind)
    if code is None or count == 0:
        return 0
    if count * struct.calcsize(code) <= 4:
        return int(struct.unpack_from(f"{order}{code}", entry, 8)[0])
    return int(struct.unpack_from(f"{order}{code}", data, place)[0])


def _orientation_as_exif(orientation: int) -> bytes:
    """Return EXIF data that state an orientation, as `PictureStructure.orientation` reads them."""
    return struct.pack("<4sIHHHIHH", b"II*\0", 8, 1, ORIENTATION_TAG, 3, 1, orientation & 0xFFFF, 0)


def read_gif(data: bytes) -> PictureStructure:
    """Return the structure of a GIF, with its first picture and without comments and other extensions.

    Raises:
        ValueError, LookupError, struct.error: the file is broken, or is built to take long.
    """
    width, height, flags = struct.unpack_from("<HHB", data, 6)
    position = 13 + _palette_bytes(flags)
    kept = [data[:position]]
    blocks = pictures = 0
    while position < len(data) and data[position] != GIF_TRAILER:
        start, kind = position, data[position]
        if kind == GIF_EXTENSION:
            position += 2
        elif kind == GIF_IMAGE:
            left, top, w, h, flags = struct.unpack_from("<HHHHB", data, position + 1)
            width, height = max(width, left + w), max(height, top + h)  # Pillow enlarges the picture, too.
            position += 11 + _palette_bytes(flags)
            pictures += 1
        else:
            raise ValueError(f"the block {kind:02x} is not known")
        while position < len(data) and (length := data[position]):
            position += 1 + length
            blocks += 1
            if blocks > MAX_GIF_BLOCKS:
                raise ValueError(f"it has more than {MAX_GIF_BLOCKS:,} blocks: save it again")
        position += 1
        blocks += 1
        if pictures > 1:
            break
        if kind == GIF_IMAGE or data[start + 1] == GIF_CONTROL:
            kept.append(data[start:position])
    if not pictures:
        raise ValueError("it has no picture")
    rebuilt = b"".join((*kept, bytes((GIF_TRAILER,))))
    return PictureStructure("GIF", width, height, rebuilt, 4, is_animated=pictures > 1)


def _palette_bytes(flags: int) -> int:
    return 3 * 2 ** ((flags & 7) + 1) if flags & 0x80 else 0
