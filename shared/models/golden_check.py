"""A golden prediction: what a model said when it was published, it must say again before it serves.

The pictures are noise from a seed, so a manifest keeps the answer alone.
"""

import numpy as np
from numpy.typing import NDArray

from shared.backend import Backend, Predictor
from shared.errors import CorruptModelError
from shared.models.manifest import Manifest
from shared.network.description import Network
from shared.network.layers import Shape
from shared.network.weights import Weights

PICTURES = 2
TOLERANCE = 0.01  # of a probability: more than processors differ by, less than models do


def images(shape: Shape) -> NDArray[np.uint8]:
    """uint8 [2, H, W, C], the same on every machine."""
    return np.random.Generator(np.random.PCG64(0)).integers(0, 256, (PICTURES, *shape), np.uint8)


def answer(backend: Backend, network: Network, weights: Weights) -> list[list[float]]:
    """What a manifest keeps: the probabilities of a model that is made of the published weights alone."""
    predict = backend.serve(backend.define_network(network, weights))
    return [[round(float(value), 6) for value in row] for row in predict(images(network.input_shape))]


def check(predict: Predictor, shape: Shape, manifest: Manifest) -> None:
    """Ask again; this also warms the model.

    Raises:
        CorruptModelError: the answer is another one.
    """
    given = predict(images(shape))
    expected = given if manifest.golden is None else manifest.golden
    if not np.allclose(given, expected, rtol=0, atol=TOLERANCE):
        raise CorruptModelError(f"{manifest.name} {manifest.version} answers otherwise than when it was published")
