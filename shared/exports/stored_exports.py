"""Exported files in an object store: `exports/{name}/{backend}/{version}/{format}/`, with the files of a volume.

A draft lies on this machine, because the runtime that verifies it reads a file. The verified file is stored, and then
`export.json` is replaced. A reader finds the old export or the new one. The old file is removed last. Objects with
other names are not ours, and are never removed.
"""

import re
import time
from collections.abc import Iterator
from pathlib import Path

from pydantic import ValidationError

from shared.exports.export_store import ABANDONED_AFTER_S, RECORD, ExportStore, stored_name
from shared.exports.formats import FORMATS
from shared.exports.records import ExportRecord
from shared.models.manifest import Manifest
from shared.names import NAME
from shared.object_store import ObjectStore, StoredObject, cache_folder, open_object_store
from shared.settings import Settings

FOLDER = "exports"

_FILES = "|".join(
    rf"{name}/({re.escape(RECORD)}|[0-9a-f]{{64}}{re.escape(each.suffix)})" for name, each in FORMATS.items()
)
_KEY = re.compile(rf"{FOLDER}/{NAME.pattern}/{NAME.pattern}/[0-9]+/({_FILES})")


class StoredExports(ExportStore):
    """The exports in an object store. See `ExportStore` for the methods.

    Every method may also raise ObjectStoreError.
    """

    def __init__(self, settings: Settings, url: str) -> None:
        """Use a store. Nothing connects before the first use."""
        super().__init__(cache_folder(settings.model_dir, url))
        self._store: ObjectStore = open_object_store(url)

    def accept(self, draft: Path, record: ExportRecord) -> None:
        """Make a draft the export of its model, in place of an older one."""
        folder = self._key_of(draft.parent)
        before = self._find_record(folder)
        self._store.put(f"{folder}/{stored_name(record)}", draft.read_bytes())
        self._store.put(f"{folder}/{RECORD}", record.model_dump_json(indent=1).encode())
        draft.unlink()
        if before and before.file.sha256 != record.file.sha256:
            self._store.delete(f"{folder}/{stored_name(before)}")

    def delete(self, name: str, backend: str, version: int) -> None:
        """Delete all exports of a model, if there are any: the records first."""
        super().delete(name, backend, version)
        keys = [found.key for found in self._list(self._key_of(self._path(name, backend, version)))]
        self._store.delete(*sorted(keys, key=lambda key: not key.endswith(f"/{RECORD}")))

    def remove_abandoned_drafts(self) -> None:
        """Remove the drafts on this machine, and the files that no record names."""
        super().remove_abandoned_drafts()
        folders: dict[str, list[StoredObject]] = {}
        for found in self._list(FOLDER):
            folders.setdefault(found.key.rpartition("/")[0], []).append(found)
        oldest = time.time() - ABANDONED_AFTER_S
        for folder, files in folders.items():
            if len(files) == len([RECORD, "the file"]) and f"{folder}/{RECORD}" in [found.key for found in files]:
                continue
            record = self._find_record(folder)
            kept = {f"{folder}/{RECORD}", f"{folder}/{stored_name(record)}" if record else ""}
            self._store.delete(*(found.key for found in files if found.key not in kept and found.modified_s < oldest))

    def _list(self, folder: str) -> Iterator[StoredObject]:
        """Yield the objects in a folder that have names of exported files."""
        return (found for found in self._store.list(folder) if _KEY.fullmatch(found.key))

    def _find_record(self, folder: str) -> ExportRecord | None:
        try:
            return ExportRecord.model_validate_json(self._store.get(f"{folder}/{RECORD}"))
        except (FileNotFoundError, ValidationError):
            return None

    def _read(self, model: Manifest, format_name: str, file: str) -> bytes:
        folder = self._key_of(self._path(model.name, model.backend, model.version))
        return self._store.get(f"{folder}/{format_name}/{file}")

    def _key_of(self, folder: Path) -> str:
        return f"{FOLDER}/{folder.relative_to(self._folder)}"


def open_exports(settings: Settings) -> ExportStore:
    """Return the exports in an object store if TANDEM_MODEL_STORE names one, else those on the model volume."""
    url = settings.model_store
    return ExportStore(settings.model_dir) if url is None else StoredExports(settings, url)
