"""Cached reads of the model volume.

Every prediction asks which versions exist and reads a manifest. Both are kept in memory, and read again only when
`stat` shows that the folder or the file changed. On an event loop, `call_cached_only` makes sure that nothing else is
read.
"""

import hashlib
import os
import time
from bisect import bisect_left
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple, TypeVar

from shared.models.manifest import FileSum, Manifest

SETTLED_AFTER_NS = 2_000_000_000
"""Nanoseconds. Some file systems store modification times in steps of up to two seconds (FAT does). A folder that
changed more recently may therefore change again and keep its time: its listing is not cached yet."""

MAX_LISTINGS = 65_536
"""Folders whose content is kept. A list of all models looks at each model and each of its backends, always in the same
order. A cache that cannot hold all of them would therefore never have the one that is looked at next: with a quarter of
this limit, listing 10,000 models of two backends took three times as long."""

T = TypeVar("T")
_is_cached_only: ContextVar[bool] = ContextVar("is_cached_only", default=False)


class NotCachedError(Exception):
    """Something would have to be read from the disk, and `call_cached_only` forbids it."""


def call_cached_only(function: Callable[[], T]) -> T:
    """Call a function that may read no file and no folder. `stat`, which takes microseconds, stays allowed.

    Raises:
        NotCachedError: what the function needs is not cached. The caller repeats the call in a thread.
    """
    token = _is_cached_only.set(True)
    try:
        return function()
    finally:
        _is_cached_only.reset(token)


def check_may_read() -> None:
    """Raise NotCachedError if `call_cached_only` forbids to read, which takes time."""
    if _is_cached_only.get():
        raise NotCachedError


class FileIdentity(NamedTuple):
    """What identifies the content of a file: it changes when the file is replaced or written, not when it is renamed.

    Attributes:
        device: the number of the file system.
        inode: the number of the file in its file system.
        mtime_ns: the time of the last change, in nanoseconds.
        size: bytes.
    """

    device: int
    inode: int
    mtime_ns: int
    size: int


def identify_file(path: Path) -> FileIdentity:
    """Return the identity of a file.

    Raises:
        OSError: the file does not exist or cannot be reached.
    """
    found = os.stat(path)  # faster than Path.stat; a prediction does this four times
    return FileIdentity(found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size)


def list_folders(path: Path) -> list[str]:
    """Return the names of the folders in a folder, sorted: none if it does not exist."""
    try:
        mtime_ns = os.stat(path).st_mtime_ns
    except (FileNotFoundError, NotADirectoryError):
        return []
    return list(_list_folders_once(path, mtime_ns) if _is_settled(mtime_ns) else _list_folders(path))


def list_versions(folder: Path) -> list[int]:
    """Return the version numbers that a folder has subfolders for, oldest first.

    Raises:
        OSError: the folder does not exist.
    """
    mtime_ns = os.stat(folder).st_mtime_ns
    return list(_list_versions_once(folder, mtime_ns) if _is_settled(mtime_ns) else _list_versions(folder))


def holds(versions: Sequence[int], version: int) -> bool:
    """Return whether a version is among sorted versions. Of 10,000 versions it looks at 14."""
    at = bisect_left(versions, version)
    return at < len(versions) and versions[at] == version


def checksum_file(path: Path) -> FileSum:
    """Return the sha256 and size of a file.

    Raises:
        OSError: the file cannot be read.
    """
    return _checksum_file_once(path, identify_file(path))


def checksum(data: bytes) -> FileSum:
    """Return the sha256 and size of some bytes."""
    return FileSum(sha256=hashlib.sha256(data).hexdigest(), size=len(data))


def _is_settled(mtime_ns: int) -> bool:
    """Return whether a later change of a folder would change its modification time."""
    return time.time_ns() - mtime_ns > SETTLED_AFTER_NS


def _list_folders(path: Path) -> tuple[str, ...]:
    check_may_read()
    try:
        with os.scandir(path) as entries:
            return tuple(sorted(entry.name for entry in entries if entry.is_dir()))
    except (FileNotFoundError, NotADirectoryError):
        return ()


def _list_versions(folder: Path) -> tuple[int, ...]:
    return tuple(sorted(int(entry) for entry in _list_folders(folder) if entry.isdecimal()))


# The arguments of these functions are the keys of their caches: a changed file has another identity. Their bodies run
# only when the cache has no entry.
@lru_cache(maxsize=MAX_LISTINGS)
def _list_folders_once(path: Path, _mtime_ns: int) -> tuple[str, ...]:
    return _list_folders(path)


@lru_cache(maxsize=MAX_LISTINGS)
def _list_versions_once(folder: Path, _mtime_ns: int) -> tuple[int, ...]:
    return _list_versions(folder)


@lru_cache(maxsize=256)
def read_manifest(path: Path, _identity: FileIdentity) -> Manifest:
    """Return the manifest in a file, given the file's current identity.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is not a manifest, or it was changed after its publication.
    """
    check_may_read()
    return Manifest.parse(path.read_bytes())


@lru_cache(maxsize=256)
def _checksum_file_once(path: Path, _identity: FileIdentity) -> FileSum:
    check_may_read()
    return checksum(path.read_bytes())
