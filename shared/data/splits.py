"""Splits of a dataset as NumPy arrays, and their fingerprints.

A fingerprint proves that two readers hold the same data: each framework reads MNIST with its own functions, and
`read` here is what the tests compare them with.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shared.data import image_folder, uploaded_datasets
from shared.data.catalog import Dataset, SplitName
from shared.settings import Settings

# Bytes before the values of an IDX file: 4 bytes of type, then 4 bytes for each dimension (yann.lecun.com/exdb/mnist).
IMAGES_HEADER_BYTES = 16
LABELS_HEADER_BYTES = 8


@dataclass(frozen=True)
class Split:
    """Labelled pictures.

    Attributes:
        images: uint8 [N, H, W, C].
        labels: int64 [N], indices into the dataset's classes.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)


def read_uncached(dataset: Dataset, split: SplitName, count: int | None = None) -> Split:
    """Read a split of a dataset that no framework has a reader for: the embedded one, and a user's own pictures.

    Args:
        dataset: one that does not use the cache.
        split: which split.
        count: how many examples to read from the beginning; None for all.

    Raises:
        InvalidDatasetError: a user's picture cannot be read.
        MissingDatasetError: an uploaded dataset was replaced or deleted, and nothing needed this version.
    """
    if dataset.upload is not None:
        return Split(*uploaded_datasets.read_arrays(dataset.name, dataset.upload, split, count))
    if dataset.pictures is not None:
        return Split(*image_folder.read_pictures(dataset.pictures[split][:count], dataset.shape, dataset.preparation))
    with np.load(Path(__file__).with_name(f"{dataset.name}.npz"), allow_pickle=False) as arrays:
        return Split(arrays[f"{split}_images"][:count], arrays[f"{split}_labels"][:count].astype(np.int64))


def read(dataset: Dataset, split: SplitName, settings: Settings, count: int | None = None) -> Split:
    """Read a split of any dataset with NumPy.

    Args:
        dataset: its files must be in the cache, if it uses the cache.
        split: which split.
        settings: say where the cache is.
        count: how many examples to read from the beginning; None for all.

    Raises:
        InvalidDatasetError: a user's picture cannot be read.
        MissingDatasetError: an uploaded dataset was replaced or deleted, and nothing needed this version.
    """
    if dataset.folder is None:
        return read_uncached(dataset, split, count)
    count = dataset.sizes[split] if count is None else min(count, dataset.sizes[split])
    images, labels = dataset.files[0:2] if split == "train" else dataset.files[2:4]
    folder = settings.cache_dir / dataset.folder
    values = count * int(np.prod(dataset.shape))
    pixels = np.fromfile(folder / images.name, np.uint8, values, offset=IMAGES_HEADER_BYTES)
    return Split(
        pixels.reshape(count, *dataset.shape),
        np.fromfile(folder / labels.name, np.uint8, count, offset=LABELS_HEADER_BYTES).astype(np.int64),
    )


def fingerprint(split: Split) -> str:
    """Return `sha256:<hexadecimal>` of the arrays' dtypes, shapes and bytes. Only equal data has an equal one."""
    digest = hashlib.sha256()
    for array in (split.images, split.labels):
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return f"sha256:{digest.hexdigest()}"
