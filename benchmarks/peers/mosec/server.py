"""Serves networks with Mosec: one worker process for each route.

    MOSEC_PORT=<port> python server.py <max_batch_size> <max_wait_time in ms> <route>...

A route is `<network>-json` or `<network>-binary`. Mosec calls a worker's methods in this order: deserialize, forward,
serialize. With a `max_batch_size` above 1, `forward` gets a list of requests.
"""

import sys
from typing import Any

import networks
import numpy as np
from mosec import Runtime, Server, Worker


class NetworkWorker(Worker):
    """Predicts one request, or a batch of requests in one call of the network."""

    network_name: str

    def __init__(self) -> None:
        self.network = networks.load_network(self.network_name)

    def forward(self, data: Any) -> Any:
        """Return the probabilities, float32 [N, 10], of images, uint8 [N, 28, 28, 1]; or a list of them of a list."""
        if self.max_batch_size == 1:
            return networks.compute_probabilities(self.network, data)
        probabilities = networks.compute_probabilities(self.network, np.concatenate(data))
        return np.split(probabilities, np.cumsum([len(images) for images in data[:-1]]))


class JsonWorker(NetworkWorker):
    """Takes Open Inference Protocol requests, and returns `{"probabilities": [[...]]}`."""

    def deserialize(self, data: bytes) -> np.ndarray:
        """Return the images of a request's first input."""
        tensor = super().deserialize(data)["inputs"][0]
        return np.array(tensor["data"], dtype=np.uint8).reshape(tensor["shape"])

    def serialize(self, data: np.ndarray) -> bytes:
        """Return the response's JSON."""
        return super().serialize({"probabilities": data.tolist()})


class BinaryWorker(NetworkWorker):
    """Takes and returns the bytes of an array, because a worker does not get the request's headers."""

    resp_mime_type = "application/octet-stream"

    def deserialize(self, data: bytes) -> np.ndarray:
        """Return the images whose pixels are the request's body."""
        return np.frombuffer(data, dtype=np.uint8).reshape(-1, 28, 28, 1)

    def serialize(self, data: np.ndarray) -> bytes:
        """Return the probabilities as float32."""
        return data.tobytes()


class ArticleJsonWorker(JsonWorker):
    network_name = "article"


class ArticleBinaryWorker(BinaryWorker):
    network_name = "article"


class CnnJsonWorker(JsonWorker):
    network_name = "cnn"


class CnnBinaryWorker(BinaryWorker):
    network_name = "cnn"


# Mosec starts a worker process by importing its class, so that every worker needs a class of its own.
WORKERS = {
    "article-json": ArticleJsonWorker,
    "article-binary": ArticleBinaryWorker,
    "cnn-json": CnnJsonWorker,
    "cnn-binary": CnnBinaryWorker,
}

if __name__ == "__main__":
    max_batch_size, max_wait_time_ms, *routes = sys.argv[1:]
    batching = {"max_batch_size": int(max_batch_size), "max_wait_time": int(max_wait_time_ms)}
    server = Server()
    server.register_runtime({f"/{route}": [Runtime(WORKERS[route], **batching)] for route in routes})
    server.run()
