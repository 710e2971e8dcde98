"""Where tensors go. PyTorch's own default device is each thread's own.

A server answers in other threads than the one that configured it, so the
device is kept here, for the whole process.
"""

from typing import Any

import torch
from numpy.typing import NDArray

_places = {"device": torch.device("cpu")}


def use(name: str) -> None:
    _places["device"] = torch.device(name)


def device() -> torch.device:
    return _places["device"]


def tensor(array: NDArray[Any]) -> torch.Tensor:
    """A copy of a NumPy array on the device."""
    return torch.tensor(array, device=device())
