"""Finds the folders under the data folder that are meant as datasets, also those that cannot be used as they are.

Only names are read, and only as many as needed: the data folder may also hold other things.
"""

import os
import re
import unicodedata
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from shared.data.catalog import DATASETS
from shared.data.folder_description import FILE_NAME
from shared.data.folder_entries import is_picture_name, show_name
from shared.data.folder_layout import MAX_OUTER_FOLDERS, role_of_split
from shared.data.skipped_names import kind_of_skipped
from shared.names import is_name

MAX_ENTRIES = 10_000  # of a folder below the data folder, that are looked at
MAX_INNER_ENTRIES = 64  # of the folders in it

# What the files of usual picture formats begin with. It is read only for files whose name has no suffix.
_MAGICS = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"BM", b"II*\0", b"MM\0*", b"RIFF")


def list_folders(data_folder: Path) -> list[str]:
    """Return the names of the folders that are meant as datasets, in alphabetical order, whatever their names are.

    A folder is meant as a dataset if it holds a split (`train`, ...), a `dataset.json`, pictures, or folders of
    pictures.
    """
    return sorted(
        entry.name
        for entry in _scan(data_folder, None)
        if _is_folder(entry) and not kind_of_skipped(entry.name, True) and _is_meant_as_dataset(entry.path)
    )


def holds_pictures(folder: Path) -> bool:
    """Return whether a folder holds pictures in a layout of datasets."""
    return _is_meant_as_dataset(str(folder))


def list_misnamed(data_folder: Path) -> dict[str, str]:
    """Return the folders that are meant as datasets and have no valid name, each with a valid name for it."""
    folders = list_folders(data_folder)
    return {name: _suggest_name(name, folders) for name in folders if not is_name(name)}


def explain_misnamed(folder: str, suggested: str) -> str:
    """Return why a folder cannot be a dataset, and what to do.

    Args:
        folder: the folder's name, which is not valid.
        suggested: a name that is valid and free.
    """
    return (
        f"the folder {show_name(folder)!r} cannot be used because of its name: a dataset's name has 1 to 63 characters "
        f"of a-z, 0-9, '_' and '-', and begins with a letter or digit: rename the folder to {suggested!r}"
    )


def _suggest_name(name: str, taken: list[str]) -> str:
    """Return a valid name that is similar to a name and that no other dataset has."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    similar = re.sub(r"[^a-z0-9_]+", "-", plain).strip("-_")[:50] or "dataset"
    suggested, number = similar, 1
    while suggested in DATASETS or suggested in taken:
        number += 1
        suggested = f"my-{similar}" if number == 2 else f"my-{similar}-{number}"
    return suggested


def _is_meant_as_dataset(folder: str, outer_folders: int = MAX_OUTER_FOLDERS) -> bool:
    inner = []
    for entry in _scan(folder, MAX_ENTRIES):
        is_folder = _is_folder(entry)
        if kind_of_skipped(entry.name, is_folder):
            continue
        if is_folder:
            if role_of_split(entry.name):
                return True
            inner.append(entry.path)
        elif entry.name.lower() == FILE_NAME or _is_picture(entry):
            return True
    if any(_holds_split_or_picture(path) for path in inner[:MAX_INNER_ENTRIES]):
        return True
    return len(inner) == 1 and outer_folders > 1 and _is_meant_as_dataset(inner[0], outer_folders - 1)


def _holds_split_or_picture(folder: str) -> bool:
    for entry in _scan(folder, MAX_INNER_ENTRIES):
        is_folder = _is_folder(entry)
        if not kind_of_skipped(entry.name, is_folder) and (
            role_of_split(entry.name) == "train" if is_folder else _is_picture(entry)
        ):
            return True
    return False


def _is_picture(entry: "os.DirEntry[str]") -> bool:
    """Return whether a file's name says that it is a picture or, if the name has no suffix, its beginning."""
    if os.path.splitext(entry.name)[1]:
        return is_picture_name(entry.name)
    try:
        if not entry.is_file():
            return False
        with open(entry.path, "rb") as file:
            return file.read(4).startswith(_MAGICS)
    except OSError:
        return False


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir()
    except OSError:  # such as a link to itself
        return False


def _scan(folder: str | Path, limit: int | None) -> Iterator["os.DirEntry[str]"]:
    """Yield the entries of a folder. One that cannot be read has none."""
    try:
        with os.scandir(folder) as entries:
            yield from islice(entries, limit)
    except OSError:
        return
