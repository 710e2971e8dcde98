"""The state of a run: which fields may be reported, and how values are stored."""

import json
import math

import pytest
from redis import Redis

from shared.jobs.results import ClassFigures, RunState, TrainingRun
from shared.jobs.run_state import Run, packed, unpacked

NOWHERE = Redis(host="127.0.0.1", port=1)  # it would fail at the first command


def test_a_field_that_the_runs_class_does_not_have_is_refused() -> None:
    run = Run(NOWHERE, "training", "1", "toy", TrainingRun)
    with pytest.raises(TypeError, match="TrainingRun has no field resumed_afer"):
        run.report(resumed_afer=3)


def test_values_are_stored_as_json_and_models_as_their_fields() -> None:
    figures = ClassFigures(name="ant", precision=0.5, recall=1.0, f1=0.75)
    stored = packed({"status": "running", "error": None, "per_class": [figures]})
    assert stored["status"] == '"running"'
    assert stored["error"] == "null"
    assert json.loads(stored["per_class"]) == [{"class": "ant", "precision": 0.5, "recall": 1.0, "f1": 0.75}]
    read = unpacked({name.encode(): value for name, value in stored.items()})
    assert ClassFigures.model_validate(read["per_class"][0]) == figures


def test_a_number_that_is_not_finite_is_not_stored() -> None:
    with pytest.raises(ValueError, match="Out of range float"):
        packed({"loss": math.nan})


def test_a_state_ignores_what_only_the_writers_need() -> None:
    state = RunState.model_validate({"status": "queued", "publishing": False, "execution": None, "overlapped": True})
    assert (state.status, state.overlapped, state.threads, state.error) == ("queued", True, None, None)
