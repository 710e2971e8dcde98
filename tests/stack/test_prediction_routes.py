"""Every prediction route answers every size and encoding of a body alike: the same headers, the same errors."""

import io
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
import requests
from PIL import Image

from services.cli.client import Client
from services.stack.stack import Stack

MODEL = "mlp-digits"
SHAPE = (8, 8, 1)
PREDICTIONS = f"/v1/predictions?model={MODEL}"
INFER = f"/v2/models/{MODEL}/infer"
INFER_VERSION = f"/v2/models/{MODEL}/versions/{{version}}/infer"
PREDICT = f"/v1/models/{MODEL}:predict"
PREDICT_VERSION = f"/v1/models/{MODEL}/versions/{{version}}:predict"
PREDICTOR = f"/predict/{MODEL}/{{version}}"
JSON_ROUTES = [INFER, INFER_VERSION, PREDICT, PREDICT_VERSION]
GATEWAY_ROUTES = [PREDICTIONS, *JSON_ROUTES]
ALL_ROUTES = [*GATEWAY_ROUTES, PREDICTOR]
MAX_BODY_BYTES = 64 * 2**20
IMAGES = 64  # the most that a request may have: its JSON is larger than what the event loop parses itself


@dataclass(frozen=True)
class Body:
    """What is posted, and how many predictions it should get."""

    data: bytes
    media_type: str
    predictions: int
    headers: dict[str, str] = field(default_factory=dict)


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    """Images uint8 [IMAGES, 8, 8, 1]."""
    return np.random.Generator(np.random.PCG64(0)).integers(0, 256, (IMAGES, *SHAPE), np.uint8)


@pytest.fixture(scope="module")
def ask(stack: Stack, digits_model: dict) -> Callable[..., requests.Response]:
    """Return a function that posts a body to a route, whole or in chunks."""

    def post(route: str, body: Body, *, in_chunks: bool = False) -> requests.Response:
        root = stack.settings.url_of("pytorch") if route == PREDICTOR else stack.url
        data = chunks_of(body.data) if in_chunks else body.data
        headers = {"Content-Type": body.media_type, "X-Request-Id": "mine", **body.headers}
        return requests.post(root + route.format(version=digits_model["version"]), data, headers=headers, timeout=60)

    return post


def chunks_of(data: bytes) -> Iterator[bytes]:
    for start in range(0, len(data), 5000):
        yield data[start : start + 5000]


def png(image: np.ndarray, side: int | None = None) -> bytes:
    """Return an image uint8 [8, 8, 1] as a PNG file, enlarged to `side`."""
    picture, file = Image.fromarray(image[..., 0]), io.BytesIO()
    (picture.resize((side, side), Image.Resampling.NEAREST) if side else picture).save(file, "PNG")
    return file.getvalue()


def form(files: list[bytes]) -> Body:
    """Return a multipart form, as a browser would send it."""
    parts = [("image", (f"{number}.png", data, "image/png")) for number, data in enumerate(files)]
    prepared = requests.Request("POST", "http://x", files=parts).prepare()
    assert isinstance(prepared.body, bytes)
    return Body(prepared.body, prepared.headers["Content-Type"], len(files))


def capitalized(body: Body) -> Body:
    """Return a form whose media type is written in capitals, which means the same."""
    return replace(body, media_type=body.media_type.replace("multipart/form-data", "Multipart/Form-Data"))


def good_bodies(route: str, images: np.ndarray) -> dict[str, Body]:
    """Return bodies that a route accepts: small ones, and ones that the event loop hands to a thread."""
    if route == PREDICTOR:
        return {
            "one image": Body(images[:1].tobytes(), "application/octet-stream", 1),
            "many images": Body(np.concatenate([images] * 4).tobytes(), "application/octet-stream", 4 * IMAGES),
        }
    if route == PREDICTIONS:
        return {
            "a small file": Body(png(images[0]), "image/png", 1),
            "a large file": Body(png(images[0], 2000), "image/png", 1),
            "a file without a media type": Body(png(images[0]), "", 1),
            "a small form": form([png(images[0])]),
            "a large form": form([png(image, 200) for image in images]),
            "a form with capitals in its media type": capitalized(form([png(images[0])])),
        }
    if route in (PREDICT, PREDICT_VERSION):
        return {
            "one image": Body(json.dumps({"instances": images[:1].tolist()}).encode(), "application/json", 1),
            "many images": Body(json.dumps({"instances": images.tolist()}, indent=8).encode(), "text/plain", IMAGES),
        }

    def tensor(count: int, indent: int | None = None) -> bytes:
        data = {"name": "image", "shape": [count, *SHAPE], "datatype": "UINT8", "data": images[:count].ravel().tolist()}
        return json.dumps({"inputs": [data]}, indent=indent).encode()

    return {
        "one image": Body(tensor(1), "application/json", 1),
        "many images": Body(tensor(IMAGES, indent=16), "", IMAGES),
        "one image in binary": binary_tensor(images[:1]),
        "many images in binary": binary_tensor(images),
    }


