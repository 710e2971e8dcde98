"""Uploaded datasets in an object store: complete or absent, verified, and kept while they are needed."""

import os
from pathlib import Path

import numpy as np
import pytest

from shared.data import datasets, stored_upload_store
from shared.data.catalog import Dataset
from shared.data.stored_upload_store import StoredUploadStore, open_upload_store
from shared.data.stored_uploads import StoredUploads, open_uploads
from shared.errors import InvalidRequestError, MissingDatasetError
from shared.object_store import open_object_store
from shared.settings import Settings
from tests.unit.data.zip_files import pack, pictures_of


def machine(folder: Path, url: str) -> Settings:
    """Return the settings of a machine that shares nothing but the object store."""
    return Settings.from_env({"TANDEM_STATE_DIR": str(folder), "TANDEM_MODEL_STORE": url})


def upload(settings: Settings, *classes: str, pinned: tuple[str, ...] = ()) -> Dataset:
    """Upload pictures as the dataset `pets`."""
    store = open_upload_store(settings, lambda _: pinned)
    assert isinstance(store, StoredUploadStore)
    store.incoming.mkdir(parents=True, exist_ok=True)
    zip_file = store.incoming / "upload.zip"
    zip_file.write_bytes(pack(pictures_of(*classes)))
    return store.store(zip_file, "pets")[0]


def test_another_machine_reads_the_same_pictures_and_keeps_a_copy(tmp_path: Path, store_url: str) -> None:
    gateway, trainer = machine(tmp_path / "gateway", store_url), machine(tmp_path / "trainer", store_url)
    uploaded = upload(gateway, "cat", "dog")
    assert "pets" in datasets.names(trainer)
    found = datasets.find("pets", trainer, uploaded.version)
    assert found.classes == ("cat", "dog")
    split = datasets.read(found, "train", trainer)
    assert datasets.fingerprint(split) == datasets.fingerprint(datasets.read(uploaded, "train", gateway))
    assert found.upload
    assert sorted(path.name for path in found.upload.folder.iterdir())[0] == "record.json"
    assert np.array_equal(datasets.read(found, "train", trainer).labels, split.labels)


def test_changed_pictures_are_refused(tmp_path: Path, store_url: str) -> None:
    uploaded = upload(machine(tmp_path / "gateway", store_url), "cat", "dog")
    store = open_object_store(store_url)
    (key,) = [entry.key for entry in store.list("datasets") if entry.key.endswith("train-images.npy")]
    data = bytearray(store.get(key))
    data[-1] ^= 1
    store.put(key, bytes(data))
    trainer = machine(tmp_path / "trainer", store_url)
    with pytest.raises(MissingDatasetError, match="were changed: upload it again"):
        datasets.read(datasets.find("pets", trainer, uploaded.version), "train", trainer)


def test_an_old_version_stays_while_a_job_needs_it_and_while_it_may_be_an_upload_in_progress(
    tmp_path: Path, store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = machine(tmp_path, store_url)
    first = upload(settings, "cat", "dog")
    second = upload(settings, "cat", "dog")  # the same pictures, and still another version
    assert first.version != second.version
    assert first.version
    assert second.version
    uploads = open_uploads(settings)
    assert isinstance(uploads, StoredUploads)
    uploads.find_version("pets", first.version)
    others = {"datasets/versions/readme.txt", "datasets/versions/pets.2/file.txt"}
    for key in others:
        uploads.store.put(key, b"x")
    monkeypatch.setattr(stored_upload_store, "SETTLED_AFTER_S", -60.0)
    upload(settings, "bird", "cat", pinned=(first.version,))
    uploads.find_version("pets", first.version)
    with pytest.raises(MissingDatasetError):
        uploads.find_version("pets", second.version)
    open_upload_store(settings, lambda _: ()).delete("pets")
    assert {found.key for found in uploads.store.list("datasets")} == others
    with pytest.raises(InvalidRequestError, match="unknown dataset 'pets'"):
        datasets.find("pets", settings)
    with pytest.raises(MissingDatasetError, match="submit the work again"):
        datasets.read(first, "train", settings)


def test_what_a_killed_process_has_left_of_a_copy_is_removed(tmp_path: Path, store_url: str) -> None:
    uploaded = upload(machine(tmp_path / "gateway", store_url), "cat", "dog")
    trainer = machine(tmp_path / "trainer", store_url)
    found = datasets.find("pets", trainer, uploaded.version)
    assert found.upload
    old, young = (found.upload.folder.parent / f".tmp-{digit * 32}" for digit in "01")
    for folder in (old, young):
        folder.mkdir(parents=True)
    os.utime(old, (0, 0))
    datasets.read(found, "train", trainer)
    assert (old.exists(), young.exists()) == (False, True)
