"""Uploaded datasets in an object store. Each machine has copies of those that it uses.

    datasets/newest/{name}                    which version is the newest one: an `UploadRecord`
    datasets/versions/{name}.{version}/       the files of a version, never changed; `record.json` is written last

The folder of the copies is laid out as the folder of uploads. The version begins with 16 digits of a digest of the
data, which a reader checks. Its other 16 digits are random: no two uploads share a version, so that the one that
removes an old version never removes what another one has just stored.
"""

import contextlib
import os
import shutil
import time
import uuid
from functools import partial
from pathlib import Path

import numpy as np
import structlog

from shared.data import uploaded_datasets
from shared.data.catalog import Dataset
from shared.data.uploaded_datasets import (
    SPLITS,
    VERSION,
    UploadRecord,
    array_file,
    begin_digest,
    dataset_of,
    folder_of,
    missing_version,
    parse_record,
)
from shared.errors import MissingDatasetError
from shared.names import is_name
from shared.object_store import ObjectStore, cache_folder, open_object_store
from shared.process import write_atomically
from shared.settings import Settings

NEWEST, VERSIONS = "datasets/newest", "datasets/versions"
RECORD = "record.json"
DIGEST_DIGITS = 16
DRAFT_PREFIX = ".tmp-"
UNUSED_AFTER_S = 3600.0  # a copy of another version of the same dataset is removed then

log = structlog.get_logger()


class UploadFolder:
    """The uploaded datasets in a folder."""

    def __init__(self, root: Path) -> None:
        """Use a folder, which need not exist."""
        self.root = root

    def list_names(self) -> list[str]:
        """Return the names of all uploaded datasets, in alphabetical order."""
        return uploaded_datasets.list_names(self.root)

    def find_newest(self, name: str) -> Dataset | None:
        """Return the newest version of an uploaded dataset, or None if there is none of that name."""
        return uploaded_datasets.find_newest(self.root, name)

    def find_version(self, name: str, version: str) -> Dataset:
        """Return one version of an uploaded dataset.

        Raises:
            MissingDatasetError: it is not there any more.
        """
        return uploaded_datasets.find_version(self.root, name, version)


class StoredUploads(UploadFolder):
    """The uploaded datasets in an object store.

    Every method may also raise ObjectStoreError.

    Attributes:
        store: the store.
        root: the folder for the copies.
    """

    def __init__(self, settings: Settings, url: str) -> None:
        """Use a store. Nothing connects before the first use."""
        super().__init__(cache_folder(settings.upload_dir, url))
        self.store: ObjectStore = open_object_store(url)

    def list_names(self) -> list[str]:
        """Return the names of all uploaded datasets, in alphabetical order."""
        found = (entry.key.rpartition("/")[2] for entry in self.store.list(NEWEST))
        return sorted(name for name in found if is_name(name))

    def find_newest(self, name: str) -> Dataset | None:
        """Return the newest version of an uploaded dataset, or None if there is none of that name."""
        record = self.read_record(f"{NEWEST}/{name}") if is_name(name) else None
        return self._dataset_of(record) if record else None

    def find_version(self, name: str, version: str) -> Dataset:
        """Return one version of an uploaded dataset."""
        is_valid = is_name(name) and VERSION.fullmatch(version)
        record = self.read_record(f"{VERSIONS}/{name}.{version}/{RECORD}") if is_valid else None
        if record is None:
            raise missing_version(name)
        return self._dataset_of(record)

    def read_record(self, key: str) -> UploadRecord | None:
        """Return the record in an object, or None if there is none."""
        try:
            return parse_record(self.store.get(key))
        except FileNotFoundError:
            return None

    def _dataset_of(self, record: UploadRecord) -> Dataset:
        return dataset_of(self.root, record, partial(self._fetch, record))

    def _fetch(self, record: UploadRecord) -> None:
        """Copy the arrays of a version to this machine, unless they are here, and verify them.

        Raises:
            MissingDatasetError: the version was removed, or its files are not as they were uploaded.
        """
        folder = folder_of(self.root, record.name, record.version)
        if (folder / RECORD).exists():
            return
        draft = folder.parent / f"{DRAFT_PREFIX}{uuid.uuid4().hex}"
        draft.mkdir(parents=True)
        try:
            for path in list_array_files(draft):
                self.store.download(f"{VERSIONS}/{folder.name}/{path.name}", path)
            if compute_digest(record, draft)[:DIGEST_DIGITS] != record.version[:DIGEST_DIGITS]:
                raise MissingDatasetError(
                    f"the stored pictures of the dataset {record.name!r} were changed: upload it again"
                )
            write_atomically(draft / RECORD, record.model_dump_json().encode())
            with contextlib.suppress(OSError):  # another process was faster
                os.rename(draft, folder)
        except FileNotFoundError:
            raise missing_version(record.name) from None
        finally:
            shutil.rmtree(draft, ignore_errors=True)
        self._remove_unused(folder)

    def _remove_unused(self, kept: Path) -> None:
        """Remove copies of other versions of a dataset, and what killed processes have left of any dataset.

        If a job still needs a version, it is fetched again.
        """
        oldest = time.time() - UNUSED_AFTER_S
        for path in (*kept.parent.glob(f"{kept.stem}.*"), *kept.parent.glob(f"{DRAFT_PREFIX}*")):
            with contextlib.suppress(OSError):
                if path != kept and path.stat().st_mtime < oldest:
                    shutil.rmtree(path, ignore_errors=True)


def list_array_files(folder: Path) -> list[Path]:
    """Return the paths of the arrays of a version: the images and labels of each split."""
    return [array_file(folder, split, kind) for split in SPLITS for kind in ("images", "labels")]


def compute_digest(record: UploadRecord, folder: Path) -> str:
    """Return the digest of the arrays in a folder, as `upload_draft.py` computes it.

    Raises:
        MissingDatasetError: a file is no array.
    """
    digest = begin_digest(record.name, record.shape, record.classes, record.preparation)
    try:
        for path in list_array_files(folder):
            for part in np.array_split(np.load(path, mmap_mode="r", allow_pickle=False), 64):
                digest.update(np.ascontiguousarray(part).data)
    except ValueError:
        raise missing_version(record.name) from None
    return str(digest.hexdigest())


def open_uploads(settings: Settings) -> UploadFolder:
    """Return the uploads in an object store if TANDEM_MODEL_STORE names one, else those in the folder of uploads."""
    url = settings.model_store
    return UploadFolder(settings.upload_dir) if url is None else StoredUploads(settings, url)
