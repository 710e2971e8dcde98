"""Turns an uploaded zip file into arrays: every picture is decoded once, before the dataset becomes visible.

Trainers then read arrays, and decode no picture that a client sent. Nothing of the zip file is unpacked to the disk.
"""

import os
from pathlib import Path
from typing import IO

import numpy as np

from shared.data.catalog import SplitName
from shared.data.image_folder import ImageFolder, PictureFile, PictureFiles, describe_pictures
from shared.data.images import open_picture, prepare_opened
from shared.data.uploaded_datasets import UploadRecord, array_file, begin_digest
from shared.data.zip_directory import FILE_START
from shared.data.zip_entries import MAX_FILE_BYTES
from shared.data.zip_pictures import ZipReader
from shared.errors import InvalidDatasetError, InvalidImageError
from shared.process import sync_folder

MAX_TOTAL_WORK = 6_000_000_000  # pixels of all pictures: decoding takes one to two minutes
BUFFER_BYTES = 2**20
ARCHIVE_SUFFIXES = (".zip", ".tar", ".gz", ".tgz", ".7z", ".rar")


def write_draft(zip_file: Path, name: str, draft: Path, uploaded_at: str) -> UploadRecord:
    """Write the arrays of a zip file into a new folder, and wait until they are on the disk.

    Args:
        zip_file: the uploaded file.
        name: of the dataset.
        draft: the folder to make.
        uploaded_at: for the record, in ISO 8601.

    Raises:
        InvalidDatasetError: the zip file cannot be used. The message names the entry and says what to change.
        OSError: the disk is full, or cannot be written.
    """
    with open(zip_file, "rb") as file:
        reader = ZipReader(file, name)
        _check_not_nested(reader)
        found = describe_pictures(reader)
        draft.mkdir()
        budget = _WorkBudget()
        digest = begin_digest(name, found.shape, found.classes, found.preparation)
        for split, pictures in _splits_of(found):
            with open(array_file(draft, split, "images"), "wb", buffering=BUFFER_BYTES) as images:
                header = {"descr": "|u1", "fortran_order": False, "shape": (len(pictures), *found.shape)}
                np.lib.format.write_array_header_1_0(images, header)
                for picture in pictures:
                    pixels = _decode(reader, picture, found, budget)
                    digest.update(pixels)
                    images.write(pixels)
                _sync(images)
            labels = np.array([picture.label for picture in pictures], np.int64)
            digest.update(labels.tobytes())
            with open(array_file(draft, split, "labels"), "wb") as file_of_labels:
                np.save(file_of_labels, labels, allow_pickle=False)
                _sync(file_of_labels)
    record = UploadRecord(
        name=name,
        version=digest.hexdigest()[:32],
        shape=found.shape,
        classes=found.classes,
        sizes={split: len(pictures) for split, pictures in _splits_of(found)},
        preparation=found.preparation,
        notes=found.notes,
        stored_bytes=sum(path.stat().st_size for path in draft.iterdir()),
        uploaded_at=uploaded_at,
    )
    with open(draft / "record.json", "wb") as file_of_record:
        file_of_record.write(record.model_dump_json().encode())
        _sync(file_of_record)
    sync_folder(draft)
    return record


def _splits_of(found: ImageFolder) -> tuple[tuple[SplitName, PictureFiles], ...]:
    return ("train", found.train), ("test", found.test)


class _WorkBudget:
    """How much decoding is left. A limit on bytes does not limit it: a PNG of 6 kB can hold 49 million pixels."""

    def __init__(self) -> None:
        self._left = MAX_TOTAL_WORK

    def take(self, work: int) -> None:
        """Count the pixels of a picture.

        Raises:
            InvalidDatasetError: there are too many.
        """
        self._left -= work
        if self._left < 0:
            raise InvalidDatasetError(
                f"the pictures have more than {MAX_TOTAL_WORK:,} pixels together: make them smaller, "
                "or use fewer of them"
            )


def _decode(reader: ZipReader, picture: PictureFile, found: ImageFolder, budget: _WorkBudget) -> bytes:
    """Return the pixels of a picture in the dataset's shape."""
    path = tuple(picture.place.split("/")[1:])
    data = reader.read_file(path, MAX_FILE_BYTES)
    if data.startswith(FILE_START):
        raise InvalidDatasetError(f"{picture.shown} is a zip file in the zip file: unpack it, and make a new zip file")
    try:
        opened = open_picture(data, picture.shown, found.preparation)
        budget.take(opened.work)
        return prepare_opened(opened, found.shape, found.preparation).pixels.tobytes()
    except InvalidImageError as error:
        raise InvalidDatasetError(f"{error}: replace the file, or remove it from the zip file") from None


def _check_not_nested(reader: ZipReader) -> None:
    """Check that the zip file does not hold an archive only.

    Raises:
        InvalidDatasetError: it does.
    """
    top = reader.read()
    if not top.folders and (packed := [file for file in top.files if file.name.lower().endswith(ARCHIVE_SUFFIXES)]):
        raise InvalidDatasetError(
            f"the zip file holds the archive {reader.show((packed[0].name,))}: unpack it, and make a zip file of its "
            "folders"
        )


def _sync(file: IO[bytes]) -> None:
    file.flush()
    os.fsync(file.fileno())
