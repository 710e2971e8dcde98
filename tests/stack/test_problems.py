"""Whatever is asked, the answer is what was asked for, or a problem document that says what to change."""

import io
import json
import math
import struct
import zlib

import pytest
import requests
from PIL import Image

from services.cli.client import Client

pytestmark = pytest.mark.stack

FLAT = {"kind": "flatten"}


def network(*layers: dict) -> dict:
    return {"input_shape": [8, 8, 1], "layers": list(layers)}


# (what is wrong, method, path, body, status, words of the detail)
CASES = [
    ("unknown network", "POST", "/v1/trainings", {"network": "vgg"}, 422, "article, mlp"),
    ("unknown dataset", "POST", "/v1/trainings", {"dataset": "imagenet"}, 422, "mnist, fashion-mnist, digits"),
    ("unknown backend", "POST", "/v1/trainings", {"backends": ["jax"]}, 422, "tensorflow, pytorch"),
    ("backend named twice", "POST", "/v1/trainings", {"backends": ["pytorch", "pytorch"]}, 422, "once"),
    ("no backend", "POST", "/v1/trainings", {"backends": []}, 422, "backends"),
    ("unknown field", "POST", "/v1/trainings", {"epoch": 3}, 422, "epoch: Extra inputs"),
    ("no epochs", "POST", "/v1/trainings", {"epochs": 0}, 422, "epochs"),
    ("fewer than no epochs", "POST", "/v1/trainings", {"epochs": -1}, 422, "epochs"),
    ("a billion epochs", "POST", "/v1/trainings", {"epochs": 10**9}, 422, "epochs"),
    ("epochs null", "POST", "/v1/trainings", {"epochs": None}, 422, "epochs"),
    ("half an epoch", "POST", "/v1/trainings", {"epochs": 1.5}, 422, "epochs"),
    ("epochs in words", "POST", "/v1/trainings", {"epochs": "ten"}, 422, "epochs"),
    ("no batch", "POST", "/v1/trainings", {"batch_size": 0}, 422, "batch_size"),
    ("batch above the data", "POST", "/v1/trainings", {"dataset": "digits", "batch_size": 1438}, 422, "1437"),
    ("rate NaN", "POST", "/v1/trainings", {"optimizer": {"learning_rate": math.nan}}, 422, "learning_rate"),
    ("rate infinite", "POST", "/v1/trainings", {"optimizer": {"learning_rate": math.inf}}, 422, "learning_rate"),
    ("rate null", "POST", "/v1/trainings", {"optimizer": {"learning_rate": None}}, 422, "learning_rate"),
    ("negative rate", "POST", "/v1/trainings", {"optimizer": {"learning_rate": -1}}, 422, "optimizer.learning_rate"),
    ("a name that leads away", "POST", "/v1/trainings", {"dataset": "digits", "name": "../x"}, 422, "name"),
    ("an empty name", "POST", "/v1/trainings", {"dataset": "digits", "name": ""}, 422, "name"),
    ("a name of 5,000", "POST", "/v1/trainings", {"dataset": "digits", "name": "x" * 5000}, 422, "name"),
    ("a network of 5,000", "POST", "/v1/trainings", {"network": "x" * 5000}, 422, "network"),
    ("a dataset that leads away", "POST", "/v1/trainings", {"dataset": "../mnist"}, 422, "unknown dataset"),
    ("a dataset of no name", "POST", "/v1/trainings", {"dataset": ""}, 422, "unknown dataset"),
    ("a list", "POST", "/v1/trainings", [], 422, "JSON object"),
    ("a number", "POST", "/v1/trainings", 3, 422, "JSON object"),
    ("a name with a backend", "POST", "/v1/trainings", {"dataset": "digits", "name": "x-pytorch"}, 422, "-pytorch"),
    (
        "a network without flatten",
        "POST",
        "/v1/trainings",
        {"dataset": "digits", "network": network({"kind": "dense", "units": 10})},
        422,
        "layers.0 (dense) takes one dimension [n], but gets [8, 8, 1]",
    ),
    (
        "too few classes",
        "POST",
        "/v1/trainings",
        {"dataset": "digits", "network": network(FLAT, {"kind": "dense", "units": 9})},
        422,
        "10 classes",
    ),
    (
        "another dataset's shape",
        "POST",
        "/v1/trainings",
        {"dataset": "mnist", "network": network(FLAT, {"kind": "dense", "units": 10})},
        422,
        "input_shape [8, 8, 1]",
    ),
    ("cancelling nothing", "POST", "/v1/trainings/nothing/cancel", None, 404, "no training"),
    ("an id of 5,000", "GET", "/v1/trainings/" + "x" * 5000, None, 422, "id"),
    ("unknown deletion", "GET", "/v1/deletions/nothing", None, 404, "no deletion"),
    ("deleting nothing", "DELETE", "/v1/models/nothing/pytorch/1", None, 404, "no version 1"),
    ("deleting another backend's", "DELETE", "/v1/models/nothing/jax/1", None, 404, "no version 1"),
    ("deleting version 0", "DELETE", "/v1/models/nothing/pytorch/0", None, 422, "version"),
    ("weights of nothing", "GET", "/v1/models/nothing/pytorch/1/weights.safetensors", None, 404, "no version 1"),
    ("weights elsewhere", "GET", "/v1/models/%2e%2e/pytorch/1/weights.safetensors", None, 404, ""),
    ("samples of nothing", "GET", "/v1/datasets/nothing/samples.png", None, 422, "unknown dataset"),
    ("no samples", "GET", "/v1/datasets/digits/samples.png?count=0", None, 422, "count"),
    ("too many samples", "GET", "/v1/datasets/digits/samples.png?count=101", None, 422, "count"),
    ("unknown training", "GET", "/v1/trainings/nothing", None, 404, "no training"),
    ("unknown evaluation", "GET", "/v1/evaluations/nothing", None, 404, "no evaluation"),
    ("unknown model", "GET", "/v1/models/nothing", None, 404, "no model"),
    ("a model elsewhere", "GET", "/v1/models/..%2fetc", None, 404, ""),
    ("evaluating nothing", "POST", "/v1/evaluations", {"model": "nothing"}, 404, "Train one"),
    ("evaluating version 99", "POST", "/v1/evaluations", {"model": "mlp-digits", "version": 99}, 404, "version 99"),
    ("evaluating on another shape", "POST", "/v1/evaluations", {"model": "mlp-digits", "dataset": "mnist"}, 409, ""),
    ("evaluating on nothing", "POST", "/v1/evaluations", {"model": "mlp-digits", "dataset": "x"}, 422, "unknown"),
    ("evaluating half", "POST", "/v1/evaluations", {"model": "mlp-digits", "split": "half"}, 422, "split"),
    ("evaluating without a model", "POST", "/v1/evaluations", {}, 422, "model"),
    ("predicting without a model", "POST", "/v1/predictions", {}, 422, "model"),
    ("unknown route", "GET", "/v1/nothing", None, 404, ""),
    ("wrong method", "DELETE", "/v1/trainings", None, 405, ""),
]


