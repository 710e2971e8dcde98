"""Publishes versions of a model without pause, in processes that are killed: `publisher ROOT NAME DEATHS SEED`."""

import os
import random
import signal
import sys
import time
from pathlib import Path

from shared.models.manifest import ModelDescription
from shared.models.registry import MANIFEST, WEIGHTS, ModelRegistry
from shared.models.starter import STARTER_FOLDER
from shared.network.weights import from_bytes

LONGEST_LIFE_S = 0.15


def publish_for_ever(root: Path, name: str) -> None:
    """Publish one version after the other."""
    registry = ModelRegistry(root)
    description = ModelDescription.model_validate_json((STARTER_FOLDER / MANIFEST).read_bytes())
    weights = from_bytes((STARTER_FOLDER / WEIGHTS).read_bytes(), description.network)
    version = max(registry.versions(name, "pytorch"), default=0)
    while True:
        version += 1
        registry.publish(name, "pytorch", version, description, weights, writer=f"publisher-{version}")


def main(root: str, name: str, deaths: str, seed: str) -> int:
    """Start a publisher and kill it after a random time, again and again."""
    generator = random.Random(int(seed))
    for _ in range(int(deaths)):
        child = os.fork()
        if child == 0:
            try:
                publish_for_ever(Path(root), name)
            finally:
                os._exit(1)
        time.sleep(generator.uniform(0.005, LONGEST_LIFE_S))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
