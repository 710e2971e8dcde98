"""A model is published completely or not at all, and only once; a changed file is detected."""

import json
import os
from pathlib import Path

import pytest

from shared.errors import AlreadyPublishedError, CorruptModelError, NotFoundError
from shared.models.cached_reads import call_cached_only
from shared.models.manifest import digest_of
from shared.models.missing_models import MAX_NAMED
from shared.models.registry import ABANDONED_AFTER_S, ModelRegistry
from shared.network.description import PRESETS
from shared.network.weights import initial_weights
from tests.unit.models.descriptions import describe

NETWORK = PRESETS["article"].network((8, 8, 1), 10)
BOTH = ("tensorflow", "pytorch")


def publish(
    registry: ModelRegistry, version: int = 1, backend: str = "pytorch", name: str = "m", writer: str = "w"
) -> None:
    registry.publish(name, backend, version, describe(NETWORK), initial_weights(NETWORK, version), writer)


def test_the_event_files_of_a_model_are_deleted_with_it_and_are_not_listed_as_a_model(tmp_path: Path) -> None:
    registry = ModelRegistry(tmp_path)
    for version in (1, 2):
        publish(registry, version)
        registry.events_folder("m", "pytorch", version).mkdir(parents=True)
    registry.delete("m", "pytorch", 1)
    assert not registry.events_folder("m", "pytorch", 1).exists()
    assert registry.events_folder("m", "pytorch", 2).exists()
    assert registry.names() == ["m"]


def test_a_version_is_published_once(tmp_path: Path) -> None:
    registry = ModelRegistry(tmp_path)
    publish(registry, writer="first")
    before = (registry.path("m", "pytorch", 1) / "manifest.json").read_bytes()
    with pytest.raises(AlreadyPublishedError):
        publish(registry, writer="second")
    publish(registry, writer="first")  # the same job is executed again: nothing is written
    assert (registry.path("m", "pytorch", 1) / "manifest.json").read_bytes() == before
    assert os.listdir(tmp_path / "m" / "pytorch") == ["1"], "a draft was left behind"


