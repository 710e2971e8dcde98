"""The device, CPU or GPU, on which this process keeps its tensors.

PyTorch has a default device per thread. A predictor answers requests in
threads other than the one that configured it, so the device is kept here,
once for the whole process.
"""

from typing import Any

import torch
from numpy.typing import NDArray

_chosen = {"device": torch.device("cpu")}


def use_device(name: str) -> None:
    """Keep tensors on this device from now on: "cpu" or "cuda"."""
    _chosen["device"] = torch.device(name)


def current_device() -> torch.device:
    """Return the device that was chosen, by default the CPU."""
    return _chosen["device"]


def to_device(array: NDArray[Any]) -> torch.Tensor:
    """Copy a NumPy array into a tensor of its dtype on the device."""
    return torch.tensor(array, device=current_device())
