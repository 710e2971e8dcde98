"""Datasets: find, verify, read, fingerprint, and the order of the batches.

`prepare` brings a dataset into the cache, laid out so that each framework can
read it in its own idiom: MNIST as `MNIST/raw/*`, which torchvision expects
and TensorFlow reads with `tf.io`. The fingerprints of the arrays then prove
that both hold the same data. `digits` is embedded, and one's own are folders
of pictures (`shared/folders.py`): these need no preparing.

    python -m shared.data.datasets [name ...]     prepare, downloading what is missing
"""

import gzip
import hashlib
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from shared.data import image_folder
from shared.data.image_folder import PictureFiles
from shared.data.images import Preparation
from shared.errors import InvalidRequestError, MissingDatasetError
from shared.names import is_name
from shared.process import write_atomically
from shared.settings import Settings

CONNECT_TIMEOUT_S = 3

SplitName = Literal["train", "test"]


@dataclass(frozen=True)
class Split:
    """images uint8 [N, H, W, C], labels int64 [N]."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class IdxFile:
    """One gzipped IDX file: its name, its unpacked size, and the MD5 of its two forms.

    Where no MD5 of the unpacked form is published, that of the packed one is all there is.
    """

    name: str
    size: int
    md5_gz: str
    md5: str | None = None


@dataclass(frozen=True)
class Dataset:
    """What is known of a dataset without reading it.

    `folder` is its place in the cache. A dataset without one is embedded, or
    one's own: then `pictures` are its files. `prepare` says what becomes of a
    picture that has not its shape.
    """

    name: str
    shape: tuple[int, int, int]
    classes: tuple[str, ...]
    sizes: dict[SplitName, int]
    folder: str | None = None
    files: tuple[IdxFile, ...] = ()
    mirrors: tuple[str, ...] = ()
    pictures: dict[SplitName, PictureFiles] | None = None
    prepare: Preparation = "resize"


TEN_DIGITS = tuple("0123456789")

# Sizes are those of the unpacked files. MD5s and mirrors are those that torchvision 0.28 lists.
MNIST = Dataset(
    name="mnist",
    shape=(28, 28, 1),
    classes=TEN_DIGITS,
    sizes={"train": 60_000, "test": 10_000},
    folder="MNIST/raw",
    files=(
        IdxFile(
            "train-images-idx3-ubyte",
            47_040_016,
            "f68b3c2dcbeaaa9fbdd348bbdeb94873",
            "6bbc9ace898e44ae57da46a324031adb",
        ),
        IdxFile(
            "train-labels-idx1-ubyte", 60_008, "d53e105ee54ea40749a09fcbcd1e9432", "a25bea736e30d166cdddb491f175f624"
        ),
        IdxFile(
            "t10k-images-idx3-ubyte", 7_840_016, "9fb629c4189551a2d022fa330f9573f3", "2646ac647ad5339dbf082846283269ea"
        ),
        IdxFile(
            "t10k-labels-idx1-ubyte", 10_008, "ec29112dd5afa0611ce80d1b7f02629c", "27ae3e4e09519cfbb04c329615203637"
        ),
    ),
    mirrors=("https://ossci-datasets.s3.amazonaws.com/mnist/", "http://yann.lecun.com/exdb/mnist/"),
    prepare="ink",
)

FASHION_MNIST = replace(
    MNIST,
    name="fashion-mnist",
    classes=(
        *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
        *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
    ),
    folder="FashionMNIST/raw",
    files=(
        IdxFile("train-images-idx3-ubyte", 47_040_016, "8d4fb7e6c68d591d4c3dfef9ec88bf0d"),
        IdxFile("train-labels-idx1-ubyte", 60_008, "25c81989df183df01b3e8a0aad5dffbe"),
        IdxFile("t10k-images-idx3-ubyte", 7_840_016, "bef4ecab320f06d8554ea6380940ec79"),
        IdxFile("t10k-labels-idx1-ubyte", 10_008, "bb300cfdad3c16e7a12a480ee83cd310"),
    ),
    mirrors=("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",),
    prepare="resize",
)

# Optical Recognition of Handwritten Digits (E. Alpaydin and C. Kaynak, UCI,
# CC BY 4.0), as scikit-learn carries it: 8 x 8 pixels of 17 grey levels,
# scaled by 255/16; a fifth is the test split, stratified by label.
DIGITS = Dataset(name="digits", shape=(8, 8, 1), classes=TEN_DIGITS, sizes={"train": 1_437, "test": 360})

DATASETS = {dataset.name: dataset for dataset in (MNIST, FASHION_MNIST, DIGITS)}


def names(settings: Settings) -> list[str]:
    """The built-in datasets, then one's own: folders under `data_dir` that hold a folder `train`."""
    try:
        own = sorted(entry.name for entry in os.scandir(settings.data_dir) if Path(entry.path, "train").is_dir())
    except OSError:
        own = []
    return [*DATASETS, *(name for name in own if is_name(name) and name not in DATASETS)]


