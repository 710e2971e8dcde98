"""The model that an empty volume begins with, so that the first prediction needs no training.

`lenet5` on MNIST; its weights and what is known of them lie in `shared/welcome/`,
where `make welcome` puts them anew. Every backend publishes the same weights.
"""

import json
import platform
from pathlib import Path

import numpy as np

from shared.backend import Backend
from shared.network import Network
from shared.store import MANIFEST, WEIGHTS, Store
from shared.weights import from_bytes

NAME = "welcome"
PLACE = Path(__file__).parent / NAME


def publish(store: Store, backend: Backend) -> bool:
    """Publish it as this backend's, on a volume that has no other model; whether that was done."""
    if set(store.names()) - {NAME} or store.versions(NAME, backend.NAME):
        return False
    manifest = json.loads((PLACE / MANIFEST).read_bytes())
    weights = from_bytes((PLACE / WEIGHTS).read_bytes(), Network.model_validate(manifest["network"]))
    versions = {"python": platform.python_version(), "numpy": np.__version__, **backend.versions()}
    store.publish(NAME, backend.NAME, 1, {**manifest, "versions": versions}, weights, writer=NAME)
    return True
