"""A certificate's verdict and the layer that it names, for traces with known differences."""

import copy

import numpy as np
import pytest

from shared.jobs.results import StepDifference
from shared.network.description import PRESETS
from shared.training.certify import GPU_LIMITS, LIMITS, Trace, TraceStep, compare_traces, flatten, unflatten

NETWORK = PRESETS["mlp"].network((4, 4, 1), 3)
STEPS = 3


@pytest.fixture
def trace() -> Trace:
    generator = np.random.default_rng(0)

    def arrays(shapes: dict, dtype: str) -> dict:
        return {name: generator.normal(size=shape).astype(dtype) for name, shape in shapes.items()}

    return {
        precision: [
            TraceStep(
                outputs=arrays(
                    {f"layers.{i}": (5, *shape) for i, shape in enumerate(NETWORK.shapes[1:])}
                    if step == 0
                    else {"layers.2": (5, 3)},
                    precision,
                ),
                gradients=arrays(NETWORK.parameter_shapes, precision),
                weights=arrays(NETWORK.parameter_shapes, precision),
            )
            for step in range(STEPS)
        ]
        for precision in ("float64", "float32")
    }


def changed(trace: Trace, precision: str, step: int, *tensors: tuple[str, str], by: float) -> Trace:
    other = copy.deepcopy(trace)
    for what, name in tensors:
        getattr(other[precision][step], what)[name] *= 1 + by
    return other


def test_equal_traces_are_identical(trace: Trace) -> None:
    found = compare_traces(NETWORK, trace, copy.deepcopy(trace))
    assert (found.verdict, found.first_difference) == ("identical", None)
    assert found.steps["float64"] == [
        StepDifference(step=step, logits=0.0, gradients=0.0, weights=0.0) for step in (1, 2, 3)
    ]


@pytest.mark.parametrize(
    ("precision", "by", "verdict"),
    [("float64", 1e-14, "rounding"), ("float64", 1e-7, "different"), ("float32", 1e-2, "rounding")],
)
def test_the_verdict_depends_on_double_precision_only(trace: Trace, precision: str, by: float, verdict: str) -> None:
    found = compare_traces(NETWORK, trace, changed(trace, precision, 1, ("outputs", "layers.2"), by=by))
    assert found.verdict == verdict
    assert found.first_difference.layer == "layers.2 (dense)"
    assert found.first_difference.step == 2
    assert found.first_difference.difference == pytest.approx(by, rel=1e-1)
    assert found.steps[precision][1].logits == found.first_difference.difference


def test_a_gpu_has_limits_of_its_own_and_the_result_states_them(trace: Trace) -> None:
    other = changed(trace, "float64", 1, ("outputs", "layers.2"), by=5e-10)
    strict, loose = (compare_traces(NETWORK, trace, other, limits) for limits in (LIMITS, GPU_LIMITS))
    assert (strict.verdict, loose.verdict) == ("different", "rounding")
    assert strict.limits == {"outputs": 1e-10, "gradients": 1e-10, "weights": 1e-8}
    assert loose.limits == pytest.approx({"outputs": 1e-9, "gradients": 1e-9, "weights": 1e-7})


def test_outputs_are_searched_forwards_and_gradients_backwards(trace: Trace) -> None:
    everywhere = [("gradients", name) for name in NETWORK.parameter_shapes]
    found = compare_traces(NETWORK, trace, changed(trace, "float64", 0, *everywhere, by=1e-3)).first_difference
    assert (found.what, found.layer) == ("gradients", "layers.2 (dense)")
    everywhere += [("outputs", "layers.1"), ("outputs", "layers.2")]
    found = compare_traces(NETWORK, trace, changed(trace, "float64", 0, *everywhere, by=1e-3)).first_difference
    assert (found.what, found.layer) == ("outputs", "layers.1 (dense)")


def test_a_difference_beyond_rounding_is_named_before_an_earlier_one_within_it(trace: Trace) -> None:
    other = changed(trace, "float64", 0, ("outputs", "layers.0"), by=1e-15)
    other = changed(other, "float64", 2, ("weights", "layers.1.kernel"), by=1e-3)
    found = compare_traces(NETWORK, trace, other)
    assert found.verdict == "different"
    assert found.first_difference.model_dump() == {
        "precision": "float64",
        "step": 3,
        "layer": "layers.1 (dense)",
        "what": "weights",
        "difference": pytest.approx(1e-3, rel=1e-2),
    }


def test_a_tensor_of_rounding_errors_is_measured_relative_to_the_other_tensors(trace: Trace) -> None:
    other = copy.deepcopy(trace)
    for side, noise in ((trace, 1e-17), (other, -1e-17)):
        side["float64"][0].gradients["layers.1.bias"] = np.full(128, noise)
    assert compare_traces(NETWORK, trace, other).verdict == "rounding"


def test_a_flattened_trace_is_restored_completely(trace: Trace) -> None:
    again = unflatten(flatten(trace))
    assert compare_traces(NETWORK, trace, again).verdict == "identical"
    assert [list(step.outputs) for step in again["float64"]] == [list(step.outputs) for step in trace["float64"]]


def test_a_trace_without_gradients_is_compared_by_its_outputs_alone(trace: Trace) -> None:
    forward_only: Trace = {precision: [TraceStep(step.outputs) for step in steps] for precision, steps in trace.items()}
    found = compare_traces(NETWORK, trace, forward_only)
    assert found.verdict == "identical"
    assert found.steps["float32"][0] == StepDifference(step=1, logits=0.0, gradients=None, weights=None)
