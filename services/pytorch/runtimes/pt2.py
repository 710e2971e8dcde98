"""Runs a .pt2 file in PyTorch.

It is run by its path, and imports nothing of Tandem.
"""

from collections.abc import Callable
from typing import Any

import torch


def load(file: str, threads: int) -> tuple[str, Callable[[Any], Any]]:
    """Return the runtime's name and version, and a function.

    The function takes images uint8 [N, H, W, C] and returns probabilities.
    """
    torch.set_num_threads(threads)
    model = torch.export.load(file).module()

    def predict(images: Any) -> Any:
        with torch.inference_mode():
            return model(torch.tensor(images)).numpy()

    return f"torch {torch.__version__}", predict
