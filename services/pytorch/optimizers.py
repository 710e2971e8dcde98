"""Optimisers that PyTorch has otherwise, and their state as arrays."""

from collections.abc import Iterable

import torch
from torch import nn

from services.pytorch import placement
from shared import optimizer as described
from shared.weights import Arrays


class SGD(torch.optim.SGD):
    """PyTorch's, with decoupled weight decay, as Keras and AdamW have it.

    PyTorch's own adds decay * w to the gradient, from where it also enters
    the momentum.
    """

    def __init__(
        self, parameters: Iterable[nn.Parameter], sgd: described.Sgd
    ) -> None:
        super().__init__(
            parameters,
            sgd.learning_rate,
            momentum=sgd.momentum,
            nesterov=sgd.nesterov,
        )
        self.shrink = 1 - sgd.learning_rate * sgd.weight_decay

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]
        if self.shrink != 1:
            for parameter in self.param_groups[0]["params"]:
                parameter.mul_(self.shrink)
        super().step()


def state(optimizer: torch.optim.Optimizer) -> Arrays:
    """`<parameter's index>.<what>` -> array."""
    return {
        f"{index}.{what}": tensor.cpu().numpy().copy()
        for index, kept in optimizer.state_dict()["state"].items()
        for what, tensor in kept.items()
        if tensor is not None
    }


def restore(optimizer: torch.optim.Optimizer, arrays: Arrays) -> None:
    """The inverse of `state`.

    In the memory layout of the parameters, as a state that was never saved:
    another one sums in another order, and rounds otherwise.
    """
    parameters = optimizer.param_groups[0]["params"]
    kept: dict[int, dict[str, torch.Tensor]] = {}
    for name, array in arrays.items():
        index, what = name.split(".")
        tensor = placement.tensor(array)
        if tensor.ndim:
            tensor = torch.empty_like(parameters[int(index)]).copy_(tensor)
        kept.setdefault(int(index), {})[what] = tensor
    optimizer.load_state_dict({**optimizer.state_dict(), "state": kept})
