"""Lists the folders of a user's dataset, without what other programs left there (`skipped_names.py`)."""

import os
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from shared.data.skipped_names import kind_of_skipped
from shared.errors import InvalidDatasetError

# How the names of pictures end, supported or not.
PICTURE_SUFFIXES = frozenset(
    (
        *(".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".bmp", ".dib", ".gif", ".tif", ".tiff"),
        *(".heic", ".heif", ".avif", ".ppm", ".pgm", ".jp2"),
    )
)
SHOWN_NAMES = 3  # how many names a message or note gives as examples


class FileEntry(NamedTuple):
    """A regular file in a folder of a dataset.

    Attributes:
        name: without its folder.
        size: bytes.
        changed_ns: when the content or the rights of the file last changed, in nanoseconds since 1970.
    """

    name: str
    size: int
    changed_ns: int = 0


class FolderEntries(NamedTuple):
    """What one folder holds, each kind in the order of the names.

    Attributes:
        folders: names of the folders in it.
        files: its regular files.
        others: names of what is neither, such as a pipe or a link that leads nowhere.
    """

    folders: tuple[str, ...]
    files: tuple[FileEntry, ...]
    others: tuple[str, ...]

    @property
    def holds_only_files(self) -> bool:
        """Return whether there are files and no folders."""
        return bool(self.files) and not self.folders


class FolderReader:
    """Reads the folders of one dataset, each of them once. A path is the names below the dataset's folder.

    `zip_pictures.py` reads an uploaded zip file in the same way.

    Attributes:
        root: the dataset's folder.
        name: the dataset's name, for messages.
    """

    def __init__(self, root: Path) -> None:
        self.root, self.name = root, show_name(root.name)
        self._read: dict[tuple[str, ...], FolderEntries] = {}
        self._skipped: Counter[str] = Counter()
        self._examples: dict[str, str] = {}

    def show(self, path: tuple[str, ...]) -> str:
        """Return a path for messages. It begins with the dataset's name."""
        return "/".join([self.name, *map(show_name, path)])

    def read(self, *path: str) -> FolderEntries:
        """List a folder. A missing one has no entries.

        Raises:
            InvalidDatasetError: the folder cannot be read.
        """
        if path not in self._read:
            self._read[path] = self._list(path)
        return self._read[path]

    def read_file(self, path: tuple[str, ...], max_bytes: int) -> bytes:
        """Return a file's bytes up to a limit.

        Raises:
            InvalidDatasetError: the file cannot be read.
        """
        try:
            with open(self.root.joinpath(*path), "rb") as file:
                return file.read(max_bytes)
        except OSError as error:
            raise InvalidDatasetError(f"{self.show(path)} cannot be read: {error.strerror}") from None

    def skips(self, name: str, is_folder: bool) -> bool:
        """Return whether a name does not belong to the dataset, and count it for the notes if so."""
        if kind := kind_of_skipped(name, is_folder):
            self._skipped[kind] += 1
            self._examples.setdefault(kind, name)
        return kind is not None

    def _list(self, path: tuple[str, ...]) -> FolderEntries:
        folders, files, others = [], [], []
        try:
            with os.scandir(self.root.joinpath(*path)) as entries:
                for entry in sorted(entries, key=lambda entry: entry.name):
                    try:
                        is_folder = entry.is_dir()
                    except OSError:  # such as a link to itself
                        others.append(entry.name)
                        continue
                    if self.skips(entry.name, is_folder):
                        continue
                    if is_folder:
                        folders.append(entry.name)
                    elif entry.is_file():
                        files.append(self._describe_file(entry, path))
                    else:
                        others.append(entry.name)
        except FileNotFoundError:
            pass
        except OSError as error:
            raise InvalidDatasetError(f"the folder {self.show(path)} cannot be read: {error.strerror}") from None
        return FolderEntries(tuple(folders), tuple(files), tuple(others))

    def _describe_file(self, entry: "os.DirEntry[str]", path: tuple[str, ...]) -> FileEntry:
        try:
            state = entry.stat()
        except OSError as error:
            raise InvalidDatasetError(f"{self.show((*path, entry.name))} cannot be read: {error.strerror}") from None
        return FileEntry(entry.name, state.st_size, max(state.st_mtime_ns, state.st_ctime_ns))

    def describe_skipped(self) -> list[str]:
        """Return a note about the files and folders that were skipped in all listed folders; none for none."""
        if not self._skipped:
            return []
        kinds = [
            f"{count} {kind} (such as {show_name(self._examples[kind])})"
            for kind, count in sorted(self._skipped.items())
        ]
        return [f"skipped files and folders that are not part of the dataset: {', '.join(kinds)}"]


def is_picture_name(name: str) -> bool:
    """Return whether a file's name ends as those of pictures do, supported or not."""
    return os.path.splitext(name)[1].lower() in PICTURE_SUFFIXES


def show_name(name: str) -> str:
    """Return a name for messages: characters that cannot be printed or encoded are replaced by their codes."""
    if name.isprintable():
        return name
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in name)


def show_names(names: list[str]) -> str:
    """Return the first names of a list for messages, and how many more there are."""
    shown = ", ".join(show_name(name) for name in names[:SHOWN_NAMES])
    return f"{shown} and {len(names) - SHOWN_NAMES} more" if len(names) > SHOWN_NAMES else shown
