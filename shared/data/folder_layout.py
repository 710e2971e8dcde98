"""Finds out which folders of a user's dataset are splits and which are classes.

Four layouts have a clear meaning. `<class>` may be any name, and all pictures of a class lie directly in its folder:

    <name>/train/<class>/*     the usual one, with an optional <name>/test/<class>/*
    <name>/<class>/train/*     the class first, with optional <name>/<class>/test/*
    <name>/<class>/*           no splits
    <name>/<any>/...           a single folder that holds one of these layouts, as archives are often unpacked

Capital letters do not matter in the names of splits, and other usual names of splits are known. Class names are
compared in Unicode's form NFC, because macOS writes another form than Linux.
"""

import unicodedata
from collections import Counter
from dataclasses import dataclass, field
from typing import Literal

from shared.data.folder_description import FILE_NAME
from shared.data.folder_entries import FolderReader, is_picture_name, show_name, show_names
from shared.errors import InvalidDatasetError

MAX_OUTER_FOLDERS = 3  # single folders around the layout
Role = Literal["train", "test", "validation"]
SPLIT_ROLES: dict[str, Role] = {
    **dict.fromkeys(("train", "training", "trainset", "train_set", "training_set"), "train"),
    **dict.fromkeys(("test", "testing", "testset", "test_set"), "test"),
    **dict.fromkeys(("validation", "valid", "val", "dev", "eval", "validation_set"), "validation"),
}

Path = tuple[str, ...]  # names of folders below the dataset's folder
Splits = dict[Role, str]  # role -> the name of the folder
ClassFolders = dict[str, list[Path]]  # class name in NFC -> the folders that hold its pictures


@dataclass(frozen=True)
class FolderLayout:
    """The class folders of each split.

    Attributes:
        base: the folder that holds the layout.
        train: in alphabetical order of the class names.
        test: only classes of `train`; None if the pictures of `train` are to be split.
        place: where class folders are to be added, for messages.
        notes: what the user should know about how the folder was understood.
    """

    base: Path
    train: ClassFolders
    test: ClassFolders | None
    place: str
    notes: list[str] = field(default_factory=list)


def role_of_split(name: str) -> Role | None:
    """Return which split a folder's name means, or None for any other name."""
    return SPLIT_ROLES.get(name.casefold().replace("-", "_").replace(" ", "_"))


def find_layout(reader: FolderReader) -> FolderLayout:
    """Find the splits and classes of a dataset.

    Raises:
        InvalidDatasetError: the meaning is not clear, or a class has no usable name. The message says what to rename.
    """
    base = _find_base(reader)
    splits = _find_outer_splits(reader, base)
    if splits:
        layout = _read_splits(reader, base, splits)
    else:
        inner = {name: _find_inner_splits(reader, (*base, name)) for name in reader.read(*base).folders}
        has_training = any("train" in found for found in inner.values())
        layout = _read_splits_of_classes(reader, base, inner) if has_training else _read_classes(reader, base)
    if base:
        layout.notes.insert(0, f"the pictures are read from the folder {reader.show(base)}")
    if ignored := [entry.name for entry in reader.read(*base).files if entry.name.lower() != FILE_NAME]:
        layout.notes.append(f"files outside the class folders are not used: {show_names(ignored)}")
    return layout


def _find_base(reader: FolderReader) -> Path:
    """Return the folder that holds the layout: the dataset's own, or a single folder in it that holds folders."""
    base: Path = ()
    for _ in range(MAX_OUTER_FOLDERS):
        folders = reader.read(*base).folders
        if len(folders) != 1 or role_of_split(folders[0]):
            break
        inner = reader.read(*base, *folders)
        is_single_class = any(
            role_of_split(name) == "train" and reader.read(*base, *folders, name).holds_only_files
            for name in inner.folders
        )
        if not inner.folders or is_single_class or any(is_picture_name(entry.name) for entry in inner.files):
            break
        base = (*base, *folders)
    return base


def _find_outer_splits(reader: FolderReader, base: Path) -> Splits:
    """Return the folders that are splits and hold classes. There are none if classes come first, or have no splits.

    A folder of pictures is no split, whatever its name is: a dataset of vehicles may have the class "train".

    Raises:
        InvalidDatasetError: two folders are the same split, there is no training split, or splits have no classes.
    """
    folders = reader.read(*base).folders
    named = [name for name in folders if role_of_split(name)]
    without_classes = [name for name in named if reader.read(*base, name).holds_only_files]
    splits = _find_splits(reader, base, [name for name in named if name not in without_classes])
    if "train" in splits or not named or (not splits and len(named) < len(folders)):
        return splits
    if training := [name for name in without_classes if role_of_split(name) == "train"]:
        shown = reader.show((*base, training[0]))
        raise InvalidDatasetError(f"{shown} holds files, but no class folders: make a folder in it for each class")
    raise InvalidDatasetError(
        f"dataset {reader.name!r} has {reader.show((*base, named[0]))}, but no folder 'train': "
        f"put a folder for each class into {reader.show((*base, 'train'))}"
    )


def _find_inner_splits(reader: FolderReader, class_folder: Path) -> Splits:
    """Return the splits of one class."""
    return _find_splits(
        reader, class_folder, [name for name in reader.read(*class_folder).folders if role_of_split(name)]
    )


