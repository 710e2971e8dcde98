"""The device, CPU or GPU, on which this process keeps its tensors.

Its twin is services/tensorflow/gpu.py: TensorFlow places tensors by itself.

PyTorch has a default device per thread. A predictor answers requests in
threads other than the one that configured it, so the device is kept here,
once for the whole process.
"""

from typing import Any

import torch
from numpy.typing import NDArray

_chosen = {"device": torch.device("cpu")}


def use_gpu(tf32: bool) -> None:
    """Keep tensors on the GPU from now on, and let it repeat its results.

    Args:
        tf32: Whether products of float32 may round their factors to TF32.
            cuDNN does so by default.
    """
    _chosen["device"] = torch.device("cuda")
    set_tf32(tf32)
    # cuDNN's faster algorithms add numbers in an order that varies. With
    # them, a resumed training would differ from an undisturbed one.
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.benchmark = False


def set_tf32(is_allowed: bool) -> None:
    """Let float32 products of a GPU round their factors to TF32, or not.

    PyTorch has two kinds of settings for it: `allow_tf32`, and since 2.9
    `fp32_precision`. Both must say the same, because PyTorch raises an error
    when it reads an `allow_tf32` that differs, as `torch.export` does.

    `allow_tf32` comes first, because it resets `fp32_precision` of
    convolutions to "none". They then follow `cudnn.fp32_precision`.
    """
    torch.backends.cuda.matmul.allow_tf32 = is_allowed
    torch.backends.cudnn.allow_tf32 = is_allowed
    torch.backends.cudnn.fp32_precision = "tf32" if is_allowed else "ieee"


def current_device() -> torch.device:
    """Return the device that was chosen, by default the CPU."""
    return _chosen["device"]


def to_device(array: NDArray[Any]) -> torch.Tensor:
    """Copy a NumPy array into a tensor of its dtype on the device."""
    return torch.tensor(array, device=current_device())
