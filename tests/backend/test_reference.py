"""The reference itself: on paper, and against finite differences."""

import numpy as np
import pytest
from hypothesis import given

from shared.dataset import Split
from shared.network import Dense, Flatten, Network
from tests.backend import reference
from tests.backend.drawn import few, networks, random_split, random_weights, seeds

# float64 has 16 digits. A central difference with step h errs by h^2 (the third derivative) and
# by 1e-16 / h (rounding): 1e-10 each for h = 1e-5 or so.
STEP = 1e-5
TOLERANCE = 1e-8


def test_it_agrees_with_a_network_worked_out_on_paper():
    network = Network(input_shape=(1, 1, 1), layers=(Flatten(), Dense(units=2)))
    # White is 1, so the logits are ln 3 and 0, and the probabilities 3/4 and 1/4.
    parameters = {"layers.1.kernel": np.array([[np.log(3), 0.0]]), "layers.1.bias": np.zeros(2)}
    white = Split(np.full((1, 1, 1, 1), 255, np.uint8), np.array([1]))
    loss, accuracy, probabilities = reference.evaluate(network, parameters, white)
    assert probabilities == pytest.approx(np.array([[0.75, 0.25]]))
    assert (loss, accuracy) == (pytest.approx(np.log(4)), 0.0)
    slopes = reference.gradients(network, parameters, white)
    assert slopes["layers.1.bias"] == pytest.approx(np.array([0.75, -0.75]))
    assert slopes["layers.1.kernel"] == pytest.approx(np.array([[0.75, -0.75]]))


@few
@given(network=networks(), seed=seeds)
def test_its_gradients_agree_with_central_finite_differences(network, seed):
    data = random_split(network, 5, seed)
    parameters = {name: value.astype(np.float64) for name, value in random_weights(network, seed).items()}
    slopes = reference.gradients(network, parameters, data)
    assert {name: slope.shape for name, slope in slopes.items()} == network.parameter_shapes
    for name, value in parameters.items():
        measured = np.empty_like(value)
        for place in np.ndindex(value.shape):
            there, back = value.copy(), value.copy()
            there[place] += STEP
            back[place] -= STEP
            higher, _, _ = reference.evaluate(network, {**parameters, name: there}, data)
            lower, _, _ = reference.evaluate(network, {**parameters, name: back}, data)
            measured[place] = (higher - lower) / (2 * STEP)
        np.testing.assert_allclose(slopes[name], measured, rtol=0, atol=TOLERANCE, err_msg=name)
