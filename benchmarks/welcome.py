"""Train the starter model again, and write it to `shared/models/welcome/`. `make welcome` runs this program."""

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import requests
from rich.console import Console

from benchmarks.stack import running_stack
from shared.models.registry import MANIFEST, WEIGHTS
from shared.models.starter import STARTER_FOLDER, STARTER_NAME

BACKEND = "pytorch"


def _convolution(filters: int, strides: int = 1) -> list[dict[str, object]]:
    """Return the description of a 3 x 3 convolution with its batch norm."""
    convolution = {"kind": "conv2d", "filters": filters, "kernel_size": 3, "strides": strides, "padding": "same"}
    return [{**convolution, "activation": "relu"}, {"kind": "batch_norm"}]


# The second convolution reduces the pictures to 14 x 14 pixels. That halves the time of a prediction and of an epoch.
NETWORK: dict[str, object] = {
    "input_shape": [28, 28, 1],
    "layers": [
        *_convolution(16),
        *_convolution(32, strides=2),
        *_convolution(48),
        {"kind": "max_pool2d"},
        *_convolution(64),
        *_convolution(96),
        {"kind": "max_pool2d"},
        {"kind": "flatten"},
        {"kind": "dense", "units": 96, "activation": "relu"},
        {"kind": "dropout", "rate": 0.3},
        {"kind": "dense", "units": 10},
    ],
}
TRAINING: dict[str, object] = {
    "network": NETWORK,
    "dataset": "mnist",
    "name": STARTER_NAME,
    "backends": [BACKEND],
    "epochs": 20,
    "batch_size": 128,
    "optimizer": {"name": "adam", "learning_rate": 0.002},
    "schedule": "cosine",
    "augmentation": {
        "shift": 0.05,
        "rotate": 12.0,
        "zoom": 0.1,
        "stretch": 0.2,
        "shear": 0.25,
        "elastic": 0.06,
        "stroke": 0.05,
        "fade": 0.5,
        "square": 0.25,
        "drawn": 0.15,
    },
}
# The members of the manifest that hold for the models of every backend.
KEPT = ("request", "network", "classes", "prepare", "metrics", "data", "golden", "versions")


class _EpochPrinter:
    """Prints the figures of each epoch once."""

    def __init__(self) -> None:
        self._printed = 0

    def __call__(self, training: Any) -> None:
        """Print the epochs that have finished since the last call."""
        for epoch in training["runs"][BACKEND]["history"][self._printed :]:
            Console().print("epoch {epoch}: {seconds:.0f} s, test accuracy {test_accuracy:.2%}".format(**epoch))
            self._printed += 1


def main() -> int:
    """Train the starter model on a separate stack, and write its weights and description."""
    with tempfile.TemporaryDirectory() as folder, running_stack(Path(folder)) as (client, _):
        training = client.post("/v1/trainings", TRAINING)
        training = client.follow(f"/v1/trainings/{training['id']}", _EpochPrinter())
        manifest = client.get(f"/v1/models/{STARTER_NAME}")["manifests"][BACKEND]
        model = f"{client.url}/v1/models/{STARTER_NAME}/{BACKEND}/{training['version']}"
        response = requests.get(f"{model}/weights.safetensors", timeout=10)
        response.raise_for_status()
        (STARTER_FOLDER / WEIGHTS).write_bytes(response.content)
        kept = {key: manifest[key] for key in KEPT}
        (STARTER_FOLDER / MANIFEST).write_text(json.dumps(kept, indent=1) + "\n")
    Console().print(f"The test accuracy of the new starter model is {manifest['metrics']['test_accuracy']:.2%}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
