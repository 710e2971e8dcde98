"""Reads an uploaded zip file as `folder_entries.py` reads a folder, without unpacking it to the disk.

No name in the zip ever becomes a path of the system, so no entry can leave its folder.
"""

import zipfile
import zlib
from pathlib import Path
from typing import IO

from shared.data.folder_entries import FileEntry, FolderEntries, FolderReader
from shared.data.zip_entries import ZipEntry, list_entries
from shared.errors import InvalidDatasetError

UNPACK_ERRORS = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError, OSError)


class ZipReader(FolderReader):
    """Reads the folders of a dataset in a zip file.

    Args:
        file: the zip file, in binary mode. It stays open while the reader is used.
        name: the dataset's name.

    Raises:
        InvalidDatasetError: the file is no zip, is damaged, or has an entry that is refused.
    """

    def __init__(self, file: IO[bytes], name: str) -> None:
        super().__init__(Path(name))
        self._archive, entries = list_entries(file, name)
        self._entries: dict[tuple[str, ...], ZipEntry] = {entry.path: entry for entry in entries}
        self._folders: dict[tuple[str, ...], set[str]] = {}
        self._files: dict[tuple[str, ...], list[FileEntry]] = {}
        for entry in entries:
            self._files.setdefault(entry.path[:-1], []).append(FileEntry(entry.path[-1], entry.size))
            for depth in range(len(entry.path) - 1):
                self._folders.setdefault(entry.path[:depth], set()).add(entry.path[depth])

    def read_file(self, path: tuple[str, ...], max_bytes: int) -> bytes:
        """Return a file's bytes up to a limit. The limits of a file's size hold also if its header is wrong.

        Raises:
            InvalidDatasetError: the file is damaged, or has another size than the zip says.
        """
        entry = self._entries[path]
        try:
            with self._archive.open(entry.info) as file:
                data = file.read(min(max_bytes, entry.size))
                is_complete = len(data) == min(max_bytes, entry.size)
                if is_complete and len(data) == entry.size:
                    file.read(1)  # at the end, `zipfile` compares the checksum
        except UNPACK_ERRORS as error:
            raise InvalidDatasetError(
                f"{self.show(path)} is damaged in the zip file ({error}): make the zip file again"
            ) from None
        if not is_complete:
            raise InvalidDatasetError(f"{self.show(path)} has fewer bytes than the zip file says: make it again")
        return data

    def _list(self, path: tuple[str, ...]) -> FolderEntries:
        folders = sorted(name for name in self._folders.get(path, ()) if not self.skips(name, True))
        files = sorted(entry for entry in self._files.get(path, ()) if not self.skips(entry.name, False))
        return FolderEntries(tuple(folders), tuple(files), ())