@pytest.mark.parametrize("file", ["weights.safetensors", "manifest.json"])
def test_a_changed_bit_is_detected(tmp_path: Path, file: str) -> None:
    registry = ModelRegistry(tmp_path)
    publish(registry)
    path = registry.path("m", "pytorch", 1) / file
    good = path.read_bytes()
    for place in range(0, len(good), 1 + len(good) // 100):
        bad = bytearray(good)
        bad[place] ^= 1
        path.write_bytes(bad)
        with pytest.raises(CorruptModelError):
            registry.verify("m", "pytorch", 1)


@pytest.mark.parametrize(
    "change", [{"format": 2}, {"version": 2}, {"name": "other"}, {"network": {}}, {"files": {}}, {"classes": ["a"]}]
)
def test_a_changed_manifest_is_refused(tmp_path: Path, change: dict) -> None:
    registry = ModelRegistry(tmp_path)
    publish(registry)
    path = registry.path("m", "pytorch", 1) / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(CorruptModelError):
        registry.verify("m", "pytorch", 1)


def test_a_version_with_a_damaged_manifest_is_skipped_unless_the_request_names_it(tmp_path: Path) -> None:
    registry = ModelRegistry(tmp_path)
    for version in (1, 2):
        for backend in BOTH:
            publish(registry, version, backend)
    (registry.path("m", "tensorflow", 2) / "manifest.json").write_text("{")
    assert registry.resolve_version("m", BOTH) == 1
    assert registry.resolve_version("m", ("pytorch",)) == 2
    assert registry.resolve_version("m", BOTH, 2) == 2
    with pytest.raises(CorruptModelError):
        registry.manifest("m", "tensorflow", 2)


def test_a_new_or_deleted_version_is_seen_at_once_although_listings_are_cached(tmp_path: Path) -> None:
    registry = ModelRegistry(tmp_path)
    publish(registry)
    os.utime(tmp_path / "m" / "pytorch", (1e9, 1e9))
    for _ in range(2):
        assert registry.versions("m", "pytorch") == [1]
    publish(registry, version=2)
    assert registry.versions("m", "pytorch") == [1, 2]
    registry.delete("m", "pytorch", 1)
    assert registry.versions("m", "pytorch") == [2]


def test_only_old_drafts_are_removed(tmp_path: Path) -> None:
    registry = ModelRegistry(tmp_path)
    publish(registry)
    drafts = [tmp_path / "m" / "pytorch" / f".tmp-{age}" for age in ("old", "new")]
    for draft in drafts:
        draft.mkdir()
    long_ago = drafts[0].stat().st_mtime - ABANDONED_AFTER_S - 1
    os.utime(drafts[0], (long_ago, long_ago))
    assert registry.remove_abandoned_drafts() == 1
    assert not drafts[0].exists()
    assert drafts[1].exists()
    assert registry.versions("m", "pytorch") == [1]


def test_a_version_with_a_damaged_file_is_skipped_unless_the_request_names_it(tmp_path: Path) -> None:
    registry = ModelRegistry(tmp_path)
    for version in (1, 2, 3):
        publish(registry, version)
    path = registry.path("m", "pytorch", 3) / "weights.safetensors"
    path.write_bytes(bytes(path.stat().st_size))
    assert registry.resolve_version("m", ("pytorch",)) == 2
    (registry.path("m", "pytorch", 2) / "manifest.json").unlink()
    assert registry.resolve_version("m", ("pytorch",)) == 1
    assert registry.resolve_version("m", ("pytorch",), 3) == 3, (
        "the reader then reports what is wrong with the named version"
    )


def test_an_error_before_the_publication_prevents_it(tmp_path: Path) -> None:
    registry = ModelRegistry(tmp_path)

    def before(draft: str) -> None:
        raise CorruptModelError(draft)

    with pytest.raises(CorruptModelError):
        registry.publish("m", "pytorch", 1, describe(NETWORK), initial_weights(NETWORK, 1), "w", before)
    assert os.listdir(tmp_path / "m" / "pytorch") == []


@pytest.mark.parametrize("damage", ["missing weights", "folder for weights", "no JSON", "folder for manifest", "wrong"])
def test_an_error_about_a_damaged_model_names_the_model_and_no_path_of_the_server(tmp_path: Path, damage: str) -> None:
    registry = ModelRegistry(tmp_path)
    publish(registry)
    weights, manifest = (registry.path("m", "pytorch", 1) / file for file in ("weights.safetensors", "manifest.json"))
    damaged = manifest if damage in ("no JSON", "folder for manifest", "wrong") else weights
    stored = {**json.loads(manifest.read_bytes()), "classes": 7}
    damaged.unlink()
    if damage.startswith("folder"):
        damaged.mkdir()
    elif damage == "no JSON":
        manifest.write_text("{")
    elif damage == "wrong":
        manifest.write_text(json.dumps({**stored, "digest": digest_of(stored)}))
    with pytest.raises(CorruptModelError, match=r"^model 'm' version 1 of pytorch is damaged: ") as caught:
        registry.verify("m", "pytorch", 1)
    assert str(tmp_path) not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_list_of_all_models_reads_no_folder_that_has_not_changed(tmp_path: Path) -> None:
    registry = ModelRegistry(tmp_path)
    for name in ("a", "b"):
        for backend in BOTH:
            publish(registry, backend=backend, name=name)
    for folder in (tmp_path, *tmp_path.glob("*"), *tmp_path.glob("*/*")):
        os.utime(folder, (1, 1))  # long ago
    expected = {"pytorch": [1], "tensorflow": [1]}
    assert registry.list_all() == {"a": expected, "b": expected}
    assert call_cached_only(registry.list_all) == {"a": expected, "b": expected}
    publish(registry, 2, name="b")
    assert registry.list_all()["b"] == {"pytorch": [1, 2], "tensorflow": [1]}


def test_an_error_names_only_some_of_many_models(tmp_path: Path) -> None:
    for number in range(MAX_NAMED + 3):
        (tmp_path / f"m{number:02}" / "pytorch" / "1").mkdir(parents=True)
    with pytest.raises(NotFoundError, match=r"ready: m00, .* m19 and 3 more \(GET /v1/models\)\. Train") as refused:
        ModelRegistry(tmp_path).resolve_version("missing", ("pytorch",))
    assert "m20" not in str(refused.value)
