"""A user's own dataset: a folder of labelled pictures, read as NumPy arrays.

    <name>/train/<class>/*      the folder's name is the class name
    <name>/test/<class>/*       optional; without it, a fifth of every class becomes the test split
    <name>/dataset.json         optional: {"size": 28, "channels": 1, "prepare": "resize"}

`folder_layout.py` accepts some other layouts, too. Pictures may have any size and mode, and any of
`images.PICTURE_FORMATS`. `images.py` brings each one to the dataset's size, as it does with posted pictures, so
training and prediction see the same. This module writes nothing: the folder may be read-only.
"""

import os
from itertools import zip_longest
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from shared.data import images
from shared.data.folder_description import read_description
from shared.data.folder_entries import FolderReader, show_name
from shared.data.folder_layout import ClassFolders, find_layout
from shared.data.images import Preparation
from shared.errors import InvalidDatasetError, InvalidImageError
from shared.network.layers import Shape

TEST_SHARE = 0.2  # The share of each class that becomes the test split if there is no folder `test`.
MAX_DATASET_BYTES = 2**30  # Both splits together may take this much memory, at one byte per value.


class PictureFile(NamedTuple):
    """A picture file of a dataset. A changed file compares as different.

    Attributes:
        data_folder: the folder that holds the dataset's folder; absolute, or relative to the working directory.
        place: the path below it, which begins with the dataset's name.
        label: index of its class.
        size: bytes.
        changed_ns: when the content or the rights of the file last changed, in nanoseconds since 1970.
    """

    data_folder: str
    place: str
    label: int
    size: int
    changed_ns: int

    @property
    def path(self) -> str:
        """The path of the file."""
        return os.path.join(self.data_folder, self.place)

    @property
    def shown(self) -> str:
        """The file's name for messages, such as `pets/train/cat/1.png`."""
        return show_name(self.place)


PictureFiles = tuple[PictureFile, ...]


class ImageFolder(NamedTuple):
    """What is known of a user's dataset without opening a picture.

    Attributes:
        shape: [height, width, channels] that every picture is brought to.
        classes: names of the class folders in Unicode's form NFC, in alphabetical order.
        train: files of the training split; the classes alternate.
        test: files of the test split; the classes alternate.
        preparation: how pictures are brought to `shape`.
        notes: what the user should know about how the folder was read.
    """

    shape: tuple[int, int, int]
    classes: tuple[str, ...]
    train: PictureFiles
    test: PictureFiles
    preparation: Preparation
    notes: tuple[str, ...] = ()


def describe_folder(folder: Path) -> ImageFolder:
    """List the classes and picture files of a user's dataset.

    Args:
        folder: its folder. The folder's name is the dataset's name.

    Raises:
        InvalidDatasetError: the folder is not laid out as described above. The message says what to change.
    """
    return describe_pictures(FolderReader(folder))


def describe_pictures(reader: FolderReader) -> ImageFolder:
    """Do as `describe_folder`, for the folder of a reader."""
    name = reader.name
    layout = find_layout(reader)
    description = read_description(reader, [layout.base[:depth] for depth in range(len(layout.base) + 1)])
    classes = tuple(layout.train)
    if len(classes) < 2:
        existing = f"only {classes[0]!r}" if classes else "none"
        raise InvalidDatasetError(
            f"dataset {name!r} needs two or more classes; it has {existing}: add a folder for each to {layout.place}"
        )
    train = _list_pictures(reader, layout.train, classes)
    for pictures, folders in zip(train, layout.train.values(), strict=True):
        if not pictures:
            raise InvalidDatasetError(f"{reader.show(folders[0])} holds no pictures: add some, or remove the folder")
    if layout.test is not None:
        test = _list_pictures(reader, layout.test, classes)
    else:
        train, test = _split_classes(train)
    if not any(test) and layout.test is not None:
        raise InvalidDatasetError(f"dataset {name!r} has a test split without pictures: add some, or remove its folder")
    if not any(test):
        raise InvalidDatasetError(
            f"dataset {name!r} has no picture left to test with: add pictures to a class, or add a folder 'test'"
        )
    notes = (*layout.notes, *reader.describe_skipped())
    found = ImageFolder(description.shape, classes, _alternate(train), _alternate(test), description.prepare, notes)
    size = (len(found.train) + len(found.test)) * int(np.prod(found.shape))
    if size > MAX_DATASET_BYTES:
        raise InvalidDatasetError(
            f"dataset {name!r} would take {size:,} bytes of memory, and the limit is {MAX_DATASET_BYTES:,}: "
            f"set a smaller `size` in {name}/dataset.json, or use fewer pictures"
        )
    return found


