"""Reads the directory of an uploaded zip file, and refuses a file that is unusual or made to take long.

Python's `zipfile` reads the whole directory into memory, and believes what it says. So this module walks over the
directory first: it counts the entries and checks each one before an object is made for it. Everything that a zip of
pictures never has is refused: links, encryption, other methods than deflate, data before or behind the zip, entries
that share data, and names that lead out of their folder.

Source: PKWARE APPNOTE 6.3.10, sections 4.3 to 4.5.
"""

import os
import re
import stat
import struct
import unicodedata
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any
from zlib import crc32

from shared.data.folder_entries import show_name
from shared.errors import InvalidDatasetError

MAX_ENTRIES = 50_000  # files and folders
MAX_DIRECTORY_BYTES = 32 * 2**20  # `zipfile` reads all of it into memory
MAX_NAME_BYTES = 1024  # of an entry's whole path
MAX_PART_BYTES = 255  # of one name in it, in UTF-8: what file systems take
MAX_DEPTH = 16  # names in a path
MAX_FILE_BYTES = 64 * 2**20  # unpacked, of one file: what a posted picture may have
MAX_UNPACKED_BYTES = 4 * 2**30  # of all files together
MAX_RATIO = 200  # of a file of more than RATIO_FROM_BYTES: photographs have 1, drawings as BMP 50
RATIO_FROM_BYTES = 2**20

FILE_START = b"PK\x03\x04"
END_START = b"PK\x05\x06"  # the end of the directory; an empty zip file begins with it
END_64_START, LOCATOR_64_START, ENTRY_START = b"PK\x06\x06", b"PK\x06\x07", b"PK\x01\x02"
END = struct.Struct("<4s4H2LH")  # end of the directory
END_64 = struct.Struct("<4sQ2H2L4Q")
LOCATOR_64 = struct.Struct("<4sLQL")
ENTRY = struct.Struct("<4s6H3L5H2L")
LOCAL_HEADER_BYTES = 30
MAX_COMMENT_BYTES = 2**16
CONTROL_CHARACTER = re.compile(r"[\x00-\x1f\x7f]")
SHOWN_CHARACTERS = 200  # of a name in a message
EXTRA_UNICODE_PATH = 0x7075  # of Info-ZIP
FLAG_ENCRYPTED, FLAG_UTF8 = 0x0001 | 0x0040 | 0x2000, 0x0800
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
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
class ZipEntry:
    """A file in a zip.

    Attributes:
        path: the names of its folders and its own name, in Unicode's form NFC.
        info: how `zipfile` finds it.
        size: bytes when unpacked.
    """

    path: tuple[str, ...]
    info: zipfile.ZipInfo
    size: int


class _RefusedEntryError(Exception):
    """What is wrong with an entry: the end of a sentence that begins with its name."""


@dataclass(frozen=True)
class _Directory:
    """Where the directory lies: its first byte, its size in bytes, and how many entries it says it has."""

    start: int
    size: int
    count: int


def list_entries(file: IO[bytes], name: str) -> tuple[zipfile.ZipFile, list[ZipEntry]]:
    """Check a zip file, and return it opened with its files. Folders are left out.

    Args:
        file: the zip file, in binary mode.
        name: what messages call it: the name of the dataset.

    Raises:
        InvalidDatasetError: the file is no zip, is damaged, or has an entry that is refused. The message names it.
    """
    size = file.seek(0, os.SEEK_END)
    try:
        directory = _find_directory(file, size)
        _walk(file, directory)
        archive = zipfile.ZipFile(file)
    except (zipfile.BadZipFile, struct.error, ValueError, NotImplementedError, EOFError, LookupError) as error:
        raise InvalidDatasetError(f"the zip file is damaged ({error}): make it again, or upload it again") from None
    infos = archive.infolist()
    if len(infos) != directory.count:
        raise InvalidDatasetError("the zip file is damaged: its directory has another number of entries than it says")
    return archive, list(_check_entries(infos, directory, name))


