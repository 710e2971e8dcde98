"""Layers that PyTorch lacks, or takes apart, as the network has them."""

import torch
from torch import nn

ACTIVATIONS = {"relu": nn.ReLU, "sigmoid": nn.Sigmoid, None: nn.Identity}


class Rescaling(nn.Module):
    """Pixels uint8 -> float32, times `scale`: Keras' layer of this name.

    A multiplication, not a division: dividing by 255 rounds differently.
    """

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.to(torch.get_default_dtype()) * self.scale


class Activated(nn.Sequential):
    """A layer and its activation as one: the index counts as Keras' does."""

    def __init__(self, layer: nn.Module, activation: str | None) -> None:
        super().__init__(layer, ACTIVATIONS[activation]())
