"""TensorFlow's trainer: hands its backend to the consumer that all share."""

import sys

from shared.backend import Backend, Events
from shared.training import trainer


def load() -> tuple[Backend, Events]:
    from services.tensorflow import backend, events

    return backend, events.write


if __name__ == "__main__":
    sys.exit(trainer.main("tensorflow", load))
