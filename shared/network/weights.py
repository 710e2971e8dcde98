"""Weights in the canonical layout: initial values, and conversion to and from safetensors.

Canonical weights are a dictionary of float32 NumPy arrays. The names are `layers.<index>.<name>`, such as
`layers.1.kernel`; the index counts all layers of the network. A dense kernel is [in, out], a convolution's kernel is
[height, width, in, out], everything else is a vector. TensorFlow uses the same layout; PyTorch's backend transposes.
This module does no I/O: it takes and returns bytes, and it never pickles.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from shared.errors import CorruptModelError
from shared.network.description import Network
from shared.network.layers import Shape

# Canonical name -> array.
Weights = dict[str, NDArray[np.float32]]
# Name -> array of any dtype: weights in another precision, gradients, the state of an optimiser.
Arrays = dict[str, NDArray[Any]]


def initial_weights(network: Network, seed: int) -> Weights:
    """Return Glorot-uniform kernels and zero biases.

    Each kernel is drawn from U(-l, l) with l = sqrt(6 / (fan_in + fan_out)) (Glorot and Bengio 2010, equation 16).
    Batch norm starts as the identity: gamma and the moving variance are 1, beta and the moving mean are 0. Kernels are
    drawn in the order of the layers, in float64, and then rounded to float32. Every backend and both precisions
    therefore start from the same numbers.

    Args:
        network: The description of the layers.
        seed: Seed of NumPy's generator PCG64.
    """
    generator = np.random.Generator(np.random.PCG64(seed))
    weights: Weights = {}
    for name, shape in network.parameter_shapes.items():
        if name.endswith(".kernel"):
            limit = np.sqrt(6.0 / _fan_in_plus_out(shape))
            weights[name] = generator.uniform(-limit, limit, shape).astype(np.float32)
        else:
            starts_at_one = name.endswith((".gamma", ".moving_variance"))
            weights[name] = np.full(shape, 1 if starts_at_one else 0, np.float32)
    return weights


def _fan_in_plus_out(shape: Shape) -> int:
    """Dense [in, out] -> in + out. For a convolution, both are multiplied by the kernel's height and width."""
    receptive_field = int(np.prod(shape[:-2]))
    return receptive_field * (shape[-2] + shape[-1])


def to_bytes(weights: Weights) -> bytes:
    """Return the contents of a safetensors file with these weights."""
    return save({name: np.ascontiguousarray(array) for name, array in weights.items()})


def from_bytes(data: bytes, network: Network) -> Weights:
    """Read the weights of a network from the contents of a safetensors file.

    Raises:
        CorruptModelError: The data is not in safetensors format, or names, shapes or dtypes are not the network's.
    """
    try:
        weights = load(data)
    except SafetensorError as error:
        raise CorruptModelError(f"the weights cannot be read: {error}") from error
    shapes = {name: array.shape for name, array in weights.items()}
    if shapes != network.parameter_shapes:
        raise CorruptModelError(f"the weights have shapes {shapes}, but the network needs {network.parameter_shapes}")
    if any(array.dtype != np.float32 for array in weights.values()):
        raise CorruptModelError("the weights are not float32")
    return weights
