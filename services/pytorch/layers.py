"""Layers that PyTorch has otherwise, lacks, or takes apart.

And the way between its layout, channels first, and ours.
"""

from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from shared.network.layers import LEAKY_RELU_SLOPE

ACTIVATIONS = {
    "relu": nn.ReLU,
    "leaky_relu": partial(nn.LeakyReLU, LEAKY_RELU_SLOPE),
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
}
Size = tuple[int, int]
Pads = tuple[Size, Size]


def canonical(name: str) -> str:
    """A parameter's name here -> its name everywhere."""
    return {"weight": "kernel"}.get(
        last := name.rsplit(".", maxsplit=1)[-1], last
    )


def transposed(kernel: NDArray[Any]) -> NDArray[Any]:
    """A kernel [..., in, out] -> [out, in, ...]; vectors stay."""
    return np.moveaxis(kernel, (-1, -2), (0, 1)) if kernel.ndim > 1 else kernel


def kernel(tensor: torch.Tensor) -> NDArray[Any]:
    """A kernel [out, in, ...] -> [..., in, out], a copy; vectors stay."""
    array = tensor.detach().cpu().numpy()
    return np.array(
        np.moveaxis(array, (0, 1), (-1, -2)) if array.ndim > 1 else array,
        order="C",
    )


def channels_last(output: torch.Tensor) -> NDArray[Any]:
    """[N, C, H, W] -> [N, H, W, C] in NumPy; [N, n] stays."""
    return (
        (output.permute(0, 2, 3, 1) if output.ndim == 4 else output)
        .detach()
        .cpu()
        .numpy()
    )


class Rescaling(nn.Module):
    """Pixels uint8 [N, H, W, C] -> [N, C, H, W], times `scale`.

    Keras' layer of this name; the buffer holds the model's precision. A
    multiplication, not a division: dividing by 255 rounds differently.
    """

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.register_buffer("scale", torch.tensor(scale, dtype=torch.float64))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.permute(0, 3, 1, 2).to(self.scale.dtype) * self.scale


class Activated(nn.Sequential):
    """A layer and its activation as one: the index counts as Keras' does."""

    def __init__(self, layer: nn.Module, activation: str | None) -> None:
        super().__init__(
            layer, *([ACTIVATIONS[activation]()] if activation else [])
        )


class Flatten(nn.Module):
    """[N, C, H, W] -> [N, H * W * C], in our order.

    Free where channels lie last in memory.
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (x.permute(0, 2, 3, 1) if x.ndim == 4 else x).flatten(1)


def padded(layer: nn.Module, pads: Pads, value: float = 0.0) -> nn.Module:
    """A layer behind its padding; even zeros for a convolution are free."""
    (top, bottom), (left, right) = pads
    if isinstance(layer, nn.Conv2d) and (top, left) == (bottom, right):
        layer.padding = (top, left)
    elif any((top, bottom, left, right)):
        padding = nn.ConstantPad2d((left, right, top, bottom), value)
        return nn.Sequential(padding, layer)
    return layer


class AveragePool2D(nn.Module):
    """The mean of each window without its padding: PyTorch's counts it."""

    def __init__(self, size: Size, strides: Size, pads: Pads) -> None:
        super().__init__()
        self.pool = padded(nn.AvgPool2d(size, strides), pads)
        self.is_padded = isinstance(self.pool, nn.Sequential)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.is_padded:
            return self.pool(x)
        return self.pool(x) / self.pool(torch.ones_like(x[:1, :1]))


class BatchNorm(nn.Module):
    """PyTorch's, for vectors and pictures, under our names.

    And for a batch of a single value, which PyTorch refuses: it has no
    unbiased variance. Ours is 0 then, and so is x - mean.
    """

    def __init__(self, channels: int, momentum: float, eps: float) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(channels))
        self.beta = nn.Parameter(torch.zeros(channels))
        self.register_buffer("moving_mean", torch.zeros(channels))
        self.register_buffer("moving_variance", torch.ones(channels))
        self.momentum, self.eps = momentum, eps

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.training and x.numel() == x.shape[1]:
            self.moving_mean.lerp_(x.detach().flatten(), self.momentum)
            self.moving_variance.mul_(1 - self.momentum)
            return self.gamma.view_as(x) * (x * 0) + self.beta.view_as(x)
        moving = self.moving_mean, self.moving_variance
        ours = self.gamma, self.beta, self.training, self.momentum, self.eps
        return functional.batch_norm(x, *moving, *ours)
