"""Reads uploaded datasets. Only the gateway writes them (`upload_store.py`); trainers and load tests read.

    <uploads>/<name>.json                   which version is the newest one: an `UploadRecord`
    <uploads>/versions/<name>.<version>/    {train,test}-{images,labels}.npy and record.json, never changed
    <uploads>/incoming/                     what is not complete yet

A file is replaced in one step, so a reader finds the old or the new version. A job names the version that it was
submitted with. Its runs read that version, whatever was uploaded since.
"""

import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from shared.data.catalog import Dataset, SplitName, UploadedArrays
from shared.data.images import Preparation
from shared.errors import MissingDatasetError
from shared.names import is_name

VERSION = re.compile(r"[0-9a-f]{32}")
SPLITS: tuple[SplitName, ...] = ("train", "test")


class UploadRecord(BaseModel):
    """What is stored about one version of an uploaded dataset.

    Attributes:
        format: of this file and of the arrays.
        stored_bytes: of the arrays.
        uploaded_at: in ISO 8601.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    format: Literal[1] = 1
    name: str
    version: str
    shape: tuple[int, int, int]
    classes: tuple[str, ...]
    sizes: dict[SplitName, int]
    preparation: Preparation
    notes: tuple[str, ...]
    stored_bytes: int
    uploaded_at: str


def pointer_of(uploads: Path, name: str) -> Path:
    """Return the file that says which version of a dataset is the newest one."""
    return uploads / f"{name}.json"


def folder_of(uploads: Path, name: str, version: str) -> Path:
    """Return the folder of one version of a dataset."""
    return uploads / "versions" / f"{name}.{version}"


def array_file(folder: Path, split: SplitName, kind: Literal["images", "labels"]) -> Path:
    """Return the file with the images or the labels of a split."""
    return folder / f"{split}-{kind}.npy"


def begin_digest(name: str, shape: tuple[int, int, int], classes: tuple[str, ...], preparation: Preparation) -> Any:
    """Return the sha256 that becomes a version, before the images and labels of each split are added to it."""
    return hashlib.sha256(repr((name, shape, classes, preparation)).encode())


def list_names(uploads: Path) -> list[str]:
    """Return the names of all uploaded datasets, in alphabetical order."""
    return sorted(path.stem for path in uploads.glob("*.json") if is_name(path.stem))


def find_newest(uploads: Path, name: str) -> Dataset | None:
    """Return the newest version of an uploaded dataset, or None if there is none of that name."""
    record = read_record(pointer_of(uploads, name)) if is_name(name) else None
    return dataset_of(uploads, record) if record else None


def find_version(uploads: Path, name: str, version: str) -> Dataset:
    """Return one version of an uploaded dataset.

    Raises:
        MissingDatasetError: it is not there any more.
    """
    is_valid = is_name(name) and VERSION.fullmatch(version)
    record = read_record(folder_of(uploads, name, version) / "record.json") if is_valid else None
    if record is None:
        raise missing_version(name)
    return dataset_of(uploads, record)


def parse_record(data: bytes) -> UploadRecord | None:
    """Return a record, or None if the bytes are no record that this version of Tandem reads."""
    try:
        return UploadRecord.model_validate(json.loads(data))
    except (ValueError, ValidationError):
        return None


def read_record(path: Path) -> UploadRecord | None:
    """Return a record, or None if the file is missing or is no record that this version of Tandem reads."""
    try:
        return parse_record(path.read_bytes())
    except OSError:
        return None


def dataset_of(uploads: Path, record: UploadRecord, fetch: Callable[[], None] | None = None) -> Dataset:
    """Return the dataset that a record describes. `fetch` is as in `UploadedArrays`."""
    folder = folder_of(uploads, record.name, record.version)
    upload = UploadedArrays(folder, record.version, record.stored_bytes, record.uploaded_at, fetch)
    return Dataset(
        record.name,
        record.shape,
        record.classes,
        record.sizes,
        upload=upload,
        preparation=record.preparation,
        notes=record.notes,
    )


def read_arrays(
    name: str, upload: UploadedArrays, split: SplitName, count: int | None = None
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Read the first pictures of a split: images uint8 [N, H, W, C], labels int64 [N].

    Args:
        name: of the dataset, for messages.
        upload: where the arrays lie.
        split: which split.
        count: how many examples; None for all.

    Raises:
        MissingDatasetError: this version is not there any more.
    """
    images, labels = map_arrays(name, upload, split)
    return np.array(images[:count]), np.array(labels[:count])


def map_arrays(name: str, upload: UploadedArrays, split: SplitName) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return the arrays of a split, mapped into memory: only the pages that are used are read. See `read_arrays`."""
    if upload.fetch:
        upload.fetch()
    try:
        images = np.load(array_file(upload.folder, split, "images"), mmap_mode="r", allow_pickle=False)
        labels = np.load(array_file(upload.folder, split, "labels"), mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError):
        raise missing_version(name) from None
    return images, labels


def missing_version(name: str) -> MissingDatasetError:
    """Return the error for a version of a dataset that was removed."""
    return MissingDatasetError(
        f"dataset {name[:80]!r} was replaced or deleted since, and this version of it is gone: submit the work again"
    )