def assert_problem(answer: requests.Response, status: int, words: str) -> None:
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    body = answer.json()
    assert set(body) == {"type", "title", "status", "detail", "error"}
    assert body["status"] == status
    assert words in body["detail"]
    assert "\n" not in body["error"]


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "words"), [case[1:] for case in CASES], ids=[c[0] for c in CASES]
)
def test_a_bad_request_is_answered_with_what_to_change(
    client: Client, digits_model: dict, method: str, path: str, body: object, status: int, words: str
) -> None:
    before = client.get("/v1/trainings")["trainings"]
    data = None if body is None else json.dumps(body)  # requests' own `json` would refuse NaN itself
    headers = {"Content-Type": "application/json"} if data else {}
    answer = requests.request(method, client.url + path, data=data, headers=headers, timeout=30)
    assert_problem(answer, status, words)
    assert client.get("/v1/trainings")["trainings"] == before, "something was stored"


def test_a_body_that_is_no_json_is_refused(client: Client) -> None:
    headers = {"Content-Type": "application/json"}
    answer = requests.post(f"{client.url}/v1/trainings", data="{nonsense", headers=headers, timeout=30)
    assert_problem(answer, 400, "not JSON")


def test_a_body_without_a_length_is_refused(client: Client) -> None:
    answer = requests.post(f"{client.url}/v1/predictions?model=x", data=iter([b"abc"]), timeout=30)
    assert_problem(answer, 411, "Content-Length")