def _find_directory(file: IO[bytes], size: int) -> _Directory:
    """Return where the directory lies. Nothing may stand before the first entry or behind the directory's end.

    Raises:
        InvalidDatasetError: the file is no complete zip file, or has too many entries.
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
    return _Directory(directory_start, directory_size, count)


def _explain_count(count: int) -> str:
    return f"the zip file has {count:,} entries, and may have {MAX_ENTRIES:,}: use fewer pictures"


def _read(file: IO[bytes], position: int, layout: struct.Struct) -> tuple[Any, ...]:
    file.seek(position)
    return layout.unpack(file.read(layout.size))


def _walk(file: IO[bytes], directory: _Directory) -> None:
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


def _check_entries(infos: list[zipfile.ZipInfo], directory: _Directory, name: str) -> Iterator[ZipEntry]:
    """Yield the files among the entries.

    Raises:
        InvalidDatasetError: an entry is refused. The message names it.
    """
    _check_overlaps(infos, directory)
    seen: dict[tuple[str, ...], str] = {}
    folders: set[tuple[str, ...]] = set()
    total = 0
    for info in infos:
        text = _decode_name(info)
        try:
            path = _split_path(text)
            _check_kind(info)
            if text.endswith("/"):
                if info.file_size:
                    raise _RefusedEntryError("is a folder with content: make the zip file again")
                folders.add(path)
                continue
            total += info.file_size
            _check_size(info, total)
            if path in seen:
                how = "" if seen[path] == text else ", written in two forms of Unicode"
                raise _RefusedEntryError(f"is in the zip file twice{how}: keep one of them")
        except _RefusedEntryError as error:
            raise InvalidDatasetError(f"{name}.zip: {show_name(text)[:SHOWN_CHARACTERS]!r} {error}") from None
        seen[path] = text
        folders.update(path[:depth] for depth in range(1, len(path)))
        yield ZipEntry(path, info, info.file_size)
    if both := folders & seen.keys():
        raise InvalidDatasetError(f"{name}.zip: {'/'.join(both.pop())!r} is both a file and a folder: rename one")


def _check_overlaps(infos: list[zipfile.ZipInfo], directory: _Directory) -> None:
    """Check that no two entries share data: a few kB of shared data can unpack to any size.

    Raises:
        InvalidDatasetError: two do, or an entry lies outside the part that holds the entries.
    """
    end = directory.start
    for info in sorted(infos, key=lambda info: info.header_offset, reverse=True):
        name_bytes = len(info.orig_filename.encode("utf-8" if info.flag_bits & FLAG_UTF8 else "cp437"))
        if info.header_offset < 0 or info.header_offset + LOCAL_HEADER_BYTES + name_bytes + info.compress_size > end:
            raise InvalidDatasetError(
                f"{show_name(info.orig_filename)[:SHOWN_CHARACTERS]!r} shares its data with another part of the zip "
                "file: make the zip file again"
            )
        end = info.header_offset


def _decode_name(info: zipfile.ZipInfo) -> str:
    """Return an entry's name.

    `zipfile` reads a name without the flag for UTF-8 as code page 437. macOS and some other programs write UTF-8
    without the flag, and Info-ZIP writes the name once more into an extra field.
    """
    if info.flag_bits & FLAG_UTF8:
        return info.orig_filename
    raw = info.orig_filename.encode("cp437")
    if (stated := _unicode_path(info.extra, raw)) is not None:
        return stated
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return info.orig_filename


def _unicode_path(extra: bytes, raw: bytes) -> str | None:
    """Return the name in Info-ZIP's extra field, if it belongs to the name in the header."""
    while len(extra) >= 4:
        kind, size = struct.unpack_from("<HH", extra)
        content, extra = extra[4 : 4 + size], extra[4 + size :]
        if kind == EXTRA_UNICODE_PATH and size > 5 and struct.unpack_from("<BL", content) == (1, crc32(raw)):
            try:
                return content[5:].decode()
            except UnicodeDecodeError:
                return None
    return None


def _split_path(text: str) -> tuple[str, ...]:
    """Return the names in an entry's path, in Unicode's form NFC.

    Raises:
        _RefusedEntryError: the path leads out of its folder, or has names that no system takes.
    """
    if text.startswith("/") or "\\" in text or text[1:2] == ":":
        raise _RefusedEntryError("is not a relative path with '/': make the zip file again")
    parts = text.removesuffix("/").split("/")
    if any(part in ("", ".", "..") for part in parts):
        raise _RefusedEntryError("may lead out of its folder: make the zip file again")
    if CONTROL_CHARACTER.search(text):
        raise _RefusedEntryError("has a control character in its name: rename it")
    if len(parts) > MAX_DEPTH:
        raise _RefusedEntryError(f"lies in more than {MAX_DEPTH} folders: move it up")
    path = tuple(unicodedata.normalize("NFC", part) for part in parts)
    if any(len(part.encode(errors="surrogatepass")) > MAX_PART_BYTES for part in path):
        raise _RefusedEntryError(f"has a name of more than {MAX_PART_BYTES} bytes: shorten it")
    return path


def _check_kind(info: zipfile.ZipInfo) -> None:
    """Check that an entry is a plain file or a folder.

    Raises:
        _RefusedEntryError: it is a link or something else, is encrypted, or packed in another way.
    """
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind == stat.S_IFLNK:
        raise _RefusedEntryError("is a symbolic link: put the file itself into the zip file")
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise _RefusedEntryError("is neither a file nor a folder: remove it")
    if info.flag_bits & FLAG_ENCRYPTED:
        raise _RefusedEntryError("is encrypted: make the zip file without a password")
    if info.compress_type not in METHODS:
        raise _RefusedEntryError("is packed by an unusual method: make the zip file with deflate")


def _check_size(info: zipfile.ZipInfo, total: int) -> None:
    """Check how large a file is when it is unpacked.

    Args:
        info: the entry.
        total: bytes of all files up to this one.

    Raises:
        _RefusedEntryError: it is too large.
        InvalidDatasetError: all files together are.
    """
    if info.file_size > MAX_FILE_BYTES:
        raise _RefusedEntryError(f"has {info.file_size:,} bytes, and a file may have {MAX_FILE_BYTES:,}")
    if info.file_size > max(RATIO_FROM_BYTES, MAX_RATIO * info.compress_size):
        raise _RefusedEntryError(
            f"unpacks to {info.file_size:,} bytes from {info.compress_size:,}, which no picture does: "
            "save it as PNG or JPEG"
        )
    if total > MAX_UNPACKED_BYTES:
        raise InvalidDatasetError(
            f"the files of the zip have more than {MAX_UNPACKED_BYTES:,} bytes together: use fewer or smaller pictures"
        )
