"""The article's network in PyTorch, which all peers serve, with the weights that Tandem trained.

    TANDEM_WEIGHTS=<weights.safetensors>

A peer imports this module in its own environment. It runs torch on one thread and imports nothing from Tandem.
"""

import os

import numpy as np
import torch
from safetensors.torch import load_file
from torch import nn


def load_network() -> nn.Module:
    """Build the network with the weights from the file that TANDEM_WEIGHTS names.

    In the file, a kernel has the shape [in, out]. In torch, it has the shape [out, in].
    """
    torch.set_num_threads(1)
    weights = load_file(os.environ["TANDEM_WEIGHTS"])
    network = nn.Sequential(nn.Flatten(), nn.Linear(784, 10), nn.Sigmoid(), nn.Linear(10, 10))
    for index, layer in ((1, network[1]), (2, network[3])):
        layer.weight.data = weights[f"layers.{index}.kernel"].T.contiguous()
        layer.bias.data = weights[f"layers.{index}.bias"]
    return network.eval()


@torch.inference_mode()
def compute_probabilities(network: nn.Module, pixels: np.ndarray) -> np.ndarray:
    """Compute the probabilities, float32 [N, 10], of images, uint8 [N, 28, 28, 1]."""
    return network(torch.from_numpy(pixels).float() / 255).softmax(1).numpy()
