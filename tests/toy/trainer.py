"""NumPy's trainer: hands its backend to the consumer that all share."""

import sys

from shared import trainer
from shared.backend import Backend


def load() -> Backend:
    from services.toy import backend

    return backend


if __name__ == "__main__":
    sys.exit(trainer.main("toy", load))
