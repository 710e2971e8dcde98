"""NumPy's trainer: hands its backend to the consumer that all share."""

import sys

from services.toy import backend
from shared import trainer

if __name__ == "__main__":
    sys.exit(trainer.main(backend))
