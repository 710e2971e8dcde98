"""Checks the directory of an uploaded zip file before Python's `zipfile` reads all of it into memory.

The directory is walked over, entry by entry, and nothing is kept. `zip_entries.py` then checks what each entry says.

Source: PKWARE APPNOTE 6.3.10, sections 4.3 to 4.5.
"""

import os
import struct
from dataclasses import dataclass
from typing import IO, Any

from shared.errors import InvalidDatasetError

MAX_ENTRIES = 50_000  # files and folders
MAX_DIRECTORY_BYTES = 32 * 2**20
MAX_NAME_BYTES = 1024  # of an entry's whole path

FILE_START = b"PK\x03\x04"
END_START = b"PK\x05\x06"  # the end of the directory; an empty zip file begins with it
END_64_START, LOCATOR_64_START, ENTRY_START = b"PK\x06\x06", b"PK\x06\x07", b"PK\x01\x02"
END = struct.Struct("<4s4H2LH")  # end of the directory
END_64 = struct.Struct("<4sQ2H2L4Q")
LOCATOR_64 = struct.Struct("<4sLQL")
ENTRY = struct.Struct("<4s6H3L5H2L")
MAX_COMMENT_BYTES = 2**16
# How files begin that people take for a zip file.
OTHER_FILES = {
    b"\x1f\x8b": "a gzip file",
    b"7z\xbc\xaf": "a 7z file",
    b"Rar!": "a RAR file",
    b"BZh": "a bzip2 file",
    b"\xfd7zXZ": "an xz file",
    b"\x89PNG": "a PNG picture",
    b"\xff\xd8\xff": "a JPEG picture",
    b"--": "a form: send the file itself as the body (curl -T pets.zip)",
    b"{": "JSON",
}


@dataclass(frozen=True)
class ZipDirectory:
    """Where the directory of a zip file lies.

    Attributes:
        start: its first byte.
        size: bytes.
        count: how many entries it has.
    """

    start: int
    size: int
    count: int


def check_directory(file: IO[bytes]) -> ZipDirectory:
    """Check where the directory lies, and how many entries it has.

    Args:
        file: the zip file, in binary mode.

    Raises:
        InvalidDatasetError: the file is no complete zip file, or has too many entries.
        ValueError, struct.error: the directory is damaged.
    """
    directory = _find_directory(file, file.seek(0, os.SEEK_END))
    _walk(file, directory)
    return directory


def _find_directory(file: IO[bytes], size: int) -> ZipDirectory:
    """Return where the directory lies. Nothing may stand before the first entry or behind the directory's end.

    Raises:
        InvalidDatasetError: the file is no complete zip file, or has too many entries.
        ValueError, struct.error: the end is damaged.
    """
    file.seek(0)
    start = file.read(8)
    if not start:
        raise InvalidDatasetError("the body is empty: send a zip file (curl -T pets.zip)")
    if start.startswith(END_START):
        raise InvalidDatasetError("the zip file is empty: it needs a folder with pictures for each class")
    if not start.startswith(FILE_START):
        kind = next((kind for begin, kind in OTHER_FILES.items() if start.startswith(begin)), "")
        raise InvalidDatasetError(f"the body is not a zip file{f', but {kind}' if kind else ''}: send a zip file")
    tail_start = max(0, size - END.size - MAX_COMMENT_BYTES)
    file.seek(tail_start)
    tail = file.read()
    at = tail.rfind(END_START)
    if at < 0:
        raise InvalidDatasetError("the zip file is incomplete: its end is missing: upload it again completely")
    if len(tail) - at < END.size:
        raise InvalidDatasetError("the zip file is incomplete: its end is cut off: upload it again completely")
    _, disk, first_disk, here, count, directory_size, directory_start, comment = END.unpack_from(tail, at)
    end = tail_start + at
    if end + END.size + comment != size:
        raise InvalidDatasetError("the zip file is followed by other data: make it again")
    if end >= LOCATOR_64.size + END_64.size and (locator := _read(file, end - LOCATOR_64.size, LOCATOR_64))[0] == (
        LOCATOR_64_START
    ):
        end -= LOCATOR_64.size + END_64.size  # where `zipfile` reads it
        signature, _, _, _, disk, first_disk, here, count, directory_size, directory_start = _read(file, end, END_64)
        if signature != END_64_START or locator[2] != end:
            raise ValueError("its end is damaged")
    if disk or first_disk or here != count:
        raise InvalidDatasetError("the zip file is a part of several: send one zip file")
    if count > MAX_ENTRIES:
        raise InvalidDatasetError(_explain_count(count))
    if directory_size > MAX_DIRECTORY_BYTES:
        raise InvalidDatasetError(
            f"the directory of the zip file has {directory_size:,} bytes, and may have {MAX_DIRECTORY_BYTES:,}: "
            "use shorter names"
        )
    if directory_start + directory_size != end:
        raise InvalidDatasetError("the zip file begins with other data, or is damaged: make it again")
    return ZipDirectory(directory_start, directory_size, count)


def _explain_count(count: int) -> str:
    return f"the zip file has {count:,} entries, and may have {MAX_ENTRIES:,}: use fewer pictures"


def _read(file: IO[bytes], position: int, layout: struct.Struct) -> tuple[Any, ...]:
    file.seek(position)
    return layout.unpack(file.read(layout.size))


def _walk(file: IO[bytes], directory: ZipDirectory) -> None:
    """Check how many entries the directory really has, and how long their names are. Nothing is kept.

    Raises:
        InvalidDatasetError: there are too many entries, or a name is too long.
        ValueError, struct.error: the directory is damaged.
    """
    file.seek(directory.start)
    left, count = directory.size, 0
    while left > 0:
        fields = ENTRY.unpack(file.read(ENTRY.size))
        if fields[0] != ENTRY_START:
            raise ValueError("an entry of its directory has no signature")
        name_bytes, extra_bytes, comment_bytes = fields[10:13]
        if name_bytes > MAX_NAME_BYTES:
            raise InvalidDatasetError(f"a name in the zip file has more than {MAX_NAME_BYTES:,} bytes: shorten it")
        rest = name_bytes + extra_bytes + comment_bytes
        file.seek(rest, os.SEEK_CUR)
        left -= ENTRY.size + rest
        count += 1
        if count > MAX_ENTRIES:
            raise InvalidDatasetError(_explain_count(max(count, directory.count)))
    if left or count != directory.count:
        raise ValueError("its directory has another size than it says")