def _list_pictures(reader: FolderReader, folders: ClassFolders, classes: tuple[str, ...]) -> list[PictureFiles]:
    """Return the picture files of each class. A class without a folder has none.

    Raises:
        InvalidDatasetError: a class folder holds something that is not a file.
    """
    data_folder = str(reader.root.parent)
    pictures = []
    for label, class_name in enumerate(classes):
        found = []
        for path in folders.get(class_name, ()):
            entries = reader.read(*path)
            if wrong := [*entries.folders, *entries.others]:
                raise InvalidDatasetError(
                    f"{reader.show((*path, wrong[0]))} is not a file: move it out of the class folder"
                )
            place = "/".join((reader.root.name, *path))
            for entry in entries.files:
                found.append(PictureFile(data_folder, f"{place}/{entry.name}", label, entry.size, entry.changed_ns))
        pictures.append(tuple(found))
    return pictures


def _alternate(classes: list[PictureFiles]) -> PictureFiles:
    """Join the classes by taking one picture of each in turn, so that the first pictures show every class."""
    return tuple(picture for turn in zip_longest(*classes) for picture in turn if picture is not None)


def _split_classes(classes: list[PictureFiles]) -> tuple[list[PictureFiles], list[PictureFiles]]:
    """Draw a fifth of each class for the test split.

    The draw depends only on the label and on the number of files, so it is the same every time. A class of one
    picture has no test picture. A class of two or more has at least one.

    Returns:
        The training pictures of each class, and the test pictures of each class.
    """
    train, test = [], []
    for label, pictures in enumerate(classes):
        count = 0 if len(pictures) == 1 else max(1, round(TEST_SHARE * len(pictures)))
        order = np.random.Generator(np.random.PCG64([0, label])).permutation(len(pictures))
        drawn = set(order[:count].tolist())
        test.append(tuple(picture for index, picture in enumerate(pictures) if index in drawn))
        train.append(tuple(picture for index, picture in enumerate(pictures) if index not in drawn))
    return train, test


def read_pictures(
    pictures: PictureFiles, shape: Shape, preparation: Preparation = "resize"
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Decode picture files and bring them to one shape.

    Args:
        pictures: N files.
        shape: [H, W, C] of each picture in the result.
        preparation: how a picture of another size or mode is brought to `shape`.

    Returns:
        Images uint8 [N, H, W, C], and labels int64 [N].

    Raises:
        InvalidDatasetError: a picture cannot be read. The message names it.
    """
    pixels = np.empty((len(pictures), *shape), np.uint8)
    for index, picture in enumerate(pictures):
        pixels[index] = read_picture(picture, shape, preparation)
    return pixels, np.array([picture.label for picture in pictures], np.int64)


def read_picture(picture: PictureFile, shape: Shape, preparation: Preparation = "resize") -> NDArray[np.uint8]:
    """Decode one picture file: uint8 [H, W, C]. See `read_pictures` for arguments and errors."""
    try:
        data = Path(picture.path).read_bytes()
        return images.prepare_picture(data, shape, picture.shown, preparation).pixels
    except InvalidImageError as error:
        raise InvalidDatasetError(f"{error}: replace the file, or remove it from the folder") from None
    except OSError as error:
        raise InvalidDatasetError(f"{picture.shown} cannot be read: {error.strerror}") from None
