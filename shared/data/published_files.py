"""Finds the files of MNIST and Fashion-MNIST in the user's data folder by their content, not by their names.

A copy may lie in any folder, have any name, and be packed by gzip, bzip2, xz, zip or tar, or as NumPy arrays (`.npz`,
as Keras publishes MNIST). A file is one of the published ones if the MD5 of its unpacked content is equal.
"""

import bz2
import gzip
import hashlib
import io
import lzma
import os
import tarfile
import zipfile
import zlib
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from shared.data.catalog import IdxFile
from shared.data.folder_entries import is_picture_name
from shared.data.skipped_names import kind_of_skipped

MAX_PACKED_BYTES = 64 * 2**20  # A larger file is not opened.
MAX_CONTENT_BYTES = 64 * 2**20  # Nothing larger is unpacked. All four files of MNIST take 55 MB.
MAX_MEMBERS = 64  # of an archive, that are looked at
MAX_PACKINGS = 3  # one inside the other, such as gzip inside zip
MAX_DEPTH = 4  # folders below the data folder
MAX_FOLDERS = 300
MAX_ENTRIES = 64  # A folder below the data folder that holds more is a folder of pictures.
IDX_TYPE_BYTE = b"\0\0\x08"  # An IDX file of bytes begins with this and with the number of its dimensions.
TAR_MAGIC_OFFSET, TAR_MAGIC = 257, b"ustar"
# What the modules that unpack raise for damaged files, for encrypted ones, and for unknown methods of packing.
UNPACK_ERRORS = (
    *(OSError, EOFError, ValueError, RuntimeError, MemoryError),
    *(zlib.error, lzma.LZMAError, zipfile.BadZipFile, tarfile.TarError),
)


def md5_of(data: bytes) -> str:
    """Return the MD5 of data, in hexadecimal."""
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def find_published(files: Sequence[IdxFile], data_folder: Path, first: str) -> Iterator[tuple[IdxFile, bytes]]:
    """Find published files under the data folder.

    Args:
        files: what to look for.
        data_folder: the user's data folder.
        first: the name of a folder in it that is searched before all others.

    Yields:
        Each file that was found, once, and its unpacked content.
    """
    missing: dict[str, list[IdxFile]] = {}
    for file in files:
        missing.setdefault(file.md5, []).append(file)
    sizes = frozenset(file.size for file in files)
    for path in _list_candidates(data_folder, first, sizes):
        if not missing:
            return
        try:
            state = path.stat()
            known = _identify(_FileState(path, state.st_size, state.st_mtime_ns), sizes)
            if not missing.keys() & known:
                continue
            for content in _unpack(path.read_bytes(), sizes):
                for file in missing.pop(md5_of(content), ()):
                    yield file, content
        except UNPACK_ERRORS:
            continue  # damaged, or changed meanwhile: another copy may be complete


class _FileState(NamedTuple):
    """A file that compares as different when it has changed."""

    path: Path
    size: int
    changed_ns: int


@lru_cache(maxsize=512)
def _identify(file: _FileState, sizes: frozenset[int]) -> frozenset[str]:
    """Return the MD5s of what a file contains. Listings repeat the question, and the answer is computed once."""
    md5s = set()
    with suppress(*UNPACK_ERRORS):
        for content in _unpack(file.path.read_bytes(), sizes):
            md5s.add(md5_of(content))
    return frozenset(md5s)


def _list_candidates(data_folder: Path, first: str, sizes: frozenset[int]) -> Iterator[Path]:
    """Yield the files that may be or contain an IDX file, from the top of the data folder downwards."""
    folders = deque([(data_folder / first, 1), (data_folder, 0)])
    for _ in range(MAX_FOLDERS):
        if not folders:
            return
        folder, depth = folders.popleft()
        try:
            with os.scandir(folder) as scanned:
                entries = sorted(scanned, key=lambda entry: entry.name)
        except OSError:
            continue
        if len(entries) > MAX_ENTRIES and folder not in (data_folder, data_folder / first):
            continue
        for entry in entries:
            try:
                is_folder = entry.is_dir()
                if kind_of_skipped(entry.name, is_folder):
                    continue
                if is_folder and depth < MAX_DEPTH and not (depth == 0 and entry.name == first):
                    folders.append((Path(entry.path), depth + 1))
                elif not is_folder and entry.is_file() and _may_contain(entry, sizes):
                    yield Path(entry.path)
            except OSError:
                continue


