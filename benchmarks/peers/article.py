"""The article's network for every peer, as one writes it in PyTorch, with the weights that Tandem trained.

    TANDEM_WEIGHTS=<weights.safetensors>

Imported beside a peer's own file, in its own environment: torch on one thread, nothing of Tandem.
"""

import os

import numpy as np
import torch
from safetensors.torch import load_file
from torch import nn


def load() -> nn.Module:
    """Flatten, dense 10 sigmoid, dense 10; weights.safetensors holds kernels as [in, out], torch as [out, in]."""
    torch.set_num_threads(1)
    weights = load_file(os.environ["TANDEM_WEIGHTS"])
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 10), nn.Sigmoid(), nn.Linear(10, 10))
    for index, layer in ((1, model[1]), (2, model[3])):
        layer.weight.data = weights[f"layers.{index}.kernel"].T.contiguous()
        layer.bias.data = weights[f"layers.{index}.bias"]
    return model.eval()


@torch.inference_mode()
def probabilities(model: nn.Module, pixels: np.ndarray) -> np.ndarray:
    """uint8 [N, 28, 28, 1] in, float32 [N, 10] out."""
    return model(torch.from_numpy(pixels).float() / 255).softmax(1).numpy()
