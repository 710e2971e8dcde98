"""A user's own dataset: a folder of labelled pictures, read as NumPy arrays.

    <name>/train/<class>/*      the folder's name is the class name
    <name>/test/<class>/*       optional; without it, a fifth of every class becomes the test split
    <name>/dataset.json         optional: {"size": 28, "channels": 1, "prepare": "resize"}

Pictures may have any size and mode, and any of `images.PICTURE_FORMATS`. `images.py` brings each one to the
dataset's size, as it does with posted pictures, so training and prediction see the same. This module writes nothing:
the folder may be read-only.
"""

import os
from functools import lru_cache
from itertools import zip_longest
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from shared.data import images
from shared.data.images import Preparation
from shared.errors import InvalidDatasetError, InvalidImageError
from shared.network.layers import Shape

TEST_SHARE = 0.2  # The share of each class that becomes the test split if there is no folder `test`.
MAX_DATASET_BYTES = 2**30  # Both splits together may take this much memory, at one byte per value.
IGNORED_FILES = ("Thumbs.db", "desktop.ini")  # File managers create them. Names with a leading dot are ignored, too.

PictureSide = Annotated[int, Field(strict=True, ge=1, le=512)]


class DatasetDescription(BaseModel):
    """The content of `dataset.json`: how the pictures become pixels."""

    model_config = ConfigDict(extra="forbid")

    size: Annotated[
        PictureSide | tuple[PictureSide, PictureSide],
        Field(description="the side of a square, or [height, width], in pixels"),
    ] = 28
    channels: Annotated[Literal[1, 3], Field(description="1 is grey, 3 is colour")] = 1
    prepare: Annotated[
        Preparation, Field(description="`ink` cuts out and centres what is drawn, `resize` only scales")
    ] = "resize"

    @property
    def shape(self) -> tuple[int, int, int]:
        """[height, width, channels]."""
        height, width = (self.size, self.size) if isinstance(self.size, int) else self.size
        return height, width, self.channels


class PictureFile(NamedTuple):
    """A picture file of a dataset. A changed file compares as different.

    Attributes:
        path: the absolute path, or relative to the working directory.
        label: index of its class.
        size: bytes.
        changed_ns: time of the last change, in nanoseconds since 1970.
    """

    path: str
    label: int
    size: int
    changed_ns: int


PictureFiles = tuple[PictureFile, ...]


class ImageFolder(NamedTuple):
    """What is known of a user's dataset without opening a picture.

    Attributes:
        shape: [height, width, channels] that every picture is brought to.
        classes: names of the folders in `train`, in alphabetical order.
        train: files of the training split; the classes alternate.
        test: files of the test split; the classes alternate.
        preparation: how pictures are brought to `shape`.
    """

    shape: tuple[int, int, int]
    classes: tuple[str, ...]
    train: PictureFiles
    test: PictureFiles
    preparation: Preparation


def describe_folder(folder: Path) -> ImageFolder:
    """List the classes and picture files of a user's dataset.

    Args:
        folder: its folder. The folder's name is the dataset's name.

    Raises:
        InvalidDatasetError: the folder is not laid out as described above. The message says what to change.
    """
    name = folder.name
    description = _read_description(folder)
    classes = _list_classes(folder, "train")
    if len(classes) < 2:
        existing = f"only {classes[0]!r}" if classes else "none"
        raise InvalidDatasetError(
            f"dataset {name!r} needs two or more classes; it has {existing}: add a folder for each to {name}/train"
        )
    train = [_list_pictures(folder, f"train/{class_name}", label) for label, class_name in enumerate(classes)]
    for class_name, pictures in zip(classes, train, strict=True):
        if not pictures:
            raise InvalidDatasetError(f"{name}/train/{class_name} holds no pictures: add some, or remove the folder")
    if (folder / "test").is_dir():
        if unknown := set(_list_classes(folder, "test")) - set(classes):
            raise InvalidDatasetError(
                f"{name}/test has the class {min(unknown)!r}, but {name}/train does not: "
                f"add it to {name}/train, or remove it from {name}/test"
            )
        test = [_list_pictures(folder, f"test/{class_name}", label) for label, class_name in enumerate(classes)]
    else:
        train, test = _split_classes(train)
    if not any(test):
        raise InvalidDatasetError(
            f"dataset {name!r} has no picture left to test with: add pictures to a class, or add {name}/test"
        )
    found = ImageFolder(description.shape, classes, _alternate(train), _alternate(test), description.prepare)
    size = (len(found.train) + len(found.test)) * int(np.prod(found.shape))
    if size > MAX_DATASET_BYTES:
        raise InvalidDatasetError(
            f"dataset {name!r} would take {size:,} bytes of memory, and the limit is {MAX_DATASET_BYTES:,}: "
            f"set a smaller `size` in {name}/dataset.json, or use fewer pictures"
        )
    return found


