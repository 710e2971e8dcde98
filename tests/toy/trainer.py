"""Start NumPy's trainer: the shared job consumer with this backend."""

import sys

from shared.backend import Backend, Events
from shared.training import trainer


def load() -> tuple[Backend, Events]:
    """Import the backend; return it and an event writer that does nothing."""
    from services.toy import backend

    return backend, lambda *_: None


if __name__ == "__main__":
    sys.exit(trainer.main("toy", load))
