"""Configure a backend in new processes in which nothing has run yet, and print what each one computed.

    python -m tests.backend.fresh_process <backend> <device>:<seed> ...

The parent process imports the framework, and each forked child configures it. A trainer does the same.
"""

import hashlib
import importlib
import json
import multiprocessing
import sys

from shared.backend import Backend
from shared.data.batches import generate_epochs
from shared.errors import UnavailableError
from shared.network.description import PRESETS
from shared.network.optimizers import Sgd
from shared.network.weights import Weights, to_bytes
from tests.backend.random_examples import random_split


def digest(weights: Weights) -> str:
    return hashlib.sha256(to_bytes(weights)).hexdigest()


def start(name: str, device: str, seed: str) -> dict[str, str]:
    """Train for one epoch with the framework's own initial weights and order."""
    backend: Backend = importlib.import_module(f"services.{name}.backend")
    try:
        used = backend.configure(1, device, int(seed))
    except UnavailableError as error:
        return {"unavailable": str(error)}
    network = PRESETS["article"].network((4, 4, 1), 3)
    model = backend.define_network(network, None)
    begun = digest(backend.save(model))
    optimizer = backend.define_optimizer(Sgd(learning_rate=0.1), model)
    data = random_split(network, 20, seed=0)
    list(
        backend.train(
            model,
            optimizer,
            backend.define_loss(),
            data,
            8,
            generate_epochs(data, int(seed), 1, 2, is_order_shared=False),
        )
    )
    return {"device": used, "begun": begun, "trained": digest(backend.save(model))}


def main(name: str, *ways: str) -> int:
    importlib.import_module(f"services.{name}.backend")
    with multiprocessing.get_context("fork").Pool(1, maxtasksperchild=1) as pool:
        print(json.dumps(pool.starmap(start, [(name, *way.split(":")) for way in ways], chunksize=1)))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
