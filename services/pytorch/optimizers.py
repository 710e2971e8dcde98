"""PyTorch optimisers that are adapted to the shared definitions.

shared/network/optimizers.py defines what each optimiser computes. Its twin,
services/tensorflow/optimizers.py, has the same public names.
"""

from collections.abc import Iterable
from functools import partial
from typing import Any

import torch
from torch import nn

from services.pytorch.device import current_device, to_device
from shared.network import optimizers as described
from shared.network.weights import Arrays


class SGD(torch.optim.SGD):
    """PyTorch's SGD with decoupled weight decay.

    PyTorch's own weight decay is added to the gradient, and so it also enters
    the momentum. Here, as in Keras and in AdamW, each step first multiplies
    the weights by 1 - learning_rate * weight_decay.
    """

    def __init__(
        self, sgd: described.Sgd, parameters: Iterable[nn.Parameter]
    ) -> None:
        super().__init__(
            parameters,
            sgd.learning_rate,
            momentum=sgd.momentum,
            nesterov=sgd.nesterov,
        )
        if sgd.weight_decay:
            decay = partial(_decay_weights, sgd.weight_decay)
            self.register_step_pre_hook(decay)


@torch.no_grad()
def _decay_weights(
    weight_decay: float, optimizer: torch.optim.Optimizer, *_: Any
) -> None:
    (group,) = optimizer.param_groups
    for parameter in group["params"]:
        parameter.mul_(1 - group["lr"] * weight_decay)


class Adam(torch.optim.AdamW):
    """PyTorch's AdamW: Adam with decoupled weight decay.

    It adds epsilon after the bias correction, as the paper's algorithm 1
    does, so that nothing has to be changed.

    On a GPU the number of steps is a tensor there, so that a CUDA graph can
    count it. PyTorch corrects the bias in the precision of that tensor, and
    its faster kernels (`foreach`, `fused`) in that of the weights. Here it is
    corrected in double precision, as on a CPU.
    """

    def __init__(
        self, adam: described.Adam, parameters: Iterable[nn.Parameter]
    ) -> None:
        super().__init__(
            parameters,
            adam.learning_rate,
            (adam.beta_1, adam.beta_2),
            adam.epsilon,
            adam.weight_decay,
            capturable=current_device().type == "cuda",
            foreach=False,
        )
        if current_device().type == "cuda":
            self.register_step_pre_hook(_count_in_double)


@torch.no_grad()
def _count_in_double(optimizer: torch.optim.Optimizer, *_: Any) -> None:
    """Create Adam's state, with the number of steps in float64."""
    for parameter in optimizer.param_groups[0]["params"]:
        state = optimizer.state[parameter]
        if not state:
            state["step"] = parameter.new_zeros((), dtype=torch.float64)
            state["exp_avg"] = torch.zeros_like(parameter)
            state["exp_avg_sq"] = torch.zeros_like(parameter)
        elif state["step"].dtype != torch.float64:
            state["step"] = state["step"].double()


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Change the learning rate of the following steps."""
    for group in optimizer.param_groups:
        group["lr"] = rate


def save_state(optimizer: torch.optim.Optimizer) -> Arrays:
    """Copy the optimiser's state into arrays.

    Returns:
        `<index of the parameter>.<name>` -> array, such as `0.exp_avg`.
    """
    return {
        f"{index}.{name}": tensor.cpu().numpy().copy()
        for index, tensors in optimizer.state_dict()["state"].items()
        for name, tensor in tensors.items()
        if tensor is not None
    }


def restore_state(optimizer: torch.optim.Optimizer, arrays: Arrays) -> None:
    """Give a new optimiser the state that `save_state` returned."""
    state: dict[int, dict[str, torch.Tensor]] = {}
    for key, array in arrays.items():
        index, name = key.split(".")
        state.setdefault(int(index), {})[name] = to_device(array)
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
