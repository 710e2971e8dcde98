"""Every layer's output, gradient and weight agrees with the reference, step by step in float64."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, note

from shared.data.batches import EpochBatches
from shared.data.datasets import Split
from shared.network.description import PRESETS, Network
from shared.network.layers import BatchNorm, Conv2D, Dense, Dropout, Flatten, MaxPool2D
from shared.network.optimizers import Adam, Sgd
from tests.backend import reference
from tests.backend.distance import distance, distances
from tests.backend.random_examples import OPTIONS, examples, few, options, random_split, random_weights

# A double has 16 digits. A sum of some hundred numbers loses two of them, and batch norm of almost equal values loses
# two or three more. Each step adds rounding errors to those of the steps before. Of a thousand networks, the worst
# differed by 1e-11 after one step and by 6e-11 after five.
ONE_STEP, STEPS = 1e-10, 1e-9

# The last batch is smaller, as at the end of an epoch.
BATCHES = (6, 6, 6, 6, 4)

VECTORS = Network(
    input_shape=(2, 3, 1),
    layers=(Flatten(), Dense(units=5, activation="tanh"), BatchNorm(momentum=0.8), Dense(units=3)),
)
PICTURES = Network(
    input_shape=(5, 4, 3),
    layers=(
        *(Conv2D(filters=3, kernel_size=2, padding="same", activation="relu"), BatchNorm(momentum=0.8)),
        *(MaxPool2D(), Flatten(), Dense(units=3)),
    ),
)


def batches_of(network, seed, sizes=BATCHES):
    return [random_split(network, size, [seed, index]) for index, size in enumerate(sizes)]


def trace(backend, network, optimizer, batches, weights):
    model = backend.define_network(network, weights, "float64")
    return list(backend.trace(model, backend.define_optimizer(optimizer, model), backend.define_loss(), batches))


def trace_reference(network, optimizer, batches, weights):
    parameters, state, seen = reference.to_float64(weights), {}, []
    for batch in batches:
        step, state = reference.step(network, parameters, batch, optimizer, state)
        parameters = step.weights
        seen.append(step)
    return seen


def assert_agrees(backend, network, optimizer, batches, weights):
    found = trace(backend, network, optimizer, batches, weights)
    expected = trace_reference(network, optimizer, batches, weights)
    assert distances(found[0].outputs, expected[0].outputs) <= ONE_STEP
    assert distance(found[0].gradients, expected[0].gradients) <= ONE_STEP
    for step, other in zip(found, expected, strict=True):
        assert distances(step.outputs, other.outputs) <= STEPS
        assert distance(step.gradients, other.gradients) <= STEPS
        assert distance(step.weights, other.weights) <= STEPS


def test_any_network_with_any_optimizer_agrees_with_the_reference(backend):
    seen = set()

    @few
    @given(example=examples())
    def agrees(example):
        note(repr(example))
        network, optimizer, seed = example
        seen.update(options(network, optimizer))
        assert_agrees(backend, network, optimizer, batches_of(network, seed), random_weights(network, seed))

    agrees()
    assert seen == OPTIONS


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("optimizer", [Sgd(learning_rate=0.05, momentum=0.9), Adam()], ids=lambda each: each.name)
def test_a_preset_agrees_with_the_reference(backend, preset, optimizer):
    network = PRESETS[preset].network((13, 12, 3), 5)
    # Dropout's masks differ between frameworks. With rate 0, the rest of the network can be compared.
    layers = [Dropout(rate=0) if isinstance(layer, Dropout) else layer for layer in network.layers]
    network = Network(input_shape=network.input_shape, layers=layers)
    assert_agrees(backend, network, optimizer, batches_of(network, 1), random_weights(network, 2))


@pytest.mark.parametrize("network", [VECTORS, PICTURES], ids=["vectors", "pictures"])
def test_batch_norm_trains_on_a_batch_of_one(backend, network):
    # Normalising a single vector leaves only beta, and its unbiased variance is defined as 0.
    batches = batches_of(network, 3, sizes=(1, 1, 4, 1))
    assert_agrees(backend, network, Sgd(learning_rate=0.1), batches, random_weights(network, 3))


@pytest.mark.parametrize("network", [VECTORS, PICTURES], ids=["vectors", "pictures"])
@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_moving_averages_take_the_unbiased_variance_of_each_batch(backend, network, precision):
    index = next(index for index, layer in enumerate(network.layers) if layer.kind == "batch_norm")
    weights = random_weights(network, 4)
    model = backend.define_network(network, weights, precision)
    optimizer = backend.define_optimizer(Sgd(learning_rate=0.1), model)
    steps = list(backend.trace(model, optimizer, backend.define_loss(), batches_of(network, 4)))
    mean, variance = (reference.to_float64(weights)[f"layers.{index}.moving_{what}"] for what in ("mean", "variance"))
    for step in steps:
        x = step.outputs[index - 1].astype(np.float64).reshape(-1, len(mean))
        mean, variance = 0.8 * mean + 0.2 * x.mean(0), 0.8 * variance + 0.2 * x.var(0, ddof=1)
        # float32's rounding of numbers of the size of 1, or double's.
        tolerance = 2e-6 if precision == "float32" else 1e-12
        np.testing.assert_allclose(step.weights[f"layers.{index}.moving_mean"], mean, rtol=0, atol=tolerance)
        np.testing.assert_allclose(step.weights[f"layers.{index}.moving_variance"], variance, rtol=0, atol=tolerance)


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_a_step_shows_all_of_it_in_the_models_precision_and_the_canonical_layout(backend, precision):
    weights = random_weights(PICTURES, 5)
    model = backend.define_network(PICTURES, weights, precision)
    optimizer = backend.define_optimizer(Sgd(), model)
    [step] = backend.trace(model, optimizer, backend.define_loss(), [random_split(PICTURES, 4, 5)])
    assert [output.shape for output in step.outputs] == [(4, *shape) for shape in PICTURES.shapes[1:]]
    shapes = PICTURES.parameter_shapes
    assert [(name, array.shape) for name, array in step.weights.items()] == list(shapes.items())
    learned = [(name, shape) for name, shape in shapes.items() if ".moving_" not in name]
    assert [(name, array.shape) for name, array in step.gradients.items()] == learned
    arrays = [*step.outputs, *step.gradients.values(), *step.weights.values()]
    assert {(type(array), array.dtype.name) for array in arrays} == {(np.ndarray, precision)}


def test_a_traced_step_is_a_copy_that_the_next_step_does_not_change(backend):
    batches, weights = batches_of(PICTURES, 6), random_weights(PICTURES, 6)
    model = backend.define_network(PICTURES, weights, "float64")
    steps = backend.trace(model, backend.define_optimizer(Sgd(), model), backend.define_loss(), batches)
    first = next(steps)
    kept = {name: array.copy() for name, array in {**first.gradients, **first.weights}.items()}
    outputs = [output.copy() for output in first.outputs]
    rest = list(steps)
    assert all((array == kept[name]).all() for name, array in first.weights.items())
    assert all((array == kept[name]).all() for name, array in {**kept, **first.weights}.items())
    assert all((one == other).all() for one, other in zip(first.outputs, outputs, strict=True))
    assert all((a.weights["layers.0.bias"] != b.weights["layers.0.bias"]).any() for a, b in pairwise([first, *rest]))


@pytest.mark.parametrize("optimizer", [Sgd(momentum=0.9, nesterov=True), Adam(weight_decay=0.1)], ids=lambda o: o.name)
def test_training_takes_the_same_steps_as_a_trace(backend, optimizer):
    data, weights = random_split(PICTURES, 22, 7), random_weights(PICTURES, 7)
    order = np.random.default_rng(7).permutation(22)
    batches = [Split(data.images[chosen], data.labels[chosen]) for chosen in np.split(order, [8, 16])]
    *_, last = trace(backend, PICTURES, optimizer, batches, weights)
    model = backend.define_network(PICTURES, weights, "float64")
    ours = backend.define_optimizer(optimizer, model)
    list(backend.train(model, ours, backend.define_loss(), data, 8, [EpochBatches(order)]))
    # A graph of the whole epoch may be optimised differently: a few rounding errors of a double.
    assert distance(backend.save(model), last.weights) <= 1e-12


def test_the_tolerance_is_far_below_the_effect_of_a_mistake():
    """Compare the reference with variants of it that compute what a framework does by default."""
    weights, batches = random_weights(PICTURES, 8), batches_of(PICTURES, 8)
    sgd = Sgd(learning_rate=0.03, momentum=0.9, weight_decay=0.1)
    adam = Adam(learning_rate=0.003, epsilon=1e-3, weight_decay=0.1)
    for optimizer, otherwise in [
        (sgd, {"nesterov": True}),
        (sgd, {"weight_decay": 0.0}),
        (sgd, {"learning_rate": float(np.float32(0.03))}),
        (adam, {"weight_decay": 0.0}),
        (adam, {"epsilon": 1e-3 / np.sqrt(1 - 0.999)}),  # added before the bias is corrected
    ]:
        other = optimizer.model_copy(update=otherwise)
        right, wrong = (trace_reference(PICTURES, each, batches, weights)[-1].weights for each in (optimizer, other))
        assert distance(wrong, right) > 2 * STEPS, otherwise
