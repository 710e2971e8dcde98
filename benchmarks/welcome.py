"""Train the starter model again, and write it to `shared/models/welcome/`. `make welcome` runs this program."""

import json
import sys
import tempfile
from pathlib import Path

import requests
from rich.console import Console

from benchmarks.stack import running_stack
from shared.models.registry import MANIFEST, WEIGHTS
from shared.models.starter import STARTER_FOLDER, STARTER_NAME

BACKEND = "pytorch"
TRAINING: dict[str, object] = {
    "network": "lenet5",
    "dataset": "mnist",
    "name": STARTER_NAME,
    "backends": [BACKEND],
    "epochs": 12,
    "optimizer": {"name": "adam", "learning_rate": 0.001},
    "augmentation": {"shift": 0.07, "rotate": 10.0, "zoom": 0.1},
}
# The members of the manifest that hold for the models of every backend.
KEPT = ("request", "network", "classes", "prepare", "metrics", "data", "golden", "versions")


def main() -> int:
    """Train the starter model on a separate stack, and write its weights and description."""
    with tempfile.TemporaryDirectory() as folder, running_stack(Path(folder)) as (client, _):
        training = client.post("/v1/trainings", TRAINING)
        training = client.follow(f"/v1/trainings/{training['id']}")
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
