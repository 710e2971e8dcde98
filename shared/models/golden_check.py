"""Golden predictions: a check that a loaded model computes what it computed when it was published.

Before a model is published, its probabilities on fixed inputs are stored in its manifest. Before the model serves,
they are computed again and compared. The inputs are random images from a fixed seed, so only the probabilities are
stored.
"""

import numpy as np
from numpy.typing import NDArray

from shared.backend import Backend, Predictor
from shared.errors import CorruptModelError
from shared.models.manifest import Manifest
from shared.network.description import Network
from shared.network.layers import Shape
from shared.network.weights import Weights

INPUT_COUNT = 2
TOLERANCE = 0.01
"""Of a probability: more than the difference between two processors, less than between two models."""


def create_inputs(shape: Shape) -> NDArray[np.uint8]:
    """Return the fixed inputs, uint8 [2, H, W, C]: the same on every machine, from NumPy's PCG64 with seed 0."""
    return np.random.Generator(np.random.PCG64(0)).integers(0, 256, (INPUT_COUNT, *shape), np.uint8)


def compute_probabilities(backend: Backend, network: Network, weights: Weights) -> list[list[float]]:
    """Return the probabilities [2, classes] that the manifest stores, rounded to six decimals.

    A new model is made from the weights that are published, so that the check covers what a predictor will load.
    """
    predict = backend.serve(backend.define_network(network, weights))
    return [[round(float(value), 6) for value in row] for row in predict(create_inputs(network.input_shape))]


def check_probabilities(predict: Predictor, shape: Shape, manifest: Manifest) -> None:
    """Compare a loaded model's probabilities with those in its manifest. This call also warms up the model.

    A manifest from before golden predictions has none; its model is only warmed up.

    Raises:
        CorruptModelError: a probability differs by more than `TOLERANCE`, or is not a number.
    """
    found = predict(create_inputs(shape))
    expected = found if manifest.golden is None else manifest.golden
    if not np.allclose(found, expected, rtol=0, atol=TOLERANCE):
        raise CorruptModelError(
            f"model {manifest.name!r} version {manifest.version} of {manifest.backend} is damaged: "
            f"it predicts other probabilities than at its publication"
        )
