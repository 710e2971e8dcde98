"""The networks that all peers serve, written in PyTorch as its users write them, with the weights that Tandem trained.

    TANDEM_WEIGHTS=<folder>    contains <network>.safetensors for each network

A peer imports this module in its own environment. It runs torch on one thread and imports nothing from Tandem.
"""

import os
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import nn


def _build_article() -> nn.Sequential:
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 10), nn.Sigmoid(), nn.Linear(10, 10))


def _build_cnn() -> nn.Sequential:
    return nn.Sequential(
        *(nn.Conv2d(1, 16, 3, padding="same"), nn.ReLU(), nn.BatchNorm2d(16, eps=1e-3), nn.MaxPool2d(2)),
        *(nn.Conv2d(16, 32, 3, padding="same"), nn.ReLU(), nn.BatchNorm2d(32, eps=1e-3), nn.MaxPool2d(2)),
        *(nn.Conv2d(32, 32, 3, padding="same"), nn.ReLU(), nn.BatchNorm2d(32, eps=1e-3)),
        *(nn.Flatten(), nn.Dropout(0.5), nn.Linear(7 * 7 * 32, 10)),
    )


# For each network: the function that builds it, and Tandem's number of each torch layer that has weights. In Tandem,
# an activation belongs to the layer before it.
NETWORKS = {
    "article": (_build_article, {1: 1, 3: 2}),
    "cnn": (_build_cnn, {0: 0, 2: 1, 4: 3, 6: 4, 8: 6, 10: 7, 13: 10}),
}


def load_network(name: str) -> nn.Sequential:
    """Build a network with the weights from its file in the folder that TANDEM_WEIGHTS names.

    Args:
        name: a key of NETWORKS.
    """
    torch.set_num_threads(1)
    weights = load_file(Path(os.environ["TANDEM_WEIGHTS"], f"{name}.safetensors"))
    build, tandem_layers = NETWORKS[name]
    network = build()
    for number, tandem_number in tandem_layers.items():
        prefix = f"layers.{tandem_number}."
        tensors = {key.removeprefix(prefix): value for key, value in weights.items() if key.startswith(prefix)}
        network[number].load_state_dict(_convert_weights(network[number], tensors), strict=False)
    return network.eval()


def _convert_weights(layer: nn.Module, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return Tandem's weights of one layer under torch's names and in torch's shapes.

    In Tandem, a dense kernel has the shape [in, out] and a convolution's [height, width, in, out]. Tandem flattens in
    the order height, width, channel; torch flattens in the order channel, height, width.
    """
    if isinstance(layer, nn.BatchNorm2d):
        names = {"weight": "gamma", "bias": "beta", "running_mean": "moving_mean", "running_var": "moving_variance"}
        return {name: tensors[tandem_name] for name, tandem_name in names.items()}
    kernel = tensors["kernel"]
    if isinstance(layer, nn.Conv2d):
        return {"weight": kernel.permute(3, 2, 0, 1), "bias": tensors["bias"]}
    if kernel.shape[0] == 7 * 7 * 32:
        kernel = kernel.reshape(7, 7, 32, -1).permute(2, 0, 1, 3).reshape(7 * 7 * 32, -1)
    return {"weight": kernel.T, "bias": tensors["bias"]}


@torch.inference_mode()
def compute_probabilities(network: nn.Module, pixels: np.ndarray) -> np.ndarray:
    """Compute the probabilities, float32 [N, 10], of images, uint8 [N, 28, 28, 1]."""
    images = torch.from_numpy(pixels).permute(0, 3, 1, 2)
    return network(images.float() / 255).softmax(1).numpy()