def binary_tensor(images: np.ndarray) -> Body:
    """Return a request of the Open Inference Protocol whose tensor follows the JSON."""
    tensor = {"name": "image", "shape": list(images.shape), "datatype": "UINT8"}
    head = json.dumps({"inputs": [{**tensor, "parameters": {"binary_data_size": images.nbytes}}]}).encode()
    headers = {"Inference-Header-Content-Length": str(len(head))}
    return Body(head + images.tobytes(), "application/octet-stream", len(images), headers)


def predictions_in(route: str, answer: requests.Response) -> int:
    """Return how many images an answer has predictions of."""
    if route == PREDICTOR:
        return len(answer.content) // (10 * 4)
    if route == PREDICTIONS:
        return len(answer.json()["images"])
    if route in (PREDICT, PREDICT_VERSION):
        return len(answer.json()["predictions"])
    return int(answer.json()["outputs"][0]["shape"][0])


@pytest.mark.parametrize("route", ALL_ROUTES)
def test_a_good_body_of_every_size_and_encoding_is_answered(
    route: str, ask: Callable[..., requests.Response], images: np.ndarray
) -> None:
    for label, body in good_bodies(route, images).items():
        answers = [ask(route, body, in_chunks=in_chunks) for in_chunks in (False, True)]
        for answer in answers:
            assert answer.status_code == 200, (label, answer.text)
            assert answer.headers["X-Request-Id"] == "mine", label
            assert predictions_in(route, answer) == body.predictions, label
            expected = "application/octet-stream" if route == PREDICTOR else "application/json"
            assert answer.headers["Content-Type"] == expected, label
        whole, chunked = answers
        assert whole.content == chunked.content, label


def test_what_the_model_saw_is_returned_for_every_image(
    ask: Callable[..., requests.Response], images: np.ndarray
) -> None:
    answer = ask(f"{PREDICTIONS}&prepared=true", form([png(image, 200) for image in images]))
    assert all(image["prepared"].startswith("data:image/png;base64,") for image in answer.json()["images"])


def check_problem(answer: requests.Response, status: int, label: str) -> None:
    """Require a problem document with the request's id."""
    assert answer.status_code == status, (label, answer.text)
    assert answer.headers["Content-Type"] == "application/problem+json", label
    assert answer.headers["X-Request-Id"] == "mine", label
    problem = answer.json()
    assert set(problem) == {"type", "title", "status", "detail", "error"}, label
    assert problem["status"] == status, label
    assert problem["detail"], label
    assert re.fullmatch("urn:tandem:problem:[a-z-]+", problem["type"]), label


