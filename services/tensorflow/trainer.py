"""Start TensorFlow's trainer: the shared job consumer with this backend."""

import sys

from shared.backend import Backend, Events
from shared.exports.exporters import Exporters
from shared.training import trainer


def load() -> tuple[Backend, Events, Exporters]:
    """Import TensorFlow; return what only this backend has."""
    from services.tensorflow import backend, events, exports

    return backend, events.write, exports.EXPORTERS


if __name__ == "__main__":
    sys.exit(trainer.main("tensorflow", load))
