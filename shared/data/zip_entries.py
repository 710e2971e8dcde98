"""The entries of an uploaded zip file. An entry that a zip of pictures never has is refused.

Refused are links, encryption, other methods than deflate, entries that share data, names that lead out of their folder,
and files that unpack to much more than pictures do.
"""

import re
import stat
import struct
import unicodedata
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO
from zlib import crc32

from shared.data.folder_entries import show_name
from shared.data.zip_directory import ZipDirectory, check_directory
from shared.errors import InvalidDatasetError

MAX_PART_BYTES = 255  # of one name in a path, in UTF-8: what file systems take
MAX_DEPTH = 16  # names in a path
MAX_FILE_BYTES = 64 * 2**20  # unpacked, of one file: what a posted picture may have
MAX_UNPACKED_BYTES = 4 * 2**30  # of all files together
MAX_RATIO = 200  # of a file of more than RATIO_FROM_BYTES: photographs have 1, drawings as BMP 50
RATIO_FROM_BYTES = 2**20

LOCAL_HEADER_BYTES = 30
EXTRA_UNICODE_PATH = 0x7075  # of Info-ZIP
FLAG_ENCRYPTED, FLAG_UTF8 = 0x0001 | 0x0040 | 0x2000, 0x0800
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
CONTROL_CHARACTER = re.compile(r"[\x00-\x1f\x7f]")
SHOWN_CHARACTERS = 200  # of a name in a message


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


def list_entries(file: IO[bytes], name: str) -> tuple[zipfile.ZipFile, list[ZipEntry]]:
    """Check a zip file, and return it opened with its files. Folders are left out.

    Args:
        file: the zip file, in binary mode.
        name: what messages call it: the name of the dataset.

    Raises:
        InvalidDatasetError: the file is no zip, is damaged, or has an entry that is refused. The message names it.
    """
    try:
        directory = check_directory(file)
        archive = zipfile.ZipFile(file)
    except (zipfile.BadZipFile, struct.error, ValueError, NotImplementedError, EOFError, LookupError) as error:
        raise InvalidDatasetError(f"the zip file is damaged ({error}): make it again, or upload it again") from None
    infos = archive.infolist()
    if len(infos) != directory.count:
        raise InvalidDatasetError("the zip file is damaged: its directory has another number of entries than it says")
    return archive, list(_check_entries(infos, directory, name))


def _check_entries(infos: list[zipfile.ZipInfo], directory: ZipDirectory, name: str) -> Iterator[ZipEntry]:
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


def _check_overlaps(infos: list[zipfile.ZipInfo], directory: ZipDirectory) -> None:
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