def bad_bodies(route: str, images: np.ndarray) -> dict[str, tuple[Body, int]]:
    """Return bodies that a route refuses, and with which status."""
    if route == PREDICTOR:
        octets = "application/octet-stream"
        return {
            "nothing": (Body(b"", octets, 0), 422),
            "half an image": (Body(bytes(7), octets, 0), 422),
            "many images and a half": (Body(bytes(64 * IMAGES * 4 + 1), octets, 0), 422),
        }
    if route == PREDICTIONS:
        return {
            "nothing": (Body(b"", "image/png", 0), 422),
            "a small file that is no picture": (Body(b"abc", "image/png", 0), 422),
            "a large file that is no picture": (Body(bytes(2**20), "image/png", 0), 422),
            "half a small picture": (Body(png(images[0])[:50], "image/png", 0), 422),
            "half a large picture": (Body(png(images[0], 2000)[:-200], "image/png", 0), 422),
            "a form without files": (Body(b"--x--\r\n", "multipart/form-data; boundary=x", 0), 422),
            "a form without a boundary": (Body(b"--x--\r\n", "multipart/form-data", 0), 422),
            "a form with a file that is no picture": (form([png(images[0]), b"abc"]), 422),
            "a form with too many files": (form([png(images[0])] * (IMAGES + 1)), 422),
        }
    return {
        "nothing": (Body(b"", "application/json", 0), 400),
        "half an object": (Body(b"{", "application/json", 0), 400),
        "a list": (Body(b"[]", "application/json", 0), 422),
        "nested lists": (Body(b"[" * 100_000, "application/json", 0), 400),
        "a large object that is cut off": (Body(b'{"inputs": [' + b"{}, " * 10_000, "application/json", 0), 400),
        "many invalid fields": (
            Body(b'{"inputs": [' + b"0, " * 20_000 + b'0], "instances": 0}', "application/json", 0),
            422,
        ),
        "an unknown field": (Body(b'{"inputs": [], "instances": [], "x": 1}', "application/json", 0), 422),
        "too much JSON": (Body(b" " * (2**20 + 1), "application/json", 0), 413),
    }


@pytest.mark.parametrize("route", ALL_ROUTES)
def test_a_bad_body_is_refused_with_the_same_kind_of_document(
    route: str, ask: Callable[..., requests.Response], images: np.ndarray
) -> None:
    for label, (body, status) in bad_bodies(route, images).items():
        whole, chunked = (ask(route, body, in_chunks=in_chunks) for in_chunks in (False, True))
        check_problem(whole, status, label)
        check_problem(chunked, status, label)
        assert whole.json() == chunked.json(), label


@pytest.mark.parametrize("route", ALL_ROUTES)
def test_the_servers_own_refusals_are_the_same_on_every_route(route: str, stack: Stack, digits_model: dict) -> None:
    root = stack.settings.url_of("pytorch") if route == PREDICTOR else stack.url
    url, headers = root + route.format(version=digits_model["version"]), {"X-Request-Id": "mine"}
    compressed = requests.post(url, b"x", headers={**headers, "Content-Encoding": "br"}, timeout=60)
    check_problem(compressed, 415, "a body of an unknown encoding")
    assert compressed.headers["Accept-Encoding"] == "gzip, deflate, identity"
    damaged = requests.post(url, b"x", headers={**headers, "Content-Encoding": "gzip"}, timeout=60)
    check_problem(damaged, 400, "a body that is not compressed as it says")
    wrong_method = requests.get(url, headers=headers, timeout=60)
    check_problem(wrong_method, 405, "another method")
    assert "POST" in wrong_method.headers["Allow"]
    too_large = requests.post(url, (bytes(2**20) for _ in range(65)), headers=headers, timeout=60)
    check_problem(too_large, 413, "a chunked body above the limit")


@pytest.mark.parametrize("route", GATEWAY_ROUTES)
def test_an_unknown_model_is_a_404_on_every_route(route: str, client: Client) -> None:
    url = client.url + route.replace(MODEL, "nothing").format(version=1)
    answer = requests.post(url, b"{}", headers={"X-Request-Id": "mine"}, timeout=60)
    check_problem(answer, 404, route)


def test_every_prediction_route_is_counted_by_its_rule(
    ask: Callable[..., requests.Response], images: np.ndarray, stack: Stack
) -> None:
    for route in ALL_ROUTES:
        for body in good_bodies(route, images).values():
            ask(route, body)
    gateway = requests.get(f"{stack.url}/metrics", timeout=60).text
    for rule in (
        "/v1/predictions",
        "/v2/models/<name>/infer",
        "/v2/models/<name>/versions/<version>/infer",
        "/v1/models/<title:name>:predict",
        "/v1/models/<name>/versions/<int:version>:predict",
    ):
        label = f'tandem_request_duration_seconds_count{{method="POST",route="{rule}",status="2xx"}}'
        assert label in gateway, rule
    predictor = requests.get(f"{stack.settings.url_of('pytorch')}/metrics", timeout=60).text
    assert 'route="/predict/<name>/<int:version>",status="2xx"' in predictor