def _find_splits(reader: FolderReader, path: Path, names: list[str]) -> Splits:
    """Return the folders that are splits by their roles. Of several for validation, the first one counts.

    Raises:
        InvalidDatasetError: two folders are the training split, or the test split.
    """
    splits: Splits = {}
    for name in names:
        role = role_of_split(name)
        if role in splits and role != "validation":
            one, other = reader.show((*path, splits[role])), reader.show((*path, name))
            raise InvalidDatasetError(f"{one} and {other} are the same split: move all pictures into one of them")
        if role:
            splits.setdefault(role, name)
    return splits


def _read_splits(reader: FolderReader, base: Path, splits: Splits) -> FolderLayout:
    """Read `<split>/<class>`."""
    notes = []
    train_path = (*base, splits["train"])
    test_name = splits.get("test") or splits.get("validation")
    used = [splits["train"]] + ([test_name] if test_name else [])
    if test_name and "test" not in splits:
        notes.append(f"{reader.show((*base, test_name))} is used as the test split")
    if unused := [name for name in reader.read(*base).folders if name not in used]:
        notes.append(f"folders that are neither the training nor the test split are not used: {show_names(unused)}")
    for name in used:
        if stray := [entry.name for entry in reader.read(*base, name).files]:
            shown = reader.show((*base, name))
            notes.append(f"{shown} has files outside the class folders, which are not used: {show_names(stray)}")
    train = _collect_classes(reader, [(name, (*train_path, name)) for name in reader.read(*train_path).folders])
    place = reader.show(train_path)
    if test_name is None:
        return FolderLayout(base, train, None, place, notes)
    test_path = (*base, test_name)
    test = _collect_classes(reader, [(name, (*test_path, name)) for name in reader.read(*test_path).folders])
    return FolderLayout(base, train, _match_classes(reader, test, train, place, test_path), place, notes)


def _read_splits_of_classes(reader: FolderReader, base: Path, splits: dict[str, Splits]) -> FolderLayout:
    """Read `<class>/<split>`.

    Args:
        reader: of the dataset's folder.
        base: the folder that holds the class folders.
        splits: of each class folder.

    Raises:
        InvalidDatasetError: some classes have a folder `train` and others do not.
    """
    with_train = [name for name, found in splits.items() if "train" in found]
    if without := [name for name in splits if name not in with_train]:
        raise InvalidDatasetError(
            f"{reader.show((*base, with_train[0]))} has a folder 'train', but {reader.show((*base, without[0]))} has "
            "none: add it, or move that folder out of the dataset"
        )
    role: Role = "test" if any("test" in found for found in splits.values()) else "validation"
    train = [(name, (*base, name, found["train"])) for name, found in splits.items()]
    test = [(name, (*base, name, found[role])) for name, found in splits.items() if role in found]
    used = {path for _, path in train + test}
    notes = ["the folders for validation are used as the test split"] if test and role == "validation" else []
    unused = []
    for name in splits:
        entries = reader.read(*base, name)
        inner = [*entries.folders, *(entry.name for entry in entries.files)]
        unused += ["/".join((name, each)) for each in inner if (*base, name, each) not in used]
    if unused:
        notes.append(f"these parts of class folders are neither training nor test pictures: {show_names(unused)}")
    test_classes = _collect_classes(reader, test) if test else None
    return FolderLayout(base, _collect_classes(reader, train), test_classes, reader.show(base), notes)


def _read_classes(reader: FolderReader, base: Path) -> FolderLayout:
    """Read `<class>` without splits."""
    names = reader.read(*base).folders
    if not names:
        return FolderLayout(base, {}, None, reader.show((*base, "train")))
    train = _collect_classes(reader, [(name, (*base, name)) for name in names])
    notes = ["there are no folders 'train' and 'test': a fixed share of each class is the test split"]
    return FolderLayout(base, train, None, reader.show(base), notes)


def _collect_classes(reader: FolderReader, folders: list[tuple[str, Path]]) -> ClassFolders:
    """Group folders by their class name in NFC, in alphabetical order.

    Raises:
        InvalidDatasetError: a name cannot be printed.
    """
    classes: ClassFolders = {}
    for name, path in folders:
        # Bytes that are no UTF-8 arrive as surrogates, which are not printable either.
        if not name.isprintable():
            raise InvalidDatasetError(f"the folder {reader.show(path)} cannot be a class name: rename the folder")
        classes.setdefault(unicodedata.normalize("NFC", name), []).append(path)
    return dict(sorted(classes.items()))


def _match_classes(
    reader: FolderReader, test: ClassFolders, train: ClassFolders, place: str, test_path: Path
) -> ClassFolders:
    """Return the test folders by the class names of the training split.

    A name that differs only in capital letters means the same class, if just one class of `train` is meant.

    Raises:
        InvalidDatasetError: a class is not in the training split.
    """
    folded = Counter(_fold(name) for name in train)
    by_folded = {_fold(name): name for name in train}
    matched: ClassFolders = {}
    for name, folders in test.items():
        key = _fold(name)
        if name in train:
            target = name
        elif folded[key] == 1:
            target = by_folded[key]
        else:
            raise InvalidDatasetError(
                f"{reader.show(test_path)} has the class {show_name(name)!r}, but {place} does not: "
                f"add it to {place}, or remove it from {reader.show(test_path)}"
            )
        matched.setdefault(target, []).extend(folders)
    return matched


def _fold(name: str) -> str:
    """Return a class name without the difference between capital and small letters."""
    return unicodedata.normalize("NFC", name.casefold())
