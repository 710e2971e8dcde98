"""The data of the candidates: two bases, defects that are planted in them, and changes that are none."""

import gzip
import io
import json
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from shared.data import datasets
from shared.data.splits import Split
from shared.settings import Settings

CLASSES = 10


@dataclass(frozen=True)
class Data:
    """A training split, a test split, and pictures that are in neither."""

    train: Split
    test: Split
    spare: Split


Change = Callable[[Data, np.random.Generator], Data]
"""Returns other data, made of the base's. Most changes are defects."""


def read_digits(settings: Settings) -> Data:
    """Return `digits` with a fifth of its training split kept apart."""
    found = datasets.find("digits", settings)
    train, test = (datasets.read(found, split, settings) for split in ("train", "test"))
    return Data(select(train, slice(0, 1150)), test, select(train, slice(1150, None)))


def read_mnist(folder: Path) -> Data:
    """Return 3,000 training pictures, 2,000 test pictures and 1,000 others of MNIST.

    Args:
        folder: holds the four files of MNIST, gzipped.
    """

    def read(name: str, offset: int) -> NDArray[np.uint8]:
        return np.frombuffer(gzip.decompress((folder / name).read_bytes()), np.uint8, offset=offset)

    images = read("train-images-idx3-ubyte.gz", 16).reshape(-1, 28, 28, 1)
    train = Split(images, read("train-labels-idx1-ubyte.gz", 8).astype(np.int64))
    test_images = read("t10k-images-idx3-ubyte.gz", 16).reshape(-1, 28, 28, 1)
    test = Split(test_images, read("t10k-labels-idx1-ubyte.gz", 8).astype(np.int64))
    return Data(select(train, slice(0, 3000)), select(test, slice(0, 2000)), select(train, slice(3000, 4000)))


def select(split: Split, places: slice | NDArray[np.int64]) -> Split:
    """Return some pictures of a split."""
    return Split(split.images[places], split.labels[places])


def join(*splits: Split) -> Split:
    """Return the pictures of several splits as one."""
    return Split(np.concatenate([one.images for one in splits]), np.concatenate([one.labels for one in splits]))


def pack(data: Data) -> bytes:
    """Return a zip file of a dataset, as it is uploaded."""
    size, channels = data.train.images.shape[1:3], data.train.images.shape[3]
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("dataset.json", json.dumps({"size": list(size), "channels": channels, "prepare": "resize"}))
        for name, split in (("train", data.train), ("test", data.test)):
            for index, (image, label) in enumerate(zip(split.images, split.labels, strict=True)):
                picture = io.BytesIO()
                Image.fromarray(image[..., 0]).save(picture, "PNG", compress_level=1)
                archive.writestr(f"{name}/{label}/{index}.png", picture.getvalue())
    return buffer.getvalue()


# Defects -------------------------------------------------------------------


def shuffled(share: float, *, in_train: bool = True, in_test: bool = True) -> Change:
    """Return a change: a share of the labels is shuffled."""

    def change(data: Data, rng: np.random.Generator) -> Data:
        def shuffle(split: Split) -> Split:
            chosen = rng.permutation(len(split))[: round(share * len(split))]
            labels = split.labels.copy()
            labels[chosen] = rng.permutation(labels[chosen])
            return Split(split.images, labels)

        return _apply(data, shuffle, in_train, in_test)

    return change


def swapped(*, in_train: bool = True, in_test: bool = True) -> Change:
    """Return a change: two classes have each other's labels."""

    def change(data: Data, rng: np.random.Generator) -> Data:
        one, other = rng.permutation(CLASSES)[:2]
        names = np.arange(CLASSES)
        names[[one, other]] = other, one
        return _apply(data, lambda split: Split(split.images, names[split.labels]), in_train, in_test)

    return change


def inverted(share: float = 1, *, in_test: bool = True) -> Change:
    """Return a change: a share of the pictures is inverted."""
    return _repainted(lambda images: 255 - images, share, in_test)


def transposed(share: float = 1, *, in_test: bool = True) -> Change:
    """Return a change: rows and columns of a share of the pictures are exchanged."""
    return _repainted(lambda images: images.transpose(0, 2, 1, 3), share, in_test)


def leaked(share: float, noise: float = 0) -> Change:
    """Return a change: a share of the test pictures is in the training split, too.

    Args:
        share: of the test pictures.
        noise: its standard deviation, in values of a pixel.
    """

    def change(data: Data, rng: np.random.Generator) -> Data:
        chosen = select(data.test, rng.permutation(len(data.test))[: round(share * len(data.test))])
        noisy = np.clip(chosen.images + rng.normal(0, noise, chosen.images.shape), 0, 255).round().astype(np.uint8)
        return Data(join(data.train, Split(noisy, chosen.labels)), data.test, data.spare)

    return change


def _repainted(paint: Callable[[NDArray[np.uint8]], NDArray[np.uint8]], share: float, in_test: bool) -> Change:
    def change(data: Data, rng: np.random.Generator) -> Data:
        def repaint(split: Split) -> Split:
            images, chosen = split.images.copy(), rng.permutation(len(split))[: round(share * len(split))]
            images[chosen] = paint(images[chosen])
            return Split(images, split.labels)

        return _apply(data, repaint, True, in_test)

    return change


def _apply(data: Data, change: Callable[[Split], Split], in_train: bool, in_test: bool) -> Data:
    return Data(change(data.train) if in_train else data.train, change(data.test) if in_test else data.test, data.spare)


# Changes that are no defects -----------------------------------------------


def unchanged(data: Data, rng: np.random.Generator) -> Data:  # noqa: ARG001 - every change takes both
    """Return the base's data."""
    return data


def resampled(data: Data, rng: np.random.Generator) -> Data:
    """Return the same pictures in new splits."""
    everything = join(data.train, data.test)
    order = rng.permutation(len(everything))
    border = len(data.train)
    return Data(select(everything, order[:border]), select(everything, order[border:]), data.spare)


def enlarged(data: Data, rng: np.random.Generator) -> Data:
    """Return the data with some new pictures in the training split."""
    added = select(data.spare, rng.permutation(len(data.spare))[: len(data.spare) // 2])
    return Data(join(data.train, added), data.test, data.spare)
