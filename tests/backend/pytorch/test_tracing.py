"""The gradients of a traced step are those before the optimiser changes them."""

import pytest

from services.pytorch import backend as pytorch
from shared.backend import Backend
from shared.network.description import PRESETS
from shared.network.optimizers import Adam, Optimizer, Sgd
from tests.backend import reference
from tests.backend.distance import distance
from tests.backend.random_examples import random_split, random_weights

NESTEROV = Sgd(learning_rate=0.05, momentum=0.9, nesterov=True)


@pytest.mark.parametrize("optimizer", [NESTEROV, Adam(weight_decay=0.1)], ids=["nesterov", "adam"])
def test_an_optimiser_that_changes_gradients_in_place_does_not_change_what_is_traced(
    backend: Backend, optimizer: Optimizer
) -> None:
    """On a GPU, SGD updates all weights at once (`foreach`) and adds the momentum to the gradients in place."""
    network = PRESETS["mlp"].network((4, 4, 1), 3)
    weights, batch = random_weights(network, seed=1), random_split(network, 6, seed=1)
    model = pytorch.define_network(network, weights, "float64")
    ours = pytorch.define_optimizer(optimizer, model)
    for group in ours.param_groups:
        group["foreach"] = isinstance(optimizer, Sgd)
    [step] = pytorch.trace(model, ours, pytorch.define_loss(), [batch])
    expected, _ = reference.step(network, reference.to_float64(weights), batch, optimizer, {})
    assert distance(step.gradients, expected.gradients) <= 1e-12
    assert distance(step.weights, expected.weights) <= 1e-9


def test_that_optimiser_does_change_gradients_in_place(backend: Backend) -> None:
    """Otherwise the test above would test nothing."""
    network = PRESETS["mlp"].network((4, 4, 1), 3)
    model = pytorch.define_network(network, random_weights(network, seed=1), "float64")
    ours, batch = pytorch.define_optimizer(NESTEROV, model), random_split(network, 6, seed=1)
    ours.param_groups[0]["foreach"] = True
    before: list[float] = []
    ours.register_step_pre_hook(lambda *_: before.extend(float(p.grad.norm()) for p in model.parameters()))
    x, y = pytorch.to_device(batch.images), pytorch.to_device(batch.labels)
    pytorch.train_step(model, ours, pytorch.define_loss(), x, y)
    after = [float(parameter.grad.norm()) for parameter in model.parameters()]
    assert after == pytest.approx([1.9 * norm for norm in before])
