"""One's own dataset: a folder of labelled pictures, read as NumPy arrays.

    <name>/train/<class>/*      the folder's name is the class
    <name>/test/<class>/*       optional; else a fifth of every class, drawn once and for all
    <name>/dataset.json         optional: {"size": 28, "channels": 1, "prepare": "resize"}

Pictures may be of any size, mode and format that Pillow is trusted with; each
is brought to `size` by `shared.image`, as a posted one is, so that training
and prediction see the same. Nothing is written: the folder may be read-only.
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

FORMATS = (*images.POSTED_FORMATS, "GIF", "TIFF")
TEST_SHARE = 0.2
MAX_VALUES = 2**30  # of both splits, one byte each
LITTER = ("Thumbs.db", "desktop.ini")  # what file managers leave behind; so are names that begin with a dot

Side = Annotated[int, Field(strict=True, ge=1, le=512)]


class Description(BaseModel):
    """`dataset.json`: how pictures become pixels."""

    model_config = ConfigDict(extra="forbid")

    size: Annotated[Side | tuple[Side, Side], Field(description="the side of a square, or [height, width]")] = 28
    channels: Annotated[Literal[1, 3], Field(description="1 is grey, 3 is colour")] = 1
    prepare: Annotated[Preparation, Field(description="cut out and centre what is drawn, or only scale")] = "resize"

    @property
    def shape(self) -> tuple[int, int, int]:
        height, width = (self.size, self.size) if isinstance(self.size, int) else self.size
        return height, width, self.channels


class PictureFile(NamedTuple):
    """A file, its label, and the state it was found in."""

    path: str
    label: int
    size: int
    changed_ns: int


PictureFiles = tuple[PictureFile, ...]


class Folder(NamedTuple):
    """What is known of a folder without opening a picture."""

    shape: tuple[int, int, int]
    classes: tuple[str, ...]
    train: PictureFiles
    test: PictureFiles
    preparation: Preparation


def describe(place: Path) -> Folder:
    """List a folder's classes and pictures.

    Raises:
        InvalidDatasetError: it is not laid out as it must be; the message says what to change.
    """
    description = _description(place)
    classes = _class_names(place / "train")
    if len(classes) < 2:
        found = f"only {classes[0]!r}" if classes else "none"
        raise InvalidDatasetError(f"{place.name}/train needs a folder for each of two or more classes; it has {found}")
    train = [_pictures(place / "train" / name, label) for label, name in enumerate(classes)]
    for name, pictures in zip(classes, train, strict=True):
        if not pictures:
            raise InvalidDatasetError(f"{place.name}/train/{name} holds no pictures")
    if (place / "test").is_dir():
        if strangers := set(_class_names(place / "test")) - set(classes):
            raise InvalidDatasetError(f"{place.name}/test has {min(strangers)!r}, which {place.name}/train has not")
        test = [_pictures(place / "test" / name, label) for label, name in enumerate(classes)]
    else:
        train, test = _split(train)
    if not any(test):
        raise InvalidDatasetError(
            f"{place.name} has no picture left to test with: add some to a class, or make {place.name}/test"
        )
    folder = Folder(description.shape, classes, _in_turn(train), _in_turn(test), description.prepare)
    values = (len(folder.train) + len(folder.test)) * int(np.prod(folder.shape))
    if values > MAX_VALUES:
        raise InvalidDatasetError(
            f"{place.name} would take {values:,} bytes of memory, the limit is {MAX_VALUES:,}: make `size` smaller"
        )
    return folder


def _description(place: Path) -> Description:
    path = place / "dataset.json"
    try:
        return Description.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return Description()
    except OSError as error:
        raise InvalidDatasetError(f"{place.name}/dataset.json cannot be read: {error.strerror}") from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(step) for step in first["loc"])
        raise InvalidDatasetError(f"{place.name}/dataset.json: {where or 'the file'}: {first['msg']}") from None


def _class_names(place: Path) -> tuple[str, ...]:
    names = sorted(entry.name for entry in _entries(place) if entry.is_dir())
    for name in names:
        if not name.isprintable():  # so are the surrogates that stand for bytes that are no UTF-8
            raise InvalidDatasetError(f"{place.parent.name}/{place.name}: {name!r} cannot be a class: rename it")
    return tuple(names)


def _pictures(place: Path, label: int) -> PictureFiles:
    found = []
    for entry in sorted(_entries(place), key=lambda entry: entry.name):
        if not entry.is_file():
            raise InvalidDatasetError(f"{place.parent.name}/{place.name}/{entry.name} is not a file: move it away")
        state = entry.stat()
        found.append(PictureFile(entry.path, label, state.st_size, state.st_mtime_ns))
    return tuple(found)


def _entries(place: Path) -> list["os.DirEntry[str]"]:
    try:
        with os.scandir(place) as entries:
            return [entry for entry in entries if not entry.name.startswith(".") and entry.name not in LITTER]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise InvalidDatasetError(f"{place} cannot be read: {error.strerror}") from None


def _in_turn(classes: list[PictureFiles]) -> PictureFiles:
    """One of each class after the other, so that the first pictures show them all."""
    return tuple(picture for turn in zip_longest(*classes) for picture in turn if picture is not None)


def _split(classes: list[PictureFiles]) -> tuple[list[PictureFiles], list[PictureFiles]]:
    """Draw a fifth of each class for the test split: the same for the same number of files.

    A class of one picture is trained on; of two or more, at least one is tested.
    """
    train, test = [], []
    for label, pictures in enumerate(classes):
        count = 0 if len(pictures) == 1 else max(1, round(TEST_SHARE * len(pictures)))
        order = np.random.Generator(np.random.PCG64([0, label])).permutation(len(pictures))
        drawn = set(order[:count].tolist())
        test.append(tuple(picture for index, picture in enumerate(pictures) if index in drawn))
        train.append(tuple(picture for index, picture in enumerate(pictures) if index not in drawn))
    return train, test


def read(
    pictures: PictureFiles, shape: Shape, preparation: Preparation = "resize"
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Decode every picture: images uint8 [N, H, W, C], labels int64 [N].

    Raises:
        InvalidDatasetError: one is broken; the message names it.
    """
    images = np.empty((len(pictures), *shape), np.uint8)
    for index, picture in enumerate(pictures):
        images[index] = _decode(picture.path, shape, preparation)
    return images, np.array([picture.label for picture in pictures], np.int64)


def _decode(path: str, shape: Shape, preparation: Preparation = "resize") -> NDArray[np.uint8]:
    name = "/".join(Path(path).parts[-4:])  # dataset/split/class/file
    try:
        return images.prepare_picture(Path(path).read_bytes(), shape, name, FORMATS, preparation).pixels
    except InvalidImageError as error:
        raise InvalidDatasetError(f"{error}: mend it, or take it out of the folder") from None
    except OSError as error:
        raise InvalidDatasetError(f"{name} cannot be read: {error.strerror}") from None


@lru_cache(maxsize=32)
def verify(pictures: PictureFiles, shape: tuple[int, int, int]) -> None:
    """Open every picture once, and again only when a file has changed; see `read` for the error."""
    for picture in pictures:
        _decode(picture.path, shape)