def find(name: str, settings: Settings) -> Dataset:
    """The dataset of that name.

    Raises:
        InvalidRequestError: there is none; the message lists those there are.
        InvalidDatasetError: it is one's own and not laid out as it must be.
    """
    if name in DATASETS:
        return DATASETS[name]
    if not is_name(name) or not (settings.data_dir / name).is_dir():
        raise InvalidRequestError(f"unknown dataset {name[:80]!r}: choose one of {', '.join(names(settings))}")
    own = image_folder.describe(settings.data_dir / name)
    sizes: dict[SplitName, int] = {"train": len(own.train), "test": len(own.test)}
    pictures: dict[SplitName, PictureFiles] = {"train": own.train, "test": own.test}
    return Dataset(name, own.shape, own.classes, sizes, pictures=pictures, prepare=own.prepare)


def is_ready(dataset: Dataset, settings: Settings) -> bool:
    """Whether the dataset lies in the cache, whole; it was verified on its way in."""
    folder = settings.cache_dir / (dataset.folder or "")
    return all((folder / f.name).is_file() and (folder / f.name).stat().st_size == f.size for f in dataset.files)


def prepare(dataset: Dataset, settings: Settings, download: bool = False, timeout_s: float = 10) -> None:
    """Bring a dataset into the cache from `data_dir`, or from its mirrors.

    Raises:
        MissingDatasetError: it is nowhere to be had; the message says what to do.
    """
    if is_ready(dataset, settings):
        return
    folder = settings.cache_dir / (dataset.folder or "")
    for file in dataset.files:
        packed = settings.data_dir / dataset.name / f"{file.name}.gz"
        if packed.is_file():
            _store(packed.read_bytes(), file, folder)
        elif download:
            _store(_download(dataset, file, timeout_s), file, folder)
        else:
            raise MissingDatasetError(
                f"dataset {dataset.name!r} is not here: set TANDEM_DATA_DIR to a folder that holds "
                f"{dataset.name}/{file.name}.gz and its sisters, or let `python -m shared.data.datasets` "
                f"download it; 'digits' is always here"
            )


def _store(packed: bytes, file: IdxFile, folder: Path) -> None:
    """Unpack, verify, and move into place: a file in the cache is a good one."""
    try:
        data = gzip.decompress(packed)
    except (OSError, EOFError) as error:
        raise MissingDatasetError(f"{file.name}.gz cannot be unpacked: {error}") from error
    if not (_md5(packed) == file.md5_gz or _md5(data) == file.md5):
        raise MissingDatasetError(f"{file.name}.gz is not the published file: its MD5 differs")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(folder / file.name, data)
    except OSError as error:
        raise MissingDatasetError(f"the data cache cannot be written: {error}") from error


def _md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def _download(dataset: Dataset, file: IdxFile, timeout_s: float) -> bytes:
    import requests  # only whoever downloads needs it

    reasons = []
    for mirror in dataset.mirrors:
        url = f"{mirror}{file.name}.gz"
        try:
            answer = requests.get(url, timeout=(CONNECT_TIMEOUT_S, timeout_s))
            answer.raise_for_status()
        except requests.RequestException as error:
            reasons.append(f"{mirror}: {type(error).__name__}")
            continue
        if _md5(answer.content) == file.md5_gz:
            return answer.content
        reasons.append(f"{mirror}: the MD5 differs")
    raise MissingDatasetError(f"{file.name} could not be downloaded ({'; '.join(reasons)})")


def verify(dataset: Dataset) -> None:
    """Open every picture of one's own dataset.

    Raises:
        InvalidDatasetError: one is broken; the message names it.
    """
    for pictures in (dataset.pictures or {}).values():
        image_folder.verify(pictures, dataset.shape)


def read_neutral(dataset: Dataset, split: SplitName, count: int | None = None) -> Split:
    """A split of a dataset that no framework knows: embedded beside this file, or one's own pictures."""
    if dataset.pictures is not None:
        return Split(*image_folder.read(dataset.pictures[split][:count], dataset.shape, dataset.prepare))
    with np.load(Path(__file__).with_name(f"{dataset.name}.npz"), allow_pickle=False) as arrays:
        return Split(arrays[f"{split}_images"][:count], arrays[f"{split}_labels"][:count].astype(np.int64))


def read(dataset: Dataset, split: SplitName, settings: Settings, count: int | None = None) -> Split:
    """A split, or its first `count` examples, as NumPy reads it: the oracle of the backends' readers."""
    if dataset.folder is None:
        return read_neutral(dataset, split, count)
    count = dataset.sizes[split] if count is None else min(count, dataset.sizes[split])
    images, labels = dataset.files[0:2] if split == "train" else dataset.files[2:4]
    folder = settings.cache_dir / dataset.folder
    pixels = np.fromfile(folder / images.name, np.uint8, count * int(np.prod(dataset.shape)), offset=16)
    return Split(
        pixels.reshape(count, *dataset.shape),
        np.fromfile(folder / labels.name, np.uint8, count, offset=8).astype(np.int64),
    )


def fingerprint(split: Split) -> str:
    """The sha256 of shapes, dtypes and bytes: equal only for equal data."""
    digest = hashlib.sha256()
    for array in (split.images, split.labels):
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return f"sha256:{digest.hexdigest()}"


def main(asked: list[str], say: Callable[[str], object] = print) -> int:
    """Prepare datasets; a missing network is told and is no failure."""
    settings = Settings.from_env()
    for dataset in [find(name, settings) for name in asked] or DATASETS.values():
        try:
            prepare(dataset, settings, download=True)
            say(f"dataset {dataset.name}: ready")
        except MissingDatasetError as error:
            say(f"dataset {dataset.name}: not available, going on without it ({error})")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
