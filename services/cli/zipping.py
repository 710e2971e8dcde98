"""Zips a folder of pictures. The same files give the same bytes, whatever their times and order on the disk."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO
from zipfile import ZIP_STORED, ZipFile, ZipInfo, is_zipfile

from .errors import InputError
from .output import clean

FIRST_TIME = (1980, 1, 1, 0, 0, 0)  # the earliest time that a zip can hold; every entry has it
BLOCK_BYTES = 2**20


@contextmanager
def open_zip(source: Path) -> Iterator[tuple[IO[bytes], int]]:
    """Yield a zip and its size in bytes: the given file, or a temporary one with the files of a folder.

    Args:
        source: a zip, or a folder.

    Raises:
        InputError: a file cannot be read, the file is no zip, or the folder has no files.
    """
    try:
        if source.is_file():
            if not is_zipfile(source):
                raise InputError(f"{source} is no zip: name a folder, or a zip file of it")
            with source.open("rb") as file:
                yield file, source.stat().st_size
        else:
            with tempfile.TemporaryFile(prefix="tandem-") as draft:
                write_zip(source, draft)
                size = draft.tell()
                draft.seek(0)
                yield draft, size
    except OSError as error:
        raise InputError(f"{clean(error.filename or source)} cannot be read: {error.strerror}") from None


def write_zip(folder: Path, file: IO[bytes]) -> None:
    """Write the files of a folder to a zip. Pictures are compressed already, so they are stored as they are.

    Hidden files and symbolic links are left out.

    Args:
        folder: the folder. The names in the zip are relative to it.
        file: a seekable file.

    Raises:
        OSError: a file cannot be read.
        InputError: the folder has no files.
    """
    places = list(_list_files(folder))
    if not places:
        raise InputError(f"{clean(folder)} has no files: it needs one folder of pictures for each class")
    with ZipFile(file, "w", ZIP_STORED) as archive:
        for place in places:
            entry = ZipInfo(place.relative_to(folder).as_posix(), FIRST_TIME)
            entry.external_attr = 0o644 << 16
            entry.file_size = place.stat().st_size  # decides whether the entry needs the format of large files
            with place.open("rb") as picture, archive.open(entry, "w") as stored:
                while block := picture.read(BLOCK_BYTES):
                    stored.write(block)


def _list_files(folder: Path) -> Iterator[Path]:
    """Yield the files below a folder, sorted by name.

    Raises:
        OSError: a folder cannot be read.
    """
    for entry in sorted(os.scandir(folder), key=lambda found: found.name):
        if entry.name.startswith(".") or entry.is_symlink():
            continue
        if entry.is_dir():
            yield from _list_files(Path(entry.path))
        elif entry.is_file():
            yield Path(entry.path)
