"""Start PyTorch's trainer: the shared job consumer with this backend."""

import sys

from shared.backend import Backend, Events
from shared.training import trainer


def load() -> tuple[Backend, Events]:
    """Import PyTorch; return the backend and its event writer."""
    from services.pytorch import backend, events

    return backend, events.write


if __name__ == "__main__":
    sys.exit(trainer.main("pytorch", load))
