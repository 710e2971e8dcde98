"""The starter model: published on an empty volume, so that the first prediction needs no training.

It is a convolutional network, trained on MNIST and on drawn digits, so that it reads other people's handwriting. Its
weights and its description lie in `shared/models/welcome/`; `make welcome` trains them again. Every backend publishes
the same weights. ADR 26 gives the reasons.
"""

from pathlib import Path

from shared.models.manifest import ModelDescription
from shared.models.registry import MANIFEST, WEIGHTS, ModelRegistry
from shared.network.weights import from_bytes

STARTER_NAME = "welcome"
STARTER_FOLDER = Path(__file__).parent / STARTER_NAME


def publish_starter(registry: ModelRegistry, backend: str) -> bool:
    """Publish the starter model as version 1 of a backend, if the volume has no other model.

    Returns:
        Whether it was published. It is not if the volume has another model, or if the backend has the starter model.
    """
    if set(registry.names()) - {STARTER_NAME} or registry.versions(STARTER_NAME, backend):
        return False
    description = ModelDescription.model_validate_json((STARTER_FOLDER / MANIFEST).read_bytes())
    weights = from_bytes((STARTER_FOLDER / WEIGHTS).read_bytes(), description.network)
    registry.publish(STARTER_NAME, backend, 1, description, weights, writer=STARTER_NAME)
    return True
