"""Models in an object store: one publication, verified copies, and an outage that stops no prediction."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from shared.errors import AlreadyPublishedError, CorruptModelError, NotFoundError
from shared.models.cached_reads import NotCachedError, call_cached_only
from shared.models.open_registry import open_registry
from shared.models.publications import check_conditional_writes
from shared.models.stored_registry import STORED_VISIBLE_AFTER_S, StoredModelRegistry
from shared.object_store import ObjectStore, ObjectStoreError
from shared.settings import Settings
from tests.object_server import ObjectServer
from tests.polling import wait_until
from tests.unit.models.store_proxy import StoreProxy
from tests.unit.models.test_registry import BOTH, publish

MakeStored = Callable[[], StoredModelRegistry]


def keys(registry: StoredModelRegistry) -> list[str]:
    """Return the names of all objects of a registry."""
    return [found.key for folder in ("models", "contents", "drafts") for found in registry.store.list(folder)]


def test_of_several_writers_at_the_same_time_one_publishes_and_the_others_leave_nothing(
    make_stored: MakeStored,
) -> None:
    outcomes: list[str] = []
    barrier = threading.Barrier(4)

    def write(writer: str) -> None:
        registry = make_stored()
        barrier.wait()
        try:
            publish(registry, writer=writer)
            outcomes.append(writer)
        except AlreadyPublishedError:
            outcomes.append("refused")

    threads = [threading.Thread(target=write, args=(str(number),)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes.count("refused") == 3
    (winner,) = {*outcomes} - {"refused"}
    registry = make_stored()
    assert registry.verify("m", "pytorch", 1).manifest.writer == winner
    assert len(keys(registry)) == len(["the publication", "the manifest", "the weights"])


@pytest.mark.parametrize("file", ["manifest.json", "weights.safetensors"])
@pytest.mark.parametrize("damage", ["changed", "missing"])
def test_a_damaged_object_is_never_served(make_stored: MakeStored, file: str, damage: str) -> None:
    registry = make_stored()
    publish(registry)
    (key,) = [key for key in keys(registry) if key.endswith(file)]
    data = bytearray(registry.store.get(key))
    data[len(data) // 2] ^= 1
    registry.store.delete(key)
    if damage == "changed":
        registry.store.put(key, bytes(data))
    with pytest.raises(CorruptModelError, match=r"^model 'm' version 1 of pytorch is damaged: "):
        make_stored().verify("m", "pytorch", 1)


@pytest.mark.parametrize("file", ["manifest.json", "weights.safetensors"])
def test_a_damaged_copy_is_made_anew(make_stored: MakeStored, file: str) -> None:
    registry = make_stored()
    publish(registry)
    before = registry.verify("m", "pytorch", 1).manifest
    (registry.path("m", "pytorch", 1) / file).write_bytes(b"{")
    assert registry.verify("m", "pytorch", 1).manifest == before


def test_other_machines_see_a_change_when_it_is_complete(make_stored: MakeStored) -> None:
    writer, reader = make_stored(), make_stored()
    writer.visible_after_s = STORED_VISIBLE_AFTER_S
    assert reader.versions("m", "pytorch") == []
    publish(writer)
    assert reader.versions("m", "pytorch") == [1]
    assert reader.verify("m", "pytorch", 1).manifest.version == 1
    writer.delete("m", "pytorch", 1)
    with pytest.raises(NotFoundError):
        reader.identity("m", "pytorch", 1)
    assert not reader.path("m", "pytorch", 1).exists()


def test_the_event_loop_asks_no_store(make_stored: MakeStored) -> None:
    registry = make_stored()
    publish(registry)
    with pytest.raises(NotCachedError):
        call_cached_only(lambda: registry.resolve("m", ("pytorch",)))
    expected = registry.resolve("m", ("pytorch",))
    assert call_cached_only(lambda: registry.resolve("m", ("pytorch",))) == expected


def test_only_old_unpublished_drafts_are_removed(
    make_stored: MakeStored, monkeypatch: pytest.MonkeyPatch, object_server: ObjectServer
) -> None:
    registry = make_stored()
    publish(registry)
    (draft,) = {key.split("/")[3] for key in keys(registry) if key.startswith("contents/")}
    abandoned = "0" * 32
    damaged, others = f"drafts/m/pytorch/2/{'1' * 32}", ("drafts/letter.txt", "drafts/m/pytorch/1/letter")
    for key in (f"drafts/m/pytorch/1/{draft}", f"drafts/m/pytorch/1/{abandoned}", damaged, *others):
        registry.store.put(key, b"")
    registry.store.put("models/m/pytorch/2", b"{broken")
    registry.store.put(f"contents/m/pytorch/{abandoned}/manifest.json", b"{}")
    assert registry.remove_abandoned_drafts() == 0
    monkeypatch.setattr("shared.models.stored_registry.UNFINISHED_AFTER_S", -60.0)
    assert registry.remove_abandoned_drafts() == 1
    assert not [key for key in keys(registry) if abandoned in key]
    assert {key for key in keys(registry) if key.startswith("drafts/")} == {damaged, *others}
    registry.verify("m", "pytorch", 1)


def test_a_version_that_is_written_after_a_conflict_is_complete(make_stored: MakeStored, proxy: StoreProxy) -> None:
    registry = make_stored()
    proxy.condition = "conflict"
    with pytest.raises(ObjectStoreError, match="does not say yet whether the version is published"):
        publish(registry, writer="mine")
    proxy.write_late()
    publish(registry, writer="mine")
    assert make_stored().verify("m", "pytorch", 1).manifest.writer == "mine"
    with pytest.raises(AlreadyPublishedError):
        publish(registry, writer="another")


def test_a_store_that_ignores_conditions_is_refused(make_stored: MakeStored, proxy: StoreProxy) -> None:
    store = make_stored().store
    for _ in range(2):
        check_conditional_writes(store)
    proxy.condition = "ignored"
    with pytest.raises(RuntimeError, match="use a store with conditional writes"):
        check_conditional_writes(store)


def test_copies_of_what_was_deleted_while_a_process_did_not_run_are_removed(
    make_stored: MakeStored, tmp_path: Path
) -> None:
    publish(make_stored())
    publish(make_stored(), version=2)
    settings = Settings.from_env({"TANDEM_MODEL_DIR": str(tmp_path), "TANDEM_MODEL_STORE": make_stored().store.url})
    before = open_registry(settings)
    kept, deleted = (before.path("m", "pytorch", version) for version in (1, 2))
    for version in (1, 2):
        before.verify("m", "pytorch", version)
    abandoned, young = (kept.parent / f".tmp-{digit * 32}" for digit in "01")
    for draft in (abandoned, young):
        draft.mkdir()
    os.utime(abandoned, (0, 0))
    make_stored().delete("m", "pytorch", 2)
    after = open_registry(settings)
    assert (abandoned.exists(), young.exists()) == (False, True)
    assert after.list_all() == {"m": {"pytorch": [1]}}
    assert (kept.exists(), deleted.exists()) == (True, False)


def test_a_store_that_is_down_stops_no_model_that_this_machine_has(
    make_stored: MakeStored, object_server: ObjectServer
) -> None:
    publish(make_stored())
    reader, newcomer = make_stored(), make_stored()
    expected = reader.verify("m", "pytorch", 1).manifest
    restarted = StoredModelRegistry(ObjectStore(reader.store.url), reader.root)
    object_server.send(signal.SIGSTOP)
    try:
        for registry in (reader, restarted):
            for _ in range(2):
                assert registry.resolve("m", ("pytorch",)) == (1, expected)
                assert registry.verify("m", "pytorch", 1).manifest == expected
        with pytest.raises(ObjectStoreError, match="does not answer"):
            newcomer.resolve_version("m", BOTH)
    finally:
        object_server.send(signal.SIGCONT)
    wait_until(lambda: newcomer.versions("m", "pytorch") == [1], message="the store is not asked again")


def test_wrong_credentials_are_named_and_not_shown(
    make_stored: MakeStored, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "very-secret")
    with pytest.raises(ObjectStoreError, match="check the credentials") as caught:
        make_stored().names()
    assert "very-secret" not in str(caught.value) + capsys.readouterr().out


FORK = """
import sys
from shared.object_store import ObjectStore
from shared.process import run_in_child
store = ObjectStore(sys.argv[1])
assert run_in_child(lambda: store.put("x", b"1")), "this process has not used the store yet"
assert store.get("x") == b"1"
try:
    run_in_child(lambda: ObjectStore(sys.argv[1]).get("x"))
except RuntimeError:
    print("refused")
"""


def test_a_process_whose_parent_has_used_a_store_is_refused_and_does_not_hang(make_stored: MakeStored) -> None:
    command = [sys.executable, "-c", FORK, make_stored().store.url]
    ended = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    assert ended.stdout == "refused\n"
