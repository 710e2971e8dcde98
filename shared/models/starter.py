"""The model that an empty volume begins with, so that the first prediction needs no training.

`lenet5` on MNIST; its weights and what is known of them lie in `shared/models/welcome/`,
where `make welcome` puts them anew. Every backend publishes the same weights.
"""

from pathlib import Path

from shared.models.manifest import ModelDescription
from shared.models.registry import MANIFEST, WEIGHTS, ModelRegistry
from shared.network.weights import from_bytes

NAME = "welcome"
PLACE = Path(__file__).parent / NAME


def publish(registry: ModelRegistry, backend: str) -> bool:
    """Publish it as this backend's, on a volume that has no other model; whether that was done."""
    if set(registry.names()) - {NAME} or registry.versions(NAME, backend):
        return False
    description = ModelDescription.model_validate_json((PLACE / MANIFEST).read_bytes())
    weights = from_bytes((PLACE / WEIGHTS).read_bytes(), description.network)
    registry.publish(NAME, backend, 1, description, weights, writer=NAME)
    return True
