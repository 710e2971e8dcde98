"""Convert between PyTorch's layout and the canonical layout of weights.

PyTorch stores images as [N, C, H, W] and kernels as [out, in, ...]. The
canonical layout (shared/network/weights.py) has the channels last:
[N, H, W, C] and [..., in, out]. Vectors, such as biases, are the same in both.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray


def canonical_name(name: str) -> str:
    """Return the canonical name of a parameter, such as `kernel`.

    Args:
        name: PyTorch's name within a layer, such as `0.weight` or `bias`.
    """
    last = name.rsplit(".", maxsplit=1)[-1]
    return "kernel" if last == "weight" else last


def from_canonical(array: NDArray[Any]) -> NDArray[Any]:
    """Transpose a kernel [..., in, out] to [out, in, ...], as a view."""
    return np.moveaxis(array, (-1, -2), (0, 1)) if array.ndim > 1 else array


def to_canonical(tensor: torch.Tensor) -> NDArray[Any]:
    """Copy a kernel [out, in, ...] into a C-ordered array [..., in, out]."""
    array = tensor.detach().cpu().numpy()
    if array.ndim > 1:
        array = np.moveaxis(array, (0, 1), (-1, -2))
    return np.array(array, order="C")


def channels_last(output: torch.Tensor) -> NDArray[Any]:
    """Return a layer's output [N, C, H, W] as [N, H, W, C] in NumPy.

    An output [N, units] keeps its shape.
    """
    if output.ndim == 4:
        output = output.permute(0, 2, 3, 1)
    return output.detach().cpu().numpy()
