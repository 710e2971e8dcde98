"""Ask a model for its predictions of many pictures, through the Open Inference Protocol of the gateway."""

import time

import numpy as np
from numpy.typing import NDArray

from services.pipelines.gateway_client import GatewayClient
from shared.errors import TandemError, UnavailableError

BATCH = 16  # pictures per request: a slow model must answer all of them within the time limit of a prediction
PAUSE_S = 1.0
PATIENCE_S = 120.0  # how long a predictor may be away, for example because it is started again
TRIES_WHILE_UP = 5  # how often a predictor that is up may fail to answer before its model is held to be the reason


class NoAnswerError(TandemError):
    """A model gives no valid predictions, although its predictor is up."""


def ask(client: GatewayClient, name: str, version: int, backend: str, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return a model's probabilities, float32 [N, classes].

    Args:
        client: the client of the gateway.
        name: the model.
        version: its version.
        backend: whose model.
        images: uint8 [N, H, W, C].

    Raises:
        NoAnswerError: the model cannot be served, or a probability is not a number.
        UnavailableError: the predictor is down for too long.
        RefusedError: the gateway refuses the request.
    """
    path = f"/v2/models/{name}-{backend}/versions/{version}/infer"
    parts = [_ask_part(client, path, backend, images[first : first + BATCH]) for first in range(0, len(images), BATCH)]
    found = np.concatenate(parts)
    if not np.isfinite(found).all():
        raise NoAnswerError(f"version {version} of {backend} predicts probabilities that are not numbers")
    return found


def _ask_part(client: GatewayClient, path: str, backend: str, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the probabilities of some pictures. A predictor that is being started again is waited for."""
    tensor = {"name": "image", "shape": list(images.shape), "datatype": "UINT8", "data": images.ravel().tolist()}
    deadline, failures_while_up = time.monotonic() + PATIENCE_S, 0
    while True:
        try:
            (output,) = client.post(path, {"inputs": [tensor]}, patience_s=0)["outputs"]
            return np.array(output["data"], np.float32).reshape(output["shape"])
        except UnavailableError as error:
            is_up = client.get("/v1/status")["backends"].get(backend, {}).get("predictor") == "up"
            failures_while_up += is_up
            if failures_while_up >= TRIES_WHILE_UP:
                raise NoAnswerError(f"the model of {backend} does not answer: {error}") from None
            if time.monotonic() > deadline:
                raise
            time.sleep(PAUSE_S)
