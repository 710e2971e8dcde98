"""Writes uploaded datasets: the gateway's side of `uploaded_datasets.py`.

A zip file is checked and decoded completely in a folder that no reader looks at. Then the folder is renamed into place
and the pointer is replaced, in one step each. A process that is killed leaves files in `incoming/` only, or a version
that nothing points to. `sweep` and the next upload remove both.
"""

import contextlib
import fcntl
import os
import shutil
from collections.abc import Callable, Collection, Iterator
from datetime import UTC, datetime
from pathlib import Path

import structlog

from shared.data.catalog import DATASETS, Dataset
from shared.data.draft_process import write_draft_in_process
from shared.data.stored_uploads import open_uploads
from shared.data.uploaded_datasets import UploadRecord, folder_of, list_names, pointer_of, read_record
from shared.errors import ConflictError, NotFoundError, UnavailableError, describe_storage_error
from shared.process import sync_folder, write_atomically
from shared.settings import Settings

SETTING = "TANDEM_UPLOAD_DIR"
SPOOLED_SUFFIX = ".zip"
# Files that are locked while versions are published or removed, and while pictures are decoded.
CHANGING, DECODING = ".changing.lock", ".decoding.lock"

# Returns the versions that jobs which have not ended read, or None if that cannot be known now. Its argument: only
# jobs that were submitted after this time can, in seconds since 1970.
FindPinned = Callable[[float], Collection[str] | None]

log = structlog.get_logger()


class UploadStore:
    """The uploaded datasets of a gateway. Several threads and processes may use one folder.

    `StoredUploadStore` has the same methods for an object store.

    Args:
        settings: where uploads lie, and where the operator's folders do.
        find_pinned: says which old versions are still needed.
    """

    def __init__(self, settings: Settings, find_pinned: FindPinned) -> None:
        self._settings, self._find_pinned = settings, find_pinned
        self._uploads = open_uploads(settings)
        self.folder = settings.upload_dir
        self.incoming = settings.upload_dir / "incoming"

    def check_name(self, name: str) -> None:
        """Check that a dataset of this name may be uploaded or deleted.

        Raises:
            ConflictError: it is a built-in dataset, or the operator has a folder of this name.
        """
        if name in DATASETS:
            raise ConflictError(
                f"the dataset {name!r} is built in, and cannot be replaced or deleted: use another name"
            )
        if (self._settings.data_dir / name).is_dir():
            raise ConflictError(
                f"the dataset {name!r} is a folder of the operator's, and cannot be replaced or deleted here: "
                "use another name"
            )

    def store(self, zip_file: Path, name: str, is_wanted: Callable[[], bool] = lambda: True) -> tuple[Dataset, bool]:
        """Check a zip file, and make it the newest version of a dataset.

        Args:
            zip_file: a file in `incoming`. The caller keeps it locked and removes it.
            name: a valid name.
            is_wanted: asked about once a second. When it returns False, the pictures are not decoded any further, so
                that a client that has left keeps no other one waiting.

        Returns:
            The dataset, and whether there was none of this name before.

        Raises:
            InvalidDatasetError: the zip file cannot be used. The message names the entry.
            ConflictError: the name belongs to another dataset.
            StorageFullError: the disk is full. Nothing is left of the upload.
            UnavailableError: it was not wanted any more, or the pictures could not be decoded in time.
        """
        self.check_name(name)
        draft = zip_file.with_suffix("")
        try:
            with self._lock(DECODING):  # one at a time, because each takes memory and a core
                uploaded_at = datetime.now(UTC).isoformat(timespec="seconds")
                record = write_draft_in_process(zip_file, name, draft, uploaded_at, is_wanted)
            with self._lock(CHANGING):
                self.check_name(name)
                is_new = not self._exists(name)
                record = self._publish(draft, record)
        except UnavailableError:
            raise
        except OSError as error:
            raise describe_storage_error(error, SETTING) from error
        finally:
            shutil.rmtree(draft, ignore_errors=True)
        found = self._uploads.find_newest(name)
        if found is None or found.version != record.version:  # another upload has replaced or deleted it meanwhile
            found = self._uploads.find_version(name, record.version)
        return found, is_new

    def delete(self, name: str) -> None:
        """Delete an uploaded dataset. Jobs that were submitted before go on with it.

        Raises:
            NotFoundError: there is no uploaded dataset of this name.
            ConflictError: it is a built-in dataset, or a folder of the operator's.
        """
        try:
            with self._lock(CHANGING):
                # An upload can be hidden by a folder that the operator added later. It may be deleted.
                if not self._exists(name):
                    self.check_name(name)
                    raise NotFoundError(f"there is no uploaded dataset {name[:80]!r}: GET /v1/datasets lists all")
                self._remove(name)
                self._prune()
        except UnavailableError:
            raise
        except OSError as error:
            raise describe_storage_error(error, SETTING) from error

    def sweep(self) -> None:
        """Remove what killed processes have left, and versions that nothing needs any more.

        Raises:
            OSError: the folder cannot be written.
        """
        if not self.folder.exists():
            return
        for path in self.incoming.glob(f"*{SPOOLED_SUFFIX}"):
            with contextlib.suppress(FileNotFoundError, BlockingIOError), open(path, "rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(path.with_suffix(""), ignore_errors=True)
                path.unlink()
        with self._lock(CHANGING):
            for path in self.folder.glob(".*.tmp"):  # of `write_atomically`
                path.unlink(missing_ok=True)
            self._prune()

    @contextlib.contextmanager
    def _lock(self, name: str) -> Iterator[None]:
        """Let only one thread of one process work at a time on what a lock is for."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with open(self.folder / name, "wb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _exists(self, name: str) -> bool:
        """Return whether there is an uploaded dataset of this name."""
        return pointer_of(self.folder, name).exists()

    def _remove(self, name: str) -> None:
        """Remove the pointer of a dataset."""
        pointer_of(self.folder, name).unlink()
        sync_folder(self.folder)

    def _publish(self, draft: Path, record: UploadRecord) -> UploadRecord:
        """Move a complete draft into place, and let the pointer name it. Return the record of what is stored."""
        target = folder_of(self.folder, record.name, record.version)
        target.parent.mkdir(exist_ok=True)
        if read_record(target / "record.json") is None:
            shutil.rmtree(target, ignore_errors=True)
            os.rename(draft, target)
            sync_folder(target.parent)
        try:
            content = record.model_dump_json().encode()
            write_atomically(pointer_of(self.folder, record.name), content, sync=True)
        finally:
            self._prune()
        return record

    def _prune(self) -> None:
        """Remove the versions that are not the newest ones, unless a job that has not ended reads them."""
        records = [read_record(pointer_of(self.folder, name)) for name in list_names(self.folder)]
        newest = {f"{record.name}.{record.version}" for record in records if record}
        versions = self.folder / "versions"
        old = [path for path in versions.iterdir() if path.name not in newest] if versions.exists() else []
        if not old:
            return
        pinned = self._find_pinned(min(path.stat().st_mtime for path in old))
        if pinned is None:
            return
        for path in old:
            if path.suffix.removeprefix(".") not in pinned:
                shutil.rmtree(path, ignore_errors=True)
                log.info("removed an old version of a dataset", folder=path.name)
