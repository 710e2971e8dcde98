"""Exported files on the model volume: `.exports/{name}/{backend}/{version}/{format}/`.

The folder has `export.json`, and the file, whose name is its sha256. An export is written under another name (a draft),
verified and renamed, and then `export.json` is replaced. A reader therefore finds the old export or the new one.
`export.json` names the digest of the model's manifest: the export of a model that was deleted and published again does
not count. Only trainers write. The script that checks a file may unpack it beside the draft, under a name that begins
as a draft's.
"""

import contextlib
import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from pydantic import ValidationError

from shared.errors import CorruptModelError, NotFoundError, UnavailableError
from shared.exports.formats import FORMATS
from shared.exports.records import ExportRecord
from shared.models.cached_reads import checksum
from shared.models.manifest import Manifest
from shared.names import NAME
from shared.process import sync_folder, write_atomically

RECORD = "export.json"
DRAFT = ".draft-"
ABANDONED_AFTER_S = 7200.0  # an export takes minutes; a draft that is older was left behind by a process that died


class ExportStore:
    """The exports under a folder of the model volume.

    `StoredExports` has the same methods for exports in an object store.
    """

    def __init__(self, root: Path) -> None:
        """Use the model volume at `root`."""
        self._folder = root / ".exports"

    def write_draft(self, model: Manifest, format_name: str, writer: str, data: bytes) -> Path:
        """Write a file that is not an export yet, and return its path. The same writer replaces its own draft.

        Raises:
            OSError: the disk is full, or the folder is not writable.
        """
        folder = self._path(model.name, model.backend, model.version) / format_name
        folder.mkdir(parents=True, exist_ok=True)
        draft = folder / f"{DRAFT}{writer}{FORMATS[format_name].suffix}"
        write_atomically(draft, data, sync=True)
        return draft

    def accept(self, draft: Path, record: ExportRecord) -> None:
        """Make a draft the export of its model, in place of an older one.

        Raises:
            OSError: the disk is full, or the model was deleted. An older export stays.
        """
        folder = draft.parent
        place = folder / stored_name(record)
        with _locked(folder):  # another trainer may export the same model, and would remove this file
            draft.rename(place)
            sync_folder(folder)
            write_atomically(folder / RECORD, record.model_dump_json(indent=1).encode(), sync=True)
            for path in folder.iterdir():
                if path not in (place, folder / RECORD) and not path.name.startswith("."):
                    _remove(path)

    def read(self, model: Manifest, format_name: str) -> ExportRecord:
        """Return the record of an export.

        Raises:
            NotFoundError: there is no such export of this model.
            CorruptModelError: the record was changed.
        """
        missing = NotFoundError(
            f"version {model.version} of {model.backend}'s model {model.name!r} is not exported as "
            f"{format_name[:80]!r}: export it with POST .../exports"
        )
        if format_name not in FORMATS:
            raise missing
        try:
            record = ExportRecord.model_validate_json(self._read(model, format_name, RECORD))
        except (FileNotFoundError, NotADirectoryError):
            raise missing from None
        except UnavailableError:
            raise
        except (OSError, ValidationError):
            raise _damaged(format_name) from None
        if record.digest != model.digest:
            raise missing
        return record

    def read_file(self, model: Manifest, format_name: str) -> tuple[ExportRecord, bytes]:
        """Return an export and the contents of its file, verified.

        Raises:
            NotFoundError: there is no such export of this model.
            CorruptModelError: the record or the file was changed.
        """
        record = self.read(model, format_name)
        try:
            data = self._read(model, format_name, stored_name(record))
        except UnavailableError:
            raise
        except OSError:
            if self.read(model, format_name) != record:  # another export has replaced it in this moment
                return self.read_file(model, format_name)
            raise _damaged(format_name) from None
        if checksum(data).sha256 != record.file.sha256:
            raise _damaged(format_name)
        return record, data

    def list(self, model: Manifest) -> Iterator[ExportRecord]:
        """Yield the exports of a model, in the order of the formats. Damaged records are left out."""
        for format_name in FORMATS:
            with contextlib.suppress(NotFoundError, CorruptModelError):
                yield self.read(model, format_name)

    def delete(self, name: str, backend: str, version: int) -> None:
        """Delete all exports of a model, if there are any."""
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(self._path(name, backend, version))

    def remove_abandoned_drafts(self) -> None:
        """Remove the drafts of processes that died or were cancelled while they exported."""
        for draft in self._folder.glob("*/*/*/*/.*"):
            with contextlib.suppress(OSError):
                if draft.stat().st_mtime < time.time() - ABANDONED_AFTER_S:
                    _remove(draft)

    def _read(self, model: Manifest, format_name: str, file: str) -> bytes:
        return (self._path(model.name, model.backend, model.version) / format_name / file).read_bytes()

    def _path(self, name: str, backend: str, version: int) -> Path:
        """Return the folder of a model's exports.

        Raises:
            NotFoundError: the name of the model or of the backend is not a valid name.
        """
        if not (NAME.fullmatch(name) and NAME.fullmatch(backend)):
            raise NotFoundError(f"there is no model {name[:80]!r} of {backend[:80]!r}")
        return self._folder / name / backend / str(version)


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Let one process at a time change which export a folder has."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _remove(path: Path) -> None:
    """Remove a file, or a folder with all that is in it."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def stored_name(record: ExportRecord) -> str:
    """Return the name under which the file of an export is stored."""
    return f"{record.file.sha256}{FORMATS[record.format].suffix}"


def _damaged(format_name: str) -> CorruptModelError:
    return CorruptModelError(f"the {format_name} export was changed after it was verified: export the model again")
