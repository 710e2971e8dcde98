"""Writes uploaded datasets into an object store: the gateway's side of `stored_uploads.py`.

A zip file is received and decoded on the gateway's machine, as without an object store. The files of the version are
stored, then its record, and then the object that says which version is the newest one. A gateway that is killed leaves
a version that nothing points to. Later uploads and sweeps remove it.
"""

import re
import secrets
import time
from pathlib import Path

import structlog

from shared.data.stored_uploads import (
    DIGEST_DIGITS,
    NEWEST,
    RECORD,
    VERSIONS,
    StoredUploads,
    list_array_files,
)
from shared.data.upload_store import FindPinned, UploadStore
from shared.data.uploaded_datasets import VERSION, UploadRecord
from shared.names import NAME
from shared.object_store import ObjectStore, StoredObject
from shared.settings import Settings

SETTLED_AFTER_S = 3600.0
"""A version that is younger may belong to an upload that has not written its record or its pointer yet."""

_FILE = re.compile(rf"{VERSIONS}/({NAME.pattern}\.{VERSION.pattern})/[^/]+")

log = structlog.get_logger()


class StoredUploadStore(UploadStore):
    """The uploaded datasets of a gateway, in an object store. Several gateways may use one store."""

    def __init__(self, settings: Settings, url: str, find_pinned: FindPinned) -> None:
        super().__init__(settings, find_pinned)
        self._stored = StoredUploads(settings, url)

    def _exists(self, name: str) -> bool:
        return self._stored.store.exists(f"{NEWEST}/{name}")

    def _remove(self, name: str) -> None:
        self._stored.store.delete(f"{NEWEST}/{name}")

    def _publish(self, draft: Path, record: UploadRecord) -> UploadRecord:
        stored = store_version(self._stored.store, draft, record)
        self._prune()
        return stored

    def _prune(self) -> None:
        """Remove the versions that are not the newest ones, unless a job that has not ended reads them."""
        store = self._stored.store
        versions: dict[str, list[StoredObject]] = {}
        for found in store.list(VERSIONS):
            if ours := _FILE.fullmatch(found.key):
                versions.setdefault(ours[1], []).append(found)
        records = [self._stored.read_record(found.key) for found in store.list(NEWEST)]
        newest = {f"{record.name}.{record.version}" for record in records if record}
        settled = time.time() - SETTLED_AFTER_S
        old = {
            version: files
            for version, files in versions.items()
            if version not in newest and max(file.modified_s for file in files) < settled
        }
        if not old:
            return
        pinned = self._find_pinned(min(file.modified_s for files in old.values() for file in files))
        if pinned is None:
            return
        for version, files in old.items():
            if version.rpartition(".")[2] not in pinned:
                keys = [file.key for file in files]
                store.delete(*sorted(keys, key=lambda key: not key.endswith(f"/{RECORD}")))
                log.info("removed an old version of a dataset", version=version)


def store_version(store: ObjectStore, folder: Path, record: UploadRecord) -> UploadRecord:
    """Store the arrays of a folder as the newest version of a dataset.

    Args:
        store: where to.
        folder: has the arrays.
        record: describes them.

    Returns:
        The record that was stored. Its version is a new one.
    """
    stored = record.model_copy(update={"version": record.version[:DIGEST_DIGITS] + secrets.token_hex(8)})
    place, content = f"{VERSIONS}/{stored.name}.{stored.version}", stored.model_dump_json().encode()
    for path in list_array_files(folder):
        store.upload(f"{place}/{path.name}", path)
    store.put(f"{place}/{RECORD}", content)
    store.put(f"{NEWEST}/{stored.name}", content)
    return stored


def open_upload_store(settings: Settings, find_pinned: FindPinned) -> UploadStore:
    """Return what writes uploads into the object store that TANDEM_MODEL_STORE names, or into the folder."""
    url = settings.model_store
    return UploadStore(settings, find_pinned) if url is None else StoredUploadStore(settings, url, find_pinned)
