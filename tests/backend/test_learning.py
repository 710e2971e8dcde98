"""End to end: the mlp learns the embedded digits, and its weights agree with the reference."""

import numpy as np
import pytest

from shared.data import batches, datasets
from shared.data.batches import generate_epochs
from shared.network.description import PRESETS
from shared.network.optimizers import Sgd
from shared.network.weights import initial_weights
from tests.backend import reference

EPOCHS, BATCH_SIZE, OPTIMIZER = 20, 32, Sgd(learning_rate=0.3)
# 900 steps of float32, and each adds a rounding error of 6e-8. A ReLU whose input is 0 within rounding may be on or
# off, which changes its unit's weights by about 1e-5. A mistake changes weights by at least 1e-3, see test_training.py.
TOLERANCE = 1e-4

NETWORK = PRESETS["mlp"].network((8, 8, 1), 10)
DIGITS = datasets.DIGITS


def train(backend, settings, weights, is_order_shared):
    """Returns: the model, and its history of (loss, accuracy)."""
    data = backend.load_data(DIGITS, settings.cache_dir, "train")
    model = backend.define_network(NETWORK, weights)
    optimizer = backend.define_optimizer(OPTIMIZER, model)
    epochs = generate_epochs(data, 0, 1, EPOCHS, is_order_shared)
    return model, list(backend.train(model, optimizer, backend.define_loss(), data, BATCH_SIZE, epochs))


@pytest.fixture(scope="module")
def paired(backend, settings):
    """The model trained from the shared initial weights in the shared order."""
    return train(backend, settings, initial_weights(NETWORK, seed=0), is_order_shared=True)


@pytest.fixture(scope="module")
def native(backend, settings):
    """The model trained from the framework's own initial weights in its own order."""
    return train(backend, settings, None, is_order_shared=False)


# 0.97 is usual. The framework's own initial weights vary, so the limit is lower for them.
@pytest.mark.parametrize(("pairing", "least"), [("paired", 0.95), ("native", 0.9)])
def test_the_mlp_learns_the_digits(backend, settings, request, pairing, least):
    model, history = request.getfixturevalue(pairing)
    result = backend.evaluate(model, backend.define_loss(), backend.load_data(DIGITS, settings.cache_dir, "test"))
    assert len(history) == EPOCHS
    assert history[-1][0] < 0.2 * history[0][0]
    assert result.accuracy >= least


def test_the_weights_after_twenty_epochs_agree_with_the_reference(backend, paired):
    model, history = paired
    data = datasets.read_uncached(DIGITS, "train")
    parameters, state, expected = reference.to_float64(initial_weights(NETWORK, seed=0)), {}, []
    for epoch in range(1, EPOCHS + 1):
        order = batches.draw_order(0, epoch, len(data))
        parameters, state, *seen = reference.epoch(NETWORK, parameters, data, order, BATCH_SIZE, OPTIMIZER, state)
        expected.append(seen)
    assert [loss for loss, _ in history] == pytest.approx([loss for loss, _ in expected], rel=TOLERANCE)
    assert [accuracy for _, accuracy in history] == [accuracy for _, accuracy in expected]
    for name, array in backend.save(model).items():
        np.testing.assert_allclose(array, parameters[name], rtol=0, atol=TOLERANCE, err_msg=name)
