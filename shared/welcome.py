"""The model that an empty volume begins with, so that the first prediction needs no training.

`lenet5` on MNIST; its weights and what is known of them lie in `shared/welcome/`,
where `make welcome` puts them anew. Every backend publishes the same weights.
"""

import json
from pathlib import Path

from shared.network import Network
from shared.store import MANIFEST, WEIGHTS, Store
from shared.weights import from_bytes

NAME = "welcome"
PLACE = Path(__file__).parent / NAME


def publish(store: Store, backend: str) -> bool:
    """Publish it as this backend's, on a volume that has no other model; whether that was done."""
    if set(store.names()) - {NAME} or store.versions(NAME, backend):
        return False
    manifest = json.loads((PLACE / MANIFEST).read_bytes())
    weights = from_bytes((PLACE / WEIGHTS).read_bytes(), Network.model_validate(manifest["network"]))
    store.publish(NAME, backend, 1, manifest, weights, writer=NAME)
    return True