def _read_description(folder: Path) -> DatasetDescription:
    try:
        return DatasetDescription.model_validate_json((folder / "dataset.json").read_bytes())
    except FileNotFoundError:
        return DatasetDescription()
    except OSError as error:
        raise InvalidDatasetError(f"{folder.name}/dataset.json cannot be read: {error.strerror}") from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(str(step) for step in first["loc"])
        raise InvalidDatasetError(f"{folder.name}/dataset.json: {field or 'the file'}: {first['msg']}") from None


def _list_classes(folder: Path, split: str) -> tuple[str, ...]:
    names = sorted(entry.name for entry in _list_entries(folder, split) if entry.is_dir())
    for name in names:
        # Bytes that are no UTF-8 arrive as surrogates, which are not printable either.
        if not name.isprintable():
            raise InvalidDatasetError(
                f"{folder.name}/{split} has a folder {name!r}, which cannot be a class name: rename the folder"
            )
    return tuple(names)


def _list_pictures(folder: Path, class_folder: str, label: int) -> PictureFiles:
    pictures = []
    for entry in sorted(_list_entries(folder, class_folder), key=lambda entry: entry.name):
        if not entry.is_file():
            raise InvalidDatasetError(
                f"{folder.name}/{class_folder}/{entry.name} is not a file: move it out of the class folder"
            )
        state = entry.stat()
        pictures.append(PictureFile(entry.path, label, state.st_size, state.st_mtime_ns))
    return tuple(pictures)


def _list_entries(folder: Path, part: str) -> list["os.DirEntry[str]"]:
    """List a part of a dataset's folder, such as "train", without ignored files. A missing part has no entries."""
    try:
        with os.scandir(folder / part) as entries:
            return [entry for entry in entries if not entry.name.startswith(".") and entry.name not in IGNORED_FILES]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise InvalidDatasetError(f"the folder {folder.name}/{part} cannot be read: {error.strerror}") from None


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
        pixels[index] = _read_picture(picture.path, shape, preparation)
    return pixels, np.array([picture.label for picture in pictures], np.int64)


def _read_picture(path: str, shape: Shape, preparation: Preparation = "resize") -> NDArray[np.uint8]:
    name = "/".join(Path(path).parts[-4:])  # <dataset>/<split>/<class>/<file>
    try:
        return images.prepare_picture(Path(path).read_bytes(), shape, name, preparation).pixels
    except InvalidImageError as error:
        raise InvalidDatasetError(f"{error}: replace the file, or remove it from the folder") from None
    except OSError as error:
        raise InvalidDatasetError(f"{name} cannot be read: {error.strerror}") from None


@lru_cache(maxsize=32)
def verify_pictures(pictures: PictureFiles, shape: tuple[int, int, int]) -> None:
    """Decode picture files once. They are decoded again only if a file was added, removed or changed.

    Raises:
        InvalidDatasetError: a picture cannot be read. The message names it.
    """
    for picture in pictures:
        _read_picture(picture.path, shape)
