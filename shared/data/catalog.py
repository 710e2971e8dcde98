"""The built-in datasets: their names, shapes, classes, files and checksums.

This module only describes. `cache.py` fetches the files, `splits.py` reads them.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from shared.data.image_folder import PictureFiles
from shared.data.images import Preparation

SplitName = Literal["train", "test"]


@dataclass(frozen=True)
class IdxFile:
    """One file in the IDX format, in which MNIST is published.

    Attributes:
        name: the name of the unpacked file. The published file is called `<name>.gz`.
        size: bytes of the unpacked file.
        md5_gz: MD5 of the published file, in hexadecimal.
        md5: MD5 of the unpacked file, in hexadecimal.
    """

    name: str
    size: int
    md5_gz: str
    md5: str


@dataclass(frozen=True)
class UploadedArrays:
    """Where the pictures of an uploaded dataset lie. See `uploaded_datasets.py`.

    Attributes:
        folder: holds the arrays of this version.
        version: a digest of everything that a training reads. Another content has another version.
        stored_bytes: of all its files.
        uploaded_at: when it was uploaded, in ISO 8601.
        fetch: makes sure that the arrays lie in the folder; None if they always do.
    """

    folder: Path
    version: str
    stored_bytes: int
    uploaded_at: str
    fetch: Callable[[], None] | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Dataset:
    """What is known of a dataset without reading its pictures.

    A dataset has one of four sources: IDX files in the cache (`folder` is set), a user's pictures (`pictures` is
    set), an uploaded zip file (`upload` is set), or a file inside this package (none of them is set).

    Attributes:
        name: the name in requests.
        shape: [height, width, channels] of every picture.
        classes: class names; a label is an index into them.
        sizes: how many pictures each split has.
        folder: the dataset's folder inside the cache.
        files: training images, training labels, test images, test labels.
        mirrors: URLs of folders that hold the published files, tried in this order.
        pictures: the user's picture files of each split.
        upload: the arrays that an uploaded zip file became.
        preparation: how a picture of another size or mode is brought to `shape`.
        notes: what the user should know about how a folder of pictures was read.
    """

    name: str
    shape: tuple[int, int, int]
    classes: tuple[str, ...]
    sizes: dict[SplitName, int]
    folder: str | None = None
    files: tuple[IdxFile, ...] = ()
    mirrors: tuple[str, ...] = ()
    pictures: dict[SplitName, PictureFiles] | None = None
    upload: UploadedArrays | None = None
    preparation: Preparation = "resize"
    notes: tuple[str, ...] = ()

    @property
    def version(self) -> str | None:
        """The version of an uploaded dataset, which jobs name so that all their runs read the same; else None."""
        return self.upload.version if self.upload else None


TEN_DIGITS = tuple("0123456789")

# The mirrors of MNIST and Fashion-MNIST, and the checksums of the packed files, are those that torchvision 0.28 lists.
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
            "train-labels-idx1-ubyte",
            60_008,
            "d53e105ee54ea40749a09fcbcd1e9432",
            "a25bea736e30d166cdddb491f175f624",
        ),
        IdxFile(
            "t10k-images-idx3-ubyte",
            7_840_016,
            "9fb629c4189551a2d022fa330f9573f3",
            "2646ac647ad5339dbf082846283269ea",
        ),
        IdxFile(
            "t10k-labels-idx1-ubyte",
            10_008,
            "ec29112dd5afa0611ce80d1b7f02629c",
            "27ae3e4e09519cfbb04c329615203637",
        ),
    ),
    mirrors=("https://ossci-datasets.s3.amazonaws.com/mnist/", "http://yann.lecun.com/exdb/mnist/"),
    preparation="ink",
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
        IdxFile(
            "train-images-idx3-ubyte",
            47_040_016,
            "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
            "f4a8712d7a061bf5bd6d2ca38dc4d50a",
        ),
        IdxFile(
            "train-labels-idx1-ubyte",
            60_008,
            "25c81989df183df01b3e8a0aad5dffbe",
            "9018921c3c673c538a1fc5bad174d6f9",
        ),
        IdxFile(
            "t10k-images-idx3-ubyte",
            7_840_016,
            "bef4ecab320f06d8554ea6380940ec79",
            "8181f5470baa50b63fa0f6fddb340f0a",
        ),
        IdxFile(
            "t10k-labels-idx1-ubyte",
            10_008,
            "bb300cfdad3c16e7a12a480ee83cd310",
            "15d484375f8d13e6eb1aabb0c3f46965",
        ),
    ),
    mirrors=("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",),
    preparation="resize",
)

# Optical Recognition of Handwritten Digits (E. Alpaydin and C. Kaynak, UCI, CC BY 4.0), taken from scikit-learn.
# Its 8 x 8 pixels have 17 grey levels, which are scaled by 255/16. A fifth is the test split, stratified by label.
# The arrays are in `digits.npz`.
DIGITS = Dataset(name="digits", shape=(8, 8, 1), classes=TEN_DIGITS, sizes={"train": 1_437, "test": 360})

DATASETS = {dataset.name: dataset for dataset in (MNIST, FASHION_MNIST, DIGITS)}
