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
    splits = _find_split_folders(reader, base)
    if "train" in splits:
        layout = _read_splits_first(reader, base, splits)
    elif splits:
        first = reader.show((*base, next(iter(splits.values()))))
        raise InvalidDatasetError(
            f"dataset {reader.name!r} has {first}, but no folder 'train': "
            f"put a folder for each class into {reader.show((*base, 'train'))}"
        )
    else:
        layout = _read_classes_first(reader, base)
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


def _find_split_folders(reader: FolderReader, base: Path) -> dict[Role, str]:
    """Return the names of the folders that are splits. A split holds folders, or nothing yet.

    Raises:
        InvalidDatasetError: two folders are the same split, or only splits without class folders exist.
    """
    folders = reader.read(*base).folders
    named = {name: role for name in folders if (role := role_of_split(name))}
    splits: dict[Role, str] = {}
    for name, role in named.items():
        if reader.read(*base, name).holds_only_files:
            continue  # perhaps a class: a data set of vehicles may have the class "train"
        if role in splits and role != "validation":
            one, other = reader.show((*base, splits[role])), reader.show((*base, name))
            raise InvalidDatasetError(f"{one} and {other} are the same split: move all pictures into one of them")
        splits.setdefault(role, name)
    if named and not splits and len(named) == len(folders):
        shown = reader.show((*base, folders[0]))
        raise InvalidDatasetError(f"{shown} holds files, but no class folders: make a folder in it for each class")
    if splits and "train" not in splits and (as_class := [name for name, role in named.items() if role == "train"]):
        shown = reader.show((*base, as_class[0]))
        raise InvalidDatasetError(f"{shown} holds files, but no class folders: make a folder in it for each class")
    return splits


def _read_splits_first(reader: FolderReader, base: Path, splits: dict[Role, str]) -> FolderLayout:
    """Read `<split>/<class>`."""
    notes = []
    train_path = (*base, splits["train"])
    test_name = splits.get("test") or splits.get("validation")
    used = {splits["train"], test_name}
    if test_name and "test" not in splits:
        notes.append(f"{reader.show((*base, test_name))} is used as the test split")
    if unused := [name for name in reader.read(*base).folders if name not in used]:
        notes.append(f"folders that are neither the training nor the test split are not used: {show_names(unused)}")
    for name in sorted(used - {None}, key=str):
        if stray := [entry.name for entry in reader.read(*base, str(name)).files]:
            shown = reader.show((*base, str(name)))
            notes.append(f"{shown} has files outside the class folders, which are not used: {show_names(stray)}")
    train = _collect_classes(reader, [(name, (*train_path, name)) for name in reader.read(*train_path).folders])
    place = reader.show(train_path)
    if test_name is None:
        return FolderLayout(base, train, None, place, notes)
    test_path = (*base, test_name)
    test = _collect_classes(reader, [(name, (*test_path, name)) for name in reader.read(*test_path).folders])
    return FolderLayout(base, train, _match_classes(reader, test, train, place, test_path), place, notes)


def _read_classes_first(reader: FolderReader, base: Path) -> FolderLayout:
    """Read `<class>/train` or `<class>`.

    Raises:
        InvalidDatasetError: some classes have a folder `train` and others do not.
    """
    names = reader.read(*base).folders
    splits = {
        name: {} if reader.read(*base, name).holds_only_files else _inner_splits(reader, base, name) for name in names
    }
    without = [name for name in names if "train" not in splits[name]]
    place = reader.show(base)
    if not names or len(without) == len(names):
        place = place if names else reader.show((*base, "train"))
        train = _collect_classes(reader, [(name, (*base, name)) for name in names])
        notes = (
            ["there are no folders 'train' and 'test': a fixed share of each class is the test split"] if names else []
        )
        return FolderLayout(base, train, None, place, notes)
    if without:
        other = next(name for name in names if name not in without)
        raise InvalidDatasetError(
            f"{reader.show((*base, other))} has a folder 'train', but {reader.show((*base, without[0]))} has none: "
            "add it, or move that folder out of the dataset"
        )
    train = _collect_classes(reader, [(name, (*base, name, splits[name]["train"])) for name in names])
    parts: list[tuple[str, Path]] = []
    notes = []
    role: Role = "test" if any("test" in found for found in splits.values()) else "validation"
    for name, found in splits.items():
        if role in found:
            parts.append((name, (*base, name, found[role])))
        if unused := [
            inner for inner in reader.read(*base, name).folders if inner not in (found["train"], found.get(role))
        ]:
            notes.append(f"folders of {reader.show((*base, name))} are not used: {show_names(unused)}")
        if stray := [entry.name for entry in reader.read(*base, name).files]:
            notes.append(f"{reader.show((*base, name))} has files outside its splits, not used: {show_names(stray)}")
    if parts and role == "validation":
        notes.append("the folders for validation are used as the test split")
    return FolderLayout(base, train, _collect_classes(reader, parts) if parts else None, place, notes)


def _inner_splits(reader: FolderReader, base: Path, class_name: str) -> dict[Role, str]:
    """Return the splits inside a class folder.

    Raises:
        InvalidDatasetError: two folders are the same split.
    """
    splits: dict[Role, str] = {}
    for name in reader.read(*base, class_name).folders:
        role = role_of_split(name)
        if role in splits and role != "validation":
            one, other = (reader.show((*base, class_name, each)) for each in (splits[role], name))
            raise InvalidDatasetError(f"{one} and {other} are the same split: move all pictures into one of them")
        if role:
            splits.setdefault(role, name)
    return splits


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
