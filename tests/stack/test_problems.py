"""Whatever is asked, the answer is what was asked for, or a problem document that says what to change."""

import json

import pytest
import requests

from services.cli.client import Client

pytestmark = pytest.mark.stack

FLAT = {"kind": "flatten"}


def network(*layers: dict) -> dict:
    return {"input_shape": [8, 8, 1], "layers": list(layers)}


# (what is wrong, method, path, body, status, words of the detail)
CASES = [
    ("unknown network", "POST", "/v1/trainings", {"network": "vgg"}, 422, "article, mlp"),
    ("unknown dataset", "POST", "/v1/trainings", {"dataset": "imagenet"}, 422, "mnist, digits"),
    ("unknown backend", "POST", "/v1/trainings", {"backends": ["jax"]}, 422, "tensorflow, pytorch"),
    ("backend named twice", "POST", "/v1/trainings", {"backends": ["pytorch", "pytorch"]}, 422, "once"),
    ("no backend", "POST", "/v1/trainings", {"backends": []}, 422, "backends"),
    ("unknown field", "POST", "/v1/trainings", {"epoch": 3}, 422, "epoch: Extra inputs"),
    ("no epochs", "POST", "/v1/trainings", {"epochs": 0}, 422, "epochs"),
    ("half an epoch", "POST", "/v1/trainings", {"epochs": 1.5}, 422, "epochs"),
    ("epochs in words", "POST", "/v1/trainings", {"epochs": "ten"}, 422, "epochs"),
    ("no batch", "POST", "/v1/trainings", {"batch_size": 0}, 422, "batch_size"),
    ("batch above the data", "POST", "/v1/trainings", {"dataset": "digits", "batch_size": 1438}, 422, "1437"),
    ("negative rate", "POST", "/v1/trainings", {"optimizer": {"learning_rate": -1}}, 422, "optimizer.learning_rate"),
    ("a name that leads away", "POST", "/v1/trainings", {"dataset": "digits", "name": "../x"}, 422, "name"),
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
    ("unknown training", "GET", "/v1/trainings/nothing", None, 404, "no training"),
    ("unknown evaluation", "GET", "/v1/evaluations/nothing", None, 404, "no evaluation"),
    ("unknown model", "GET", "/v1/models/nothing", None, 404, "no model"),
    ("a model elsewhere", "GET", "/v1/models/..%2f..%2fetc", None, 404, ""),
    ("evaluating nothing", "POST", "/v1/evaluations", {"model": "nothing"}, 404, "Train one"),
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
    client: Client, method: str, path: str, body: dict | None, status: int, words: str
) -> None:
    before = client.get("/v1/trainings")["trainings"]
    answer = requests.request(method, client.url + path, json=body, timeout=30)
    assert_problem(answer, status, words)
    assert client.get("/v1/trainings")["trainings"] == before, "something was stored"


def test_a_body_that_is_no_json_is_refused(client: Client) -> None:
    headers = {"Content-Type": "application/json"}
    answer = requests.post(f"{client.url}/v1/trainings", data="{nonsense", headers=headers, timeout=30)
    assert_problem(answer, 400, "not JSON")


def test_a_body_without_a_length_is_refused(client: Client) -> None:
    answer = requests.post(f"{client.url}/v1/predictions?model=x", data=iter([b"abc"]), timeout=30)
    assert_problem(answer, 411, "Content-Length")


def test_a_body_that_is_too_large_is_refused(client: Client) -> None:
    body = json.dumps({"name": "x" * 2**21})
    headers = {"Content-Type": "application/json"}
    assert_problem(requests.post(f"{client.url}/v1/trainings", data=body, headers=headers, timeout=30), 413, "bytes")


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ([("image", ("a.png", b""))], "a.png: the file is empty"),
        ([("image", ("a.png", b"not a picture"))], "a.png: not a PNG or JPEG"),
        ([("picture", ("a.png", b"x"))], "'image'"),
        ([("image", (f"{i}.png", b"x")) for i in range(65)], "64"),
    ],
    ids=["empty", "no picture", "another field", "too many"],
)
def test_a_bad_picture_refuses_the_request_and_is_named(
    client: Client, digits_model: dict, files: list, words: str
) -> None:
    url = f"{client.url}/v1/predictions?model=mlp-digits"
    assert_problem(requests.post(url, files=files, timeout=30), 422, words)


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
