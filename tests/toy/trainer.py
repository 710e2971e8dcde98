"""NumPy's trainer: hands its backend to the consumer that all share."""

import sys

from shared.backend import Backend, Events
from shared.training import trainer


def load() -> tuple[Backend, Events]:
    from services.toy import backend

    return backend, lambda *_: None  # NumPy has no writer


if __name__ == "__main__":
    sys.exit(trainer.main("toy", load))