def _may_contain(entry: "os.DirEntry[str]", sizes: frozenset[int]) -> bool:
    if is_picture_name(entry.name):
        return False
    size = entry.stat().st_size
    if size in sizes:
        return True
    if not min(sizes) // 16 <= size <= MAX_PACKED_BYTES:
        return False
    with open(entry.path, "rb") as file:
        head = file.read(TAR_MAGIC_OFFSET + len(TAR_MAGIC))
    return _packing_of(head) is not None


def _packing_of(head: bytes) -> str | None:
    """Return how a file is packed, from its first bytes, or None if it is not packed in a known way."""
    for packing, magic in (("gzip", b"\x1f\x8b"), ("bz2", b"BZh"), ("xz", b"\xfd7zXZ\0"), ("zip", b"PK\3\4")):
        if head.startswith(magic):
            return packing
    if head.startswith(b"\x93NUMPY"):
        return "npy"
    return "tar" if head[TAR_MAGIC_OFFSET:].startswith(TAR_MAGIC) else None


def _unpack(data: bytes, sizes: frozenset[int], packings: int = MAX_PACKINGS) -> Iterator[bytes]:
    """Yield everything in a file that has the size and the beginning of a wanted IDX file."""
    if data.startswith(IDX_TYPE_BYTE):
        if len(data) in sizes:
            yield data
        return
    packing = _packing_of(data[: TAR_MAGIC_OFFSET + len(TAR_MAGIC)])
    if packing is None or not packings:
        return
    for content in _read_packed(packing, data):
        yield from _unpack(content, sizes, packings - 1)


def _read_packed(packing: str, data: bytes) -> Iterator[bytes]:
    """Yield the contents of a packed file, without those that are too large."""
    stream = io.BytesIO(data)
    if packing == "npy":
        yield _encode_idx(np.lib.format.read_array(stream, allow_pickle=False))
    elif packing == "zip":
        with zipfile.ZipFile(stream) as archive:
            for member in archive.infolist()[:MAX_MEMBERS]:
                if not is_picture_name(member.filename) and member.file_size <= MAX_CONTENT_BYTES:
                    with archive.open(member) as file:
                        yield from _read_limited(file)
    elif packing == "tar":
        with tarfile.open(fileobj=stream, mode="r:") as tar:
            for _ in range(MAX_MEMBERS):
                if (entry := tar.next()) is None:
                    return
                if entry.isreg() and entry.size <= MAX_CONTENT_BYTES and (extracted := tar.extractfile(entry)):
                    yield from _read_limited(extracted)
    elif packing == "gzip":
        with gzip.open(stream) as unpacked:
            yield from _read_limited(unpacked)
    elif packing == "bz2":
        with bz2.open(stream) as unpacked:
            yield from _read_limited(unpacked)
    else:
        with lzma.open(stream) as unpacked:
            yield from _read_limited(unpacked)


def _read_limited(file: IO[bytes] | io.BufferedIOBase) -> Iterator[bytes]:
    """Yield the content of an opened file, or nothing if it is too large."""
    content = file.read(MAX_CONTENT_BYTES + 1)
    if len(content) <= MAX_CONTENT_BYTES:
        yield content


def _encode_idx(array: NDArray[np.generic]) -> bytes:
    """Return an array of whole numbers from 0 to 255 as an IDX file; nothing for any other array.

    Pictures may be [N, 28, 28], [N, 28, 28, 1] or [N, 784].
    """
    if array.ndim == 4 and array.shape[3] == 1:
        array = array[..., 0]
    if array.ndim == 2 and array.shape[1] == 784:
        array = array.reshape(-1, 28, 28)
    if array.ndim not in (1, 3) or array.dtype.kind not in "iu" or not array.size:
        return b""
    if array.dtype != np.uint8:
        if array.min() < 0 or array.max() > 255:
            return b""
        array = array.astype(np.uint8)
    header = IDX_TYPE_BYTE + bytes([array.ndim]) + b"".join(length.to_bytes(4, "big") for length in array.shape)
    return header + array.tobytes()
