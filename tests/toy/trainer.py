"""Start NumPy's trainer: the shared job consumer with this backend."""

import sys

from shared.backend import Backend, Events
from shared.exports.exporters import Exporters
from shared.training import trainer


def load() -> tuple[Backend, Events, Exporters]:
    """Import the backend; return it, an event writer that does nothing, and no exporters of its own."""
    from services.toy import backend

    return backend, lambda *_: None, {}


if __name__ == "__main__":
    sys.exit(trainer.main("toy", load))
