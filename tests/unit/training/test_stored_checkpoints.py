"""Checkpoints and marks of ended jobs in an object store: another machine finds them."""

from pathlib import Path

import numpy as np
import pytest

from shared.jobs import stored_ended_jobs
from shared.jobs.ended_jobs import DAY_S
from shared.jobs.run_state import Run
from shared.jobs.stored_ended_jobs import StoredEndedJobs, open_ended_jobs
from shared.object_store import open_object_store
from shared.settings import Settings
from shared.training.checkpoints import ANSWERS
from shared.training.stored_checkpoints import open_checkpoints

ONE, OTHER = "1" * 32, "2" * 32  # ids of work
ARRAYS = {"a": np.arange(6.0).reshape(2, 3), "step": np.array(7)}


def machine(folder: Path, url: str) -> Settings:
    """Return the settings of a machine that shares nothing but the object store."""
    return Settings.from_env({"TANDEM_STATE_DIR": str(folder), "TANDEM_MODEL_STORE": url})


def test_another_machine_continues_from_a_checkpoint_until_the_work_has_ended(tmp_path: Path, store_url: str) -> None:
    one, other = (open_checkpoints(machine(tmp_path / name, store_url)) for name in ("one", "other"))
    runs = [Run(None, "training", identity, "pytorch") for identity in (ONE, OTHER)]  # type: ignore[arg-type]
    assert other.read(runs[0]) is None
    for run in runs:
        one.write(run, ARRAYS, [{"epoch": 1}])
    one.write(runs[0], ARRAYS, None, ANSWERS)
    arrays, note = other.read(runs[0]) or ({}, None)
    assert note == [{"epoch": 1}]
    assert {name: array.tolist() for name, array in arrays.items()} == {"a": [[0, 1, 2], [3, 4, 5]], "step": 7}
    store = open_object_store(store_url)
    others = {"scratch/readme.txt", "scratch/notes-of-anna.safetensors", f"scratch/training-{OTHER}-pytorch.txt"}
    for key in others:
        store.put(key, b"x")
    other.remove_ended(lambda kind, identity: (kind, identity) == ("training", ONE))
    assert others < {found.key for found in store.list("scratch")}
    assert one.read(runs[0])
    assert one.read(runs[0], ANSWERS)
    assert one.read(runs[1]) is None
    other.remove(runs[0])
    assert one.read(runs[0]) is None


def test_a_checkpoint_that_is_no_safetensors_file_is_treated_as_absent(tmp_path: Path, store_url: str) -> None:
    checkpoints = open_checkpoints(machine(tmp_path, store_url))
    run = Run(None, "training", ONE, "pytorch")  # type: ignore[arg-type]
    checkpoints.write(run, ARRAYS, 1)
    (key,) = [found.key for found in open_object_store(store_url).list("scratch")]
    for damaged in (b"", b"x" * 7, b"\xff" * 30):
        open_object_store(store_url).put(key, damaged)
        assert checkpoints.read(run) is None


def test_another_machine_knows_that_a_job_has_ended(tmp_path: Path, store_url: str) -> None:
    one, other = (open_ended_jobs(machine(tmp_path / name, store_url)) for name in ("one", "other"))
    assert isinstance(one, StoredEndedJobs)
    one._parent = 0  # as in a work horse
    assert other.find(f"training-{ONE}-pytorch") is None
    one.add(f"training-{ONE}-pytorch", "succeeded")
    assert other.find(f"training-{ONE}-pytorch") == "succeeded"
    assert other.find(f"training-{OTHER}-pytorch") is None


def test_only_old_marks_are_removed(tmp_path: Path, store_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_object_store(store_url)
    mark, other = f"ended/training-{ONE}-pytorch.succeeded", "ended/customers.csv"
    ended = open_ended_jobs(machine(tmp_path, store_url))
    assert isinstance(ended, StoredEndedJobs)
    for key in (mark, other):
        store.put(key, b"")
    ended._remove_old()
    assert {found.key for found in store.list("ended")} == {mark, other}
    monkeypatch.setattr(stored_ended_jobs, "DAY_S", -100 * DAY_S)
    ended._remove_old()
    assert [found.key for found in store.list("ended")] == [other]
