"""Exports in an object store: the old file or the new one, verified, and seen by every machine."""

from pathlib import Path

import pytest

from shared.errors import CorruptModelError, NotFoundError
from shared.exports import stored_exports
from shared.exports.export_store import ExportStore
from shared.exports.stored_exports import open_exports
from shared.object_store import ObjectStore, open_object_store
from shared.settings import Settings
from tests.unit.exports.test_export_store import model, store_file


@pytest.fixture
def objects(store_url: str) -> ObjectStore:
    return open_object_store(store_url)


def machine(folder: Path, objects: ObjectStore) -> ExportStore:
    """Return the exports as a machine sees them that shares nothing but the object store."""
    return open_exports(Settings.from_env({"TANDEM_STATE_DIR": str(folder), "TANDEM_MODEL_STORE": objects.url}))


def test_a_second_export_replaces_the_first_and_its_file_on_every_machine(tmp_path: Path, objects: ObjectStore) -> None:
    trainer, gateway = machine(tmp_path / "trainer", objects), machine(tmp_path / "gateway", objects)
    with pytest.raises(NotFoundError):
        gateway.read(model(), "onnx")
    store_file(trainer, b"one", model())
    assert gateway.read_file(model(), "onnx")[1] == b"one"
    record = store_file(trainer, b"two", model())
    assert gateway.read_file(model(), "onnx") == (record, b"two")
    assert list(gateway.list(model())) == [record]
    assert len(list(objects.list("exports"))) == len(["the record", "the file"])
    trainer.delete("m", "toy", 1)
    assert list(gateway.list(model())) == []
    assert list(objects.list("exports")) == []


def test_a_damaged_export_is_not_given_out(tmp_path: Path, objects: ObjectStore) -> None:
    exports = machine(tmp_path, objects)
    store_file(exports, b"one", model())
    (key,) = [found.key for found in objects.list("exports") if found.key.endswith(".onnx")]
    objects.put(key, b"two")
    with pytest.raises(CorruptModelError):
        exports.read_file(model(), "onnx")
    objects.delete(key)
    with pytest.raises(CorruptModelError):
        exports.read_file(model(), "onnx")


def test_files_that_no_record_names_are_removed_when_they_are_old(
    tmp_path: Path, objects: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    exports = machine(tmp_path, objects)
    store_file(exports, b"one", model())
    name = f"{'0' * 64}.onnx"
    others = ("exports/report.csv", "exports/2024/q1/7/sales.parquet", f"exports/m/toy/1/other/{name}")
    for left in (f"exports/m/toy/1/onnx/{name}", f"exports/m/toy/2/onnx/{name}", *others):
        objects.put(left, b"x")
    exports.remove_abandoned_drafts()
    assert len(list(objects.list("exports"))) == 4 + len(others)
    monkeypatch.setattr(stored_exports, "ABANDONED_AFTER_S", -60.0)
    exports.remove_abandoned_drafts()
    assert {*others} < {found.key for found in objects.list("exports")}
    assert len(list(objects.list("exports"))) == 2 + len(others)
    assert exports.read_file(model(), "onnx")[1] == b"one"
