"""Layers that PyTorch lacks or that it takes apart, as the canonical network has them."""

import torch
from torch import nn

ACTIVATIONS = {"relu": nn.ReLU, "sigmoid": nn.Sigmoid, None: nn.Identity}


class Rescaling(nn.Module):
    """Pixels uint8 -> float32, times `scale`: what Keras' layer of this name does.

    A multiplication, not a division: dividing by 255 rounds differently.
    """

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.to(torch.get_default_dtype()) * self.scale


class Activated(nn.Sequential):
    """A layer and its activation as one, so that the index counts layers as Keras does."""

    def __init__(self, layer: nn.Module, activation: str | None) -> None:
        super().__init__(layer, ACTIVATIONS[activation]())
