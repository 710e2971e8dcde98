"""Exported files on the model volume: replaced at once, verified when they are read, and gone with their model."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from shared.errors import CorruptModelError, NotFoundError
from shared.exports.export_store import ExportStore
from shared.exports.records import ExportRecord
from shared.jobs.results import ExportAccuracy, ExportFile, ExportVerification
from shared.models.cached_reads import checksum
from shared.models.manifest import Manifest, encode_manifest
from shared.network.description import PRESETS
from tests.unit.models.descriptions import describe


def model(version: int = 1, writer: str = "writer") -> Manifest:
    network = PRESETS["article"].network((8, 8, 1), 10)
    return Manifest.parse(encode_manifest(describe(network), "m", "toy", version, writer, {}))


def store_file(
    store: ExportStore, data: bytes, manifest: Manifest, format_name: str = "onnx", writer: str = "job"
) -> ExportRecord:
    found = checksum(data)
    verification = ExportVerification(
        runtime="toy 1",
        dataset="digits",
        examples=1,
        same_class=1,
        max_probability_difference=0.0,
        accuracy=ExportAccuracy(model=1.0, export=1.0),
        mcnemar=None,
        disagreements=[],
        size_ratio=1.0,
    )
    record = ExportRecord(
        format=format_name,
        file=ExportFile(name="m.onnx", size=found.size, sha256=found.sha256),
        verification=verification,
        created_at="2026-01-01T00:00:00+00:00",
        digest=manifest.digest,
        writer="job",
    )
    store.accept(store.write_draft(manifest, format_name, writer, data), record)
    return record


@pytest.fixture
def store(tmp_path: Path) -> ExportStore:
    return ExportStore(tmp_path)


def test_an_export_is_read_as_it_was_written_and_listed(store: ExportStore) -> None:
    record = store_file(store, b"one", model())
    assert store.read_file(model(), "onnx") == (record, b"one")
    assert list(store.list(model())) == [record]


def test_a_second_export_replaces_the_first_and_its_file(store: ExportStore, tmp_path: Path) -> None:
    store_file(store, b"one", model())
    store_file(store, b"two", model())
    assert store.read_file(model(), "onnx")[1] == b"two"
    assert len(list(tmp_path.rglob("*.onnx"))) == 1


def test_a_draft_is_no_export_and_is_removed_when_it_is_old(store: ExportStore) -> None:
    draft = store.write_draft(model(), "onnx", "job", b"one")
    with pytest.raises(NotFoundError):
        store.read(model(), "onnx")
    store.remove_abandoned_drafts()
    assert draft.exists()
    os.utime(draft, (0, 0))
    store.remove_abandoned_drafts()
    assert not draft.exists()


def test_a_folder_that_a_killed_check_has_left_does_no_harm_and_is_removed(store: ExportStore) -> None:
    folder = store.write_draft(model(), "onnx", "job", b"one").parent
    for name in ("tmp1", ".draft-tmp2"):
        (folder / name / "variables").mkdir(parents=True)
    store_file(store, b"one", model())
    assert store.read_file(model(), "onnx")[1] == b"one"
    os.utime(folder / ".draft-tmp2", (0, 0))
    store.remove_abandoned_drafts()
    assert not [path for path in folder.iterdir() if path.is_dir()]


def test_two_exports_at_once_leave_one_whole_export(store: ExportStore) -> None:
    for _ in range(20):
        with ThreadPoolExecutor(4) as pool:
            list(
                pool.map(lambda text: store_file(store, text, model(), writer=text.decode()), [b"1", b"2", b"3", b"4"])
            )
        assert store.read_file(model(), "onnx")[1] in (b"1", b"2", b"3", b"4")


@pytest.mark.parametrize("pattern", ["*.onnx", "export.json"])
@pytest.mark.parametrize("damage", [lambda path: path.write_bytes(b"{"), Path.unlink], ids=["changed", "removed"])
def test_a_damaged_export_is_not_given_out(store: ExportStore, tmp_path: Path, pattern: str, damage) -> None:
    store_file(store, b"one", model())
    (path,) = tmp_path.rglob(pattern)
    damage(path)
    with pytest.raises((CorruptModelError, NotFoundError), match="export"):
        store.read_file(model(), "onnx")
    store_file(store, b"one", model())
    assert store.read_file(model(), "onnx")[1] == b"one"


def test_the_export_of_another_model_with_the_same_version_does_not_count(store: ExportStore) -> None:
    store_file(store, b"one", model())
    with pytest.raises(NotFoundError, match="is not exported as 'onnx'"):
        store.read_file(model(writer="another"), "onnx")


@pytest.mark.parametrize("format_name", ["", ".", "..", "onnx/../onnx", "tarball"])
def test_an_unknown_format_reaches_no_path(store: ExportStore, format_name: str) -> None:
    store_file(store, b"one", model())
    with pytest.raises(NotFoundError, match="is not exported as"):
        store.read_file(model(), format_name)


def test_deleting_removes_the_exports_of_one_version(store: ExportStore) -> None:
    for version in (1, 2):
        store_file(store, b"one", model(version))
    store.delete("m", "toy", 1)
    store.delete("m", "toy", 1)
    with pytest.raises(NotFoundError):
        store.read(model(1), "onnx")
    assert store.read(model(2), "onnx")
