"""Reads single pictures of a dataset, fast enough for a page that shows a hundred of them, and ranges of pictures.

Pictures of MNIST and of uploads are read from files that are mapped into memory. A folder is listed again only when
some seconds have passed.
"""

from collections import OrderedDict
from functools import lru_cache
from threading import Lock
from time import monotonic

import numpy as np
from numpy.typing import NDArray

from shared.data import datasets
from shared.data.catalog import Dataset, SplitName
from shared.data.image_folder import read_picture, read_pictures
from shared.data.splits import IMAGES_HEADER_BYTES, LABELS_HEADER_BYTES, Split, read_uncached
from shared.data.uploaded_datasets import map_arrays
from shared.errors import NotFoundError
from shared.settings import Settings

KEPT_S = 5.0  # how long the list of a folder's files is used again
MAX_KEPT = 8  # lists of folders
MAX_RANGE_BYTES = 32 * 2**20  # of the pictures that `read_range` returns


class SinglePictures:
    """Reads pictures by their index. Several threads may use it.

    Args:
        settings: where the datasets are.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._kept: OrderedDict[str, tuple[float, Dataset]] = OrderedDict()
        self._lock = Lock()

    def read(self, name: str, split: SplitName, index: int) -> tuple[NDArray[np.uint8], int]:
        """Return a picture as a model sees it, uint8 [H, W, C], and its label.

        Raises:
            NotFoundError: the split has no picture of this index.
            InvalidRequestError: there is no such dataset.
            InvalidDatasetError: the operator's folder, or the picture in it, cannot be used.
            MissingDatasetError: the dataset is not on this machine.
        """
        dataset = self._find(name)
        self._check_index(dataset, split, index)
        if dataset.pictures is not None:
            picture = dataset.pictures[split][index]
            return read_picture(picture, dataset.shape, dataset.preparation), picture.label
        images, labels = self._arrays(dataset, split)
        return np.array(images[index]), int(labels[index])

    def read_range(self, name: str, split: SplitName, first: int, count: int) -> tuple[Split, int]:
        """Return pictures as a model sees them, and how many the split has.

        Args:
            name: of the dataset.
            split: which split.
            first: the index of the first picture.
            count: how many pictures at most. Fewer are returned at the end of the split, and before MAX_RANGE_BYTES is
                exceeded; at least one is returned.

        Raises:
            NotFoundError: the split has no picture of the index `first`.
            InvalidRequestError: there is no such dataset.
            InvalidDatasetError: the operator's folder, or a picture in it, cannot be used.
            MissingDatasetError: the dataset is not on this machine.
        """
        dataset = self._find(name)
        total = dataset.sizes[split]
        self._check_index(dataset, split, first)
        fitting = max(1, MAX_RANGE_BYTES // int(np.prod(dataset.shape)))
        last = min(total, first + min(count, fitting))
        if dataset.pictures is not None:
            arrays = read_pictures(dataset.pictures[split][first:last], dataset.shape, dataset.preparation)
            return Split(*arrays), total
        images, labels = self._arrays(dataset, split)
        return Split(np.array(images[first:last]), np.array(labels[first:last], np.int64)), total

    @staticmethod
    def _check_index(dataset: Dataset, split: SplitName, index: int) -> None:
        if index >= dataset.sizes[split]:
            raise NotFoundError(
                f"the split {split!r} of {dataset.name!r} has the pictures 0 to {dataset.sizes[split] - 1:,}, "
                f"and no {index}"
            )

    def _find(self, name: str) -> Dataset:
        with self._lock:
            kept = self._kept.get(name)
        if kept and monotonic() - kept[0] < KEPT_S:
            return kept[1]
        dataset = datasets.find(name, self._settings)
        if dataset.pictures is not None:
            with self._lock:
                self._kept[name] = monotonic(), dataset
                self._kept.move_to_end(name)
                while len(self._kept) > MAX_KEPT:
                    self._kept.popitem(last=False)
        return dataset

    def _arrays(self, dataset: Dataset, split: SplitName) -> tuple[NDArray[np.uint8], NDArray[np.integer]]:
        """Return a split's images and labels, from which only a few are read."""
        if dataset.upload is not None:
            return map_arrays(dataset.name, dataset.upload, split)
        if dataset.folder is None:
            embedded = _read_embedded(dataset.name, split)
            return embedded.images, embedded.labels
        datasets.ensure_cached(dataset, self._settings)
        images, labels = dataset.files[0:2] if split == "train" else dataset.files[2:4]
        folder, count = self._settings.cache_dir / dataset.folder, dataset.sizes[split]
        return (
            np.memmap(folder / images.name, np.uint8, "r", IMAGES_HEADER_BYTES, (count, *dataset.shape)),
            np.memmap(folder / labels.name, np.uint8, "r", LABELS_HEADER_BYTES, (count,)),
        )


@lru_cache(maxsize=4)
def _read_embedded(name: str, split: SplitName) -> Split:
    """Return a split of a dataset inside this package. They are small."""
    return read_uncached(datasets.DATASETS[name], split)
