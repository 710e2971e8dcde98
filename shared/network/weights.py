"""Weights in the canonical layout: seeded, saved and loaded without pickle.

Canonical: float32 NumPy arrays under `layers.<index>.<name>`, where the index
counts every layer of the network. Dense kernels are [in, out], convolutions'
[height, width, in, out]; all else is a vector. This is TensorFlow's layout too;
PyTorch's backend transposes. No I/O here:
bytes in, bytes out.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from shared.errors import CorruptModelError
from shared.network.description import Network
from shared.network.layers import Shape

Weights = dict[str, NDArray[np.float32]]
Arrays = dict[str, NDArray[Any]]


def initial_weights(network: Network, seed: int) -> Weights:
    """Glorot-uniform kernels from NumPy's PCG64 of the seed, and zero biases.

    A kernel is drawn from U(-l, l) with l = sqrt(6 / (fan_in + fan_out)):
    Glorot and Bengio 2010, equation 16. Kernels are drawn in the order of the
    layers, in float64, then rounded to float32, so that every backend, and
    either precision, starts from the same numbers. Batch norm starts as the
    identity: its scales and variances are one.
    """
    generator = np.random.Generator(np.random.PCG64(seed))
    weights: Weights = {}
    for name, shape in network.parameter_shapes.items():
        if name.endswith(".kernel"):
            limit = np.sqrt(6.0 / _fan_in_plus_out(shape))
            weights[name] = generator.uniform(-limit, limit, shape).astype(np.float32)
        else:
            ones = name.endswith((".gamma", ".moving_variance"))
            weights[name] = np.full(shape, 1 if ones else 0, np.float32)
    return weights


def _fan_in_plus_out(shape: Shape) -> int:
    """Dense [in, out] -> in + out; leading dimensions are a receptive field."""
    receptive_field = int(np.prod(shape[:-2]))
    return receptive_field * (shape[-2] + shape[-1])


def to_bytes(weights: Weights) -> bytes:
    """Weights as a safetensors file."""
    return save({name: np.ascontiguousarray(array) for name, array in weights.items()})


def from_bytes(data: bytes, network: Network) -> Weights:
    """A safetensors file as the weights of a network.

    Raises:
        CorruptModelError: unreadable, or names, shapes or dtypes are not the network's.
    """
    try:
        weights = load(data)
    except SafetensorError as error:
        raise CorruptModelError(f"the weights cannot be read: {error}") from error
    found = {name: array.shape for name, array in weights.items()}
    if found != network.parameter_shapes:
        raise CorruptModelError(f"the weights {found} are not the network's {network.parameter_shapes}")
    if any(array.dtype != np.float32 for array in weights.values()):
        raise CorruptModelError("the weights are not float32")
    return weights
