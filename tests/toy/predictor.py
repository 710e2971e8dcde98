"""NumPy's predictor: hands its backend to the server that all share."""

import sys

from services.toy import backend
from shared.serving import predictor

if __name__ == "__main__":
    sys.exit(predictor.main(backend))
