"""Serves the article's network with LitServe: one worker process, and otherwise default settings.

python server.py <port>
"""

import sys
from typing import Any

import litserve
import networks
import numpy as np


class ArticleApi(litserve.LitAPI):
    """The steps of a prediction, which LitServe calls in this order: decode, predict, encode."""

    def setup(self, device: str) -> None:  # noqa: ARG002 - LitServe passes it by position
        """Load the network. LitServe calls this once in the worker process."""
        self.network = networks.load_network("article")

    def decode_request(self, request: dict[str, Any]) -> np.ndarray:
        """Return the images of an Open Inference Protocol request, uint8 [N, 28, 28, 1]."""
        tensor = request["inputs"][0]
        return np.array(tensor["data"], dtype=np.uint8).reshape(tensor["shape"])

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Return the probabilities of images, float32 [N, 10]."""
        return networks.compute_probabilities(self.network, x)

    def encode_response(self, output: np.ndarray) -> dict[str, Any]:
        """Return the response's JSON."""
        return {"probabilities": output.tolist()}


if __name__ == "__main__":
    server = litserve.LitServer(ArticleApi(), accelerator="cpu", workers_per_device=1)
    server.run(host="127.0.0.1", port=int(sys.argv[1]), generate_client_file=False, log_level="warning")
