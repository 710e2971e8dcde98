"""Start TensorFlow's predictor: the shared HTTP server with this backend."""

import sys

from services.tensorflow import backend
from shared.serving import predictor

if __name__ == "__main__":
    sys.exit(predictor.main(backend))