@pytest.mark.parametrize(
    ("path", "media_type", "size"),
    [
        ("/v1/trainings", "application/json", 2**21),
        ("/v1/trainings", "application/json", 100 * 2**20),
        ("/v1/predictions?model=mlp-digits", "image/png", 100 * 2**20),
    ],
    ids=["2 MB of JSON", "100 MB of JSON", "a picture of 100 MB"],
)
def test_a_body_that_is_too_large_is_refused(
    client: Client, digits_model: dict, path: str, media_type: str, size: int
) -> None:
    body = b'{"name": "' + b"x" * size + b'"}'
    answer = requests.post(client.url + path, data=body, headers={"Content-Type": media_type}, timeout=60)
    assert_problem(answer, 413, "")


def test_a_million_layers_are_refused(client: Client) -> None:
    layers = ",".join(['{"kind":"flatten"}'] * 10**6)
    body = f'{{"network":{{"input_shape":[8,8,1],"layers":[{layers}]}}}}'
    headers = {"Content-Type": "application/json"}
    assert_problem(requests.post(f"{client.url}/v1/trainings", data=body, headers=headers, timeout=60), 413, "JSON is")


def encoded(format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.linear_gradient("L").save(buffer, format, **options)
    return buffer.getvalue()


def declared(width: int, height: int) -> bytes:
    """A PNG that is only a header: what it declares, it need not hold."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    data = b"IDAT" + zlib.compress(b"")
    chunks = [struct.pack(">I", len(part) - 4) + part + struct.pack(">I", zlib.crc32(part)) for part in (header, data)]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


FRAMES = {"save_all": True, "append_images": [Image.new("L", (256, 256))]}


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ([("image", ("a.png", b""))], "a.png: the file is empty"),
        ([("image", ("a.png", b"not a picture"))], "a.png: not a PNG, JPEG"),
        ([("image", ("a.gif", encoded("GIF")))], "a.gif: not a PNG, JPEG"),
        ([("image", ("a.png", encoded("PNG")[:-500]))], "a.png: the picture is broken"),
        ([("image", ("a.jpg", encoded("JPEG")[:-500]))], "a.jpg: the picture is broken"),
        ([("image", ("a.png", encoded("PNG", **FRAMES)))], "a.png: the picture is animated"),
        ([("image", ("a.webp", encoded("WEBP", **FRAMES)))], "a.webp: the picture is animated"),
        ([("image", ("a.png", declared(13_000, 13_000)))], "13000 x 13000 pixels are more than 50,000,000"),
        ([("image", ("good.png", encoded("PNG"))), ("image", ("bad.png", b"x"))], "bad.png: not a PNG"),
        ([("picture", ("a.png", b"x"))], "'image'"),
        ([("image", (f"{i}.png", b"x")) for i in range(65)], "64"),
    ],
    ids=[
        *("empty", "no picture", "another format", "truncated png", "truncated jpeg", "animated png", "animated webp"),
        *("169 megapixels", "the second", "another field", "too many"),
    ],
)
def test_a_bad_picture_refuses_the_request_and_is_named(
    client: Client, digits_model: dict, files: list, words: str
) -> None:
    url = f"{client.url}/v1/predictions?model=mlp-digits"
    assert_problem(requests.post(url, files=files, timeout=30), 422, words)


@pytest.mark.parametrize(
    ("query", "status", "words"),
    [
        ("model=nothing", 404, "ready: "),
        ("model=../x", 404, "'../x' is not published"),
        ("model=" + "x" * 5000, 422, "model"),
        ("model=", 422, "model"),
        ("model=mlp-digits&version=99", 404, "version 99"),
        ("model=mlp-digits&version=0", 422, "version"),
        ("model=mlp-digits&version=newest", 422, "version"),
        ("model=mlp-digits&backends=jax", 422, "tensorflow, pytorch"),
        ("model=mlp-digits&backends=", 422, "unknown backend"),
        ("model=mlp-digits&modell=x", 422, "modell"),
    ],
)
def test_a_prediction_that_cannot_be_meant_is_refused(
    client: Client, digits_model: dict, query: str, status: int, words: str
) -> None:
    headers = {"Content-Type": "image/png"}
    answer = requests.post(f"{client.url}/v1/predictions?{query}", data=encoded("PNG"), headers=headers, timeout=30)
    assert_problem(answer, status, words)


@pytest.mark.parametrize("media_type", ["text/plain", "application/json", None])
def test_a_picture_is_told_by_its_bytes_and_not_by_its_media_type(
    client: Client, digits_model: dict, media_type: str | None
) -> None:
    headers = {"Content-Type": media_type} if media_type else {}
    url = f"{client.url}/v1/predictions?model=mlp-digits"
    assert requests.post(url, data=encoded("PNG"), headers=headers, timeout=30).status_code == 200


def test_the_api_describes_itself(client: Client) -> None:
    document = client.get("/openapi.json")
    assert {"/v1/trainings", "/v1/evaluations", "/v1/predictions", "/v1/models"} <= set(document["paths"])
    page = requests.get(f"{client.url}/docs", timeout=10)
    assert page.status_code == 200
    assert "/openapi.json" in page.text
    assert requests.get(f"{client.url}/swagger/js/swagger-ui-bundle.js", timeout=10).status_code == 200


def test_the_way_in_leads_to_documents_that_exist(client: Client) -> None:
    index = client.get("/")
    for place in ("docs", "openapi", "health"):
        assert requests.get(client.url + index[place], timeout=10).status_code == 200


def test_networks_and_datasets_are_listed(client: Client) -> None:
    sizes = {entry["name"]: entry["parameters_on_mnist"] for entry in client.get("/v1/networks")["networks"]}
    assert sizes == {"article": 7_960, "mlp": 101_770}
    digits = next(entry for entry in client.get("/v1/datasets")["datasets"] if entry["name"] == "digits")
    assert digits["ready"] is True
    assert digits["shape"] == [8, 8, 1]
    assert digits["sizes"] == {"train": 1_437, "test": 360}


def test_the_status_says_what_runs_and_what_waits(client: Client, digits_model: dict) -> None:
    status = client.get("/v1/status")
    assert status["redis"] == "up"
    for backend in ("tensorflow", "pytorch"):
        assert status["backends"][backend]["predictor"] == "up"
        assert len(status["backends"][backend]["trainers"]) == 1
        assert status["backends"][backend]["queued"] == 0
    assert "mlp-digits" in status["models"]
    assert "digits" in status["datasets"]


@pytest.mark.parametrize("count", [1, 7, 20, 100])
def test_the_first_training_pictures_are_drawn_with_their_labels(client: Client, count: int) -> None:
    answer = requests.get(f"{client.url}/v1/datasets/digits/samples.png?count={count}", timeout=30)
    assert answer.status_code == 200
    image = Image.open(io.BytesIO(answer.content))
    assert image.format == "PNG"
    assert image.width > 100
