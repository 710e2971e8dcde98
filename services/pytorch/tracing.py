"""Record what a training step computes, for certificates.

The training step itself returns only logits. This module observes it from
outside and changes nothing in it. Its twin is services/tensorflow/tracing.py.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

TrainStep = Callable[..., torch.Tensor]
RecordedStep = Callable[
    [torch.Tensor, torch.Tensor],
    tuple[list[torch.Tensor], list[torch.Tensor]],
]


def record_steps(
    train_step: TrainStep,
    model: nn.Sequential,
    optimizer: torch.optim.Optimizer,
    loss_fn: nn.Module,
) -> RecordedStep:
    """Wrap `train_step` in a function that also returns what it computed.

    Args:
        train_step: The backend's own function, which trainings use as well.
        model: A model whose first layer is Rescaling.
        optimizer: The optimiser of the model's parameters.
        loss_fn: The loss function.

    Returns:
        A function that takes one batch (x, y), trains with it, and returns
        the output of each layer after Rescaling and the gradient of each
        parameter, in the order of `model.parameters()`.
    """

    # Twin: PyTorch has hooks. They are registered for the duration of one
    # step, so that other uses of the model are not recorded.
    def recorded_step(
        x: torch.Tensor, y: torch.Tensor
    ) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        outputs: list[torch.Tensor] = []
        gradients: list[torch.Tensor] = []

        def record_output(_: nn.Module, __: Any, output: torch.Tensor) -> None:
            outputs.append(output.detach())

        # Twin: the optimiser may overwrite the gradients that it reads: SGD
        # with Nesterov momentum does so on a GPU. So they are copied first.
        def record_gradients(*_: Any) -> None:
            gradients.extend(p.grad.clone() for p in model.parameters())

        hooks = [
            *(layer.register_forward_hook(record_output) for layer in model),
            optimizer.register_step_pre_hook(record_gradients),
        ]
        try:
            train_step(model, optimizer, loss_fn, x, y)
        finally:
            for hook in hooks:
                hook.remove()
        return outputs[1:], gradients

    return recorded_step
