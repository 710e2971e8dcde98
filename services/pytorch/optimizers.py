"""Optimisers that PyTorch has otherwise, and their state as arrays."""

from collections.abc import Iterable
from functools import partial
from typing import Any

import torch
from torch import nn

from services.pytorch import device
from shared.network.optimizers import Sgd
from shared.network.weights import Arrays


def sgd(
    parameters: Iterable[nn.Parameter], described: Sgd
) -> torch.optim.Optimizer:
    """PyTorch's, with decoupled weight decay, as Keras and AdamW have it.

    PyTorch's own adds decay * w to the gradient, from where it also enters
    the momentum.
    """
    ours = torch.optim.SGD(
        parameters,
        described.learning_rate,
        momentum=described.momentum,
        nesterov=described.nesterov,
    )
    if described.weight_decay:
        factor = 1 - described.learning_rate * described.weight_decay
        ours.register_step_pre_hook(partial(_shrink, factor))
    return ours


@torch.no_grad()
def _shrink(factor: float, optimizer: torch.optim.Optimizer, *_: Any) -> None:
    for parameter in optimizer.param_groups[0]["params"]:
        parameter.mul_(factor)


def state(optimizer: torch.optim.Optimizer) -> Arrays:
    """`<parameter's index>.<what>` -> array."""
    return {
        f"{index}.{what}": tensor.cpu().numpy().copy()
        for index, kept in optimizer.state_dict()["state"].items()
        for what, tensor in kept.items()
        if tensor is not None
    }


def restore(optimizer: torch.optim.Optimizer, arrays: Arrays) -> None:
    """The inverse of `state`."""
    kept: dict[int, dict[str, torch.Tensor]] = {}
    for name, array in arrays.items():
        index, what = name.split(".")
        kept.setdefault(int(index), {})[what] = device.tensor(array)
    optimizer.load_state_dict({**optimizer.state_dict(), "state": kept})
