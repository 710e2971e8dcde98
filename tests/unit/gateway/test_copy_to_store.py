"""Models and uploads of a folder are copied into a real object store, as they are."""

from pathlib import Path

import pytest

from services.gateway import copy_to_store
from shared.data import datasets
from shared.data.stored_upload_store import open_upload_store
from shared.data.uploaded_datasets import array_file, folder_of
from shared.models.registry import WEIGHTS, ModelRegistry
from shared.models.stored_registry import StoredModelRegistry
from shared.object_store import ObjectStore
from shared.settings import Settings
from tests.unit.data.zip_files import pack, pictures_of
from tests.unit.models.store_proxy import StoreProxy
from tests.unit.models.test_registry import publish


@pytest.fixture
def settings(tmp_path: Path, store_url: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Return the settings of a machine whose folders have two models and a dataset, and that shall use a store."""
    before = Settings.from_env({"TANDEM_STATE_DIR": str(tmp_path)})
    registry = ModelRegistry(before.model_dir)
    publish(registry, backend="pytorch", version=1)
    publish(registry, backend="pytorch", version=3)
    publish(registry, backend="tensorflow", version=1)
    uploads = open_upload_store(before, lambda _: ())
    uploads.incoming.mkdir(parents=True)
    zip_file = uploads.incoming / "upload.zip"
    zip_file.write_bytes(pack(pictures_of("ant", "bee")))
    uploads.store(zip_file, "pets")
    monkeypatch.setenv("TANDEM_STATE_DIR", str(tmp_path))
    monkeypatch.setenv("TANDEM_MODEL_STORE", store_url)
    return Settings.from_env()


def stored(settings: Settings, folder: Path) -> StoredModelRegistry:
    assert settings.model_store
    return StoredModelRegistry(ObjectStore(settings.model_store), folder)


def test_versions_keep_their_numbers_and_bytes_and_uploads_their_pictures(settings: Settings, tmp_path: Path) -> None:
    assert copy_to_store.main() == 0
    registry, before = stored(settings, tmp_path / "copies"), ModelRegistry(settings.model_dir)
    assert registry.list_all() == before.list_all() == {"m": {"pytorch": [1, 3], "tensorflow": [1]}}
    for backend, version in (("pytorch", 1), ("pytorch", 3), ("tensorflow", 1)):
        assert registry.manifest("m", backend, version) == before.manifest("m", backend, version)
        assert registry.read_weights_file("m", backend, version) == before.read_weights_file("m", backend, version)
    assert list(registry.store.list("drafts")) == []

    folders = Settings.from_env({"TANDEM_STATE_DIR": str(tmp_path)})
    other = settings.model_copy(update={"upload_dir": tmp_path / "other"})
    prints = [
        datasets.fingerprint(datasets.read(datasets.find("pets", each), "train", each)) for each in (folders, other)
    ]
    assert prints[0] == prints[1]


def test_damaged_pictures_are_not_copied(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    folders = Settings.from_env({"TANDEM_STATE_DIR": str(settings.state_dir)})
    upload = datasets.find("pets", folders).upload
    assert upload
    path = array_file(folder_of(folders.upload_dir, "pets", upload.version), "train", "images")
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    assert copy_to_store.main() == 1
    assert "dataset pets: not copied, because its files are damaged" in capsys.readouterr().err


def test_without_a_store_it_says_what_to_set(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("TANDEM_MODEL_STORE")
    assert copy_to_store.main() == 2
    assert "TANDEM_MODEL_STORE" in capsys.readouterr().err


def test_a_second_run_copies_what_the_first_left_out(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = ModelRegistry(settings.model_dir).path("m", "pytorch", 3) / WEIGHTS
    intact = weights.read_bytes()
    weights.write_bytes(b"damaged")
    assert copy_to_store.main() == 1
    assert "m version 3 of pytorch: not copied, because" in capsys.readouterr().err
    assert stored(settings, tmp_path / "copies").list_all() == {"m": {"pytorch": [1], "tensorflow": [1]}}
    weights.write_bytes(intact)
    assert copy_to_store.main() == 0
    assert capsys.readouterr().out.count("is in the store already") == 3
    assert stored(settings, tmp_path / "later").list_all() == {"m": {"pytorch": [1, 3], "tensorflow": [1]}}


def test_a_version_that_the_store_writes_after_a_conflict_is_complete(
    settings: Settings, tmp_path: Path, proxy: StoreProxy, capsys: pytest.CaptureFixture[str]
) -> None:
    proxy.condition = "conflict"
    assert copy_to_store.main() == 1
    assert "m version 1 of pytorch is published. What was copied stays. Run this again." in capsys.readouterr().err
    proxy.write_late()
    assert copy_to_store.main() == 0
    assert "m version 1 of pytorch: is in the store already" in capsys.readouterr().out
    copies, before = stored(settings, tmp_path / "copies"), ModelRegistry(settings.model_dir)
    assert copies.read_weights_file("m", "pytorch", 1) == before.read_weights_file("m", "pytorch", 1)
