"""TensorFlow's trainer: hands its backend to the consumer that all share."""

import sys

from shared import trainer
from shared.backend import Backend, Events


def load() -> tuple[Backend, Events]:
    from services.tensorflow import backend, events

    return backend, events.write


if __name__ == "__main__":
    sys.exit(trainer.main("tensorflow", load))
