"""A checkpoint is read completely or is absent, and is removed when its work has ended."""

import os
import resource
from pathlib import Path

import numpy as np
import pytest

from shared.jobs.run_state import Run
from shared.models.registry import ModelRegistry
from shared.training.checkpoints import ANSWERS, STATE, Checkpoints

ARRAYS = {"a": np.arange(6.0).reshape(2, 3), "step": np.array(7)}


@pytest.fixture
def checkpoints(tmp_path: Path) -> Checkpoints:
    return Checkpoints(tmp_path)


@pytest.fixture
def run() -> Run:
    return Run(None, "training", "1", "pytorch")  # type: ignore[arg-type] - only its name is used


def test_arrays_are_read_as_they_were_written_with_their_note(checkpoints: Checkpoints, run: Run) -> None:
    checkpoints.write(run, ARRAYS, [{"epoch": 1}])
    arrays, note = checkpoints.read(run) or ({}, None)
    assert note == [{"epoch": 1}]
    assert {name: array.tolist() for name, array in arrays.items()} == {"a": [[0, 1, 2], [3, 4, 5]], "step": 7}


def test_a_run_without_a_file_has_no_arrays(checkpoints: Checkpoints, run: Run) -> None:
    assert checkpoints.read(run) is None
    checkpoints.remove(run)


@pytest.mark.parametrize("length", [0, 7, -1])
def test_a_truncated_file_is_treated_as_absent(checkpoints: Checkpoints, run: Run, tmp_path: Path, length: int) -> None:
    checkpoints.write(run, ARRAYS, None)
    (file,) = (tmp_path / ".scratch").iterdir()
    file.write_bytes(file.read_bytes()[:length])
    assert checkpoints.read(run) is None


def test_only_files_of_ended_work_are_removed(checkpoints: Checkpoints, tmp_path: Path) -> None:
    for identity in ("open", "ended"):
        checkpoints.write(Run(None, "certificate", identity, "pytorch"), ARRAYS, None)  # type: ignore[arg-type]
    checkpoints.remove_ended(lambda kind, identity: (kind, identity) == ("certificate", "open"))
    assert [file.name for file in (tmp_path / ".scratch").iterdir()] == ["certificate-open-pytorch.safetensors"]


def test_the_registry_does_not_take_checkpoints_for_models(checkpoints: Checkpoints, run: Run, tmp_path: Path) -> None:
    checkpoints.write(run, ARRAYS, None)
    assert ModelRegistry(tmp_path).names() == []


def test_answers_are_kept_beside_the_checkpoint_and_removed_with_it(
    checkpoints: Checkpoints, run: Run, tmp_path: Path
) -> None:
    checkpoints.write(run, ARRAYS, "state")
    checkpoints.write(run, ARRAYS, "answers", ANSWERS)
    assert [checkpoints.read(run, content)[1] for content in (STATE, ANSWERS)] == ["state", "answers"]  # type: ignore[index]
    checkpoints.remove_ended(lambda kind, identity: False)
    assert list((tmp_path / ".scratch").iterdir()) == []


def test_a_checkpoint_that_cannot_be_written_leaves_the_older_one(
    checkpoints: Checkpoints, run: Run, tmp_path: Path
) -> None:
    checkpoints.write(run, ARRAYS, "old")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64, hard))  # a write beyond 64 bytes fails, as on a full disk
    try:
        with pytest.raises(OSError, match="File too large"):
            checkpoints.write(run, ARRAYS, "new")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert checkpoints.read(run)[1] == "old"  # type: ignore[index]
    assert len(list((tmp_path / ".scratch").iterdir())) == 1


def test_temporary_files_of_processes_that_died_are_removed(checkpoints: Checkpoints, run: Run, tmp_path: Path) -> None:
    checkpoints.write(run, ARRAYS, None)
    old, new = (tmp_path / ".scratch" / f".{name}.tmp" for name in ("old", "new"))
    for file in (old, new):
        file.touch()
    os.utime(old, (0, 0))
    checkpoints.remove_ended(lambda kind, identity: True)
    assert not old.exists()
    assert new.exists()
