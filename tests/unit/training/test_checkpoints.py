"""Arrays of work in progress: whole or absent, and gone when their work has ended."""

from pathlib import Path

import numpy as np
import pytest

from shared.jobs.run_state import Run
from shared.models.registry import ModelRegistry
from shared.training.checkpoints import Checkpoints

ARRAYS = {"a": np.arange(6.0).reshape(2, 3), "step": np.array(7)}


@pytest.fixture
def scratch(tmp_path: Path) -> Checkpoints:
    return Checkpoints(tmp_path)


@pytest.fixture
def run() -> Run:
    return Run(None, "training", "1", "pytorch")  # type: ignore[arg-type] - it is only asked for its name


def test_what_was_written_is_read_with_its_note(scratch: Checkpoints, run: Run) -> None:
    scratch.write(run, ARRAYS, [{"epoch": 1}])
    arrays, note = scratch.read(run) or ({}, None)
    assert note == [{"epoch": 1}]
    assert {name: array.tolist() for name, array in arrays.items()} == {"a": [[0, 1, 2], [3, 4, 5]], "step": 7}


def test_nothing_written_is_nothing_read(scratch: Checkpoints, run: Run) -> None:
    assert scratch.read(run) is None
    scratch.remove(run)


@pytest.mark.parametrize("length", [0, 7, -1])
def test_a_torn_file_counts_as_absent(scratch: Checkpoints, run: Run, tmp_path: Path, length: int) -> None:
    scratch.write(run, ARRAYS, None)
    (file,) = (tmp_path / ".scratch").iterdir()
    file.write_bytes(file.read_bytes()[:length])
    assert scratch.read(run) is None


def test_files_of_ended_work_are_collected_and_others_stay(scratch: Checkpoints, tmp_path: Path) -> None:
    for identity in ("open", "ended"):
        scratch.write(Run(None, "certificate", identity, "pytorch"), ARRAYS, None)  # type: ignore[arg-type]
    scratch.collect(lambda kind, identity: (kind, identity) == ("certificate", "open"))
    assert [file.name for file in (tmp_path / ".scratch").iterdir()] == ["certificate-open-pytorch.safetensors"]


def test_it_lies_beside_the_models_and_is_none(scratch: Checkpoints, run: Run, tmp_path: Path) -> None:
    scratch.write(run, ARRAYS, None)
    assert ModelRegistry(tmp_path).names() == []
