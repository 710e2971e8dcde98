"""The article's network behind LitServe with one worker process and otherwise default settings.

python server.py <port>
"""

import sys
from typing import Any

import article
import litserve
import numpy as np


class Article(litserve.LitAPI):
    def setup(self, device: str) -> None:  # noqa: ARG002 - LitServe passes it by position
        self.model = article.load()

    def decode_request(self, request: dict[str, Any]) -> np.ndarray:
        tensor = request["inputs"][0]
        return np.array(tensor["data"], dtype=np.uint8).reshape(tensor["shape"])

    def predict(self, x: np.ndarray) -> np.ndarray:
        return article.probabilities(self.model, x)

    def encode_response(self, output: np.ndarray) -> dict[str, Any]:
        return {"probabilities": output.tolist()}


if __name__ == "__main__":
    server = litserve.LitServer(Article(), accelerator="cpu", workers_per_device=1)
    server.run(host="127.0.0.1", port=int(sys.argv[1]), generate_client_file=False, log_level="warning")
