"""What is asked of the servers: a network, a number of pictures and an encoding, and the bodies of such requests."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import requests
from numpy.typing import NDArray
from PIL import Image

PICTURE = Path("samples/seven.png").absolute()
JSON_LENGTH_HEADER = "Inference-Header-Content-Length"


@dataclass(frozen=True)
class Workload:
    """One kind of request.

    Attributes:
        name: what `--workloads` and the tables call it.
        network: the network that computes the probabilities.
        pictures: the number of 28 x 28 pictures in a request.
        encoding: "json" or "binary", which are those of the Open Inference Protocol, or "png" for a picture's file.
        connections: the numbers of connections with which it is measured.
    """

    name: str
    network: str
    pictures: int
    encoding: str
    connections: tuple[int, ...]


WORKLOADS = {
    workload.name: workload
    for workload in (
        Workload("article-json", "article", 1, "json", (1, 16, 64)),
        Workload("article-binary", "article", 1, "binary", (16,)),
        Workload("article-8-binary", "article", 8, "binary", (16,)),
        Workload("cnn-8-binary", "cnn", 8, "binary", (16,)),
        Workload("png-both", "article", 1, "png", (1, 16, 64)),
    )
}


@dataclass(frozen=True)
class Request:
    """The request that a server gets again and again.

    Attributes:
        url: where it is posted.
        body: the file with its body.
        headers: its headers, without Content-Length.
        parse_probabilities: returns the probabilities in a successful response, float [N, 10]. An array without
            elements means that the response has none.
    """

    url: str
    body: Path
    headers: dict[str, str]
    parse_probabilities: Callable[[requests.Response], NDArray[np.floating]]


def make_pixels(count: int) -> NDArray[np.uint8]:
    """Return different pictures, uint8 [count, 28, 28, 1]: the sample, moved to the right by 0, 1, 2, ... pixels."""
    pixels = np.array(Image.open(PICTURE))
    return np.stack([np.roll(pixels, shift, axis=1) for shift in range(count)])[..., None]


def create_inference_request(workload: Workload, url: str, folder: Path) -> Request:
    """Write the body of an Open Inference Protocol request, and return the request.

    A binary tensor is sent and asked for as Triton's Python client does by default.

    Args:
        workload: with the encoding "json" or "binary".
        url: the address of the model's `infer`.
        folder: the folder for the body's file.
    """
    pixels = make_pixels(workload.pictures)
    tensor: dict[str, Any] = {"name": "image", "shape": list(pixels.shape), "datatype": "UINT8"}
    path = folder / f"{workload.name}.body"
    if workload.encoding == "json":
        path.write_text(json.dumps({"inputs": [{**tensor, "data": pixels.ravel().tolist()}]}))
        return Request(url, path, {"Content-Type": "application/json"}, parse_inference_response)
    tensor["parameters"] = {"binary_data_size": pixels.nbytes}
    text = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}}).encode()
    path.write_bytes(text + pixels.tobytes())
    headers = {"Content-Type": "application/octet-stream", JSON_LENGTH_HEADER: str(len(text))}
    return Request(url, path, headers, parse_inference_response)


def create_pixels_request(workload: Workload, url: str, folder: Path) -> Request:
    """Write pixels without any description to a file, and return the request. The response is float32 [N, 10]."""
    path = folder / f"{workload.name}.pixels"
    path.write_bytes(make_pixels(workload.pictures).tobytes())
    headers = {"Content-Type": "application/octet-stream"}
    return Request(url, path, headers, lambda response: np.frombuffer(response.content, "<f4").reshape(-1, 10))


def parse_inference_response(response: requests.Response) -> NDArray[np.floating]:
    """Return the probabilities in a response of the Open Inference Protocol, float [N, 10]."""
    json_length = int(response.headers.get(JSON_LENGTH_HEADER, len(response.content)))
    (output,) = json.loads(response.content[:json_length])["outputs"]
    if "data" in output:
        return np.array(output["data"]).reshape(output["shape"])
    return np.frombuffer(response.content[json_length:], "<f4").reshape(output["shape"])
