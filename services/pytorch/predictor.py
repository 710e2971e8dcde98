"""Start PyTorch's predictor: the shared HTTP server with this backend."""

import sys

from services.pytorch import backend
from shared.serving import predictor

if __name__ == "__main__":
    sys.exit(predictor.main(backend))
