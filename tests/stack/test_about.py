"""The API's description, status, networks and datasets."""

import io

import pytest
import requests
from PIL import Image

from services.cli.client import Client

pytestmark = pytest.mark.stack


def test_the_api_description_lists_the_routes_and_has_a_page(client: Client) -> None:
    document = client.get("/openapi.json")
    assert {"/v1/trainings", "/v1/evaluations", "/v1/predictions", "/v1/models"} <= set(document["paths"])
    page = requests.get(f"{client.url}/docs", timeout=10)
    assert page.status_code == 200
    assert "/docs/start.js" in page.text
    assert "/openapi.json" in requests.get(f"{client.url}/docs/start.js", timeout=10).text
    assert requests.get(f"{client.url}/swagger/js/swagger-ui-bundle.js", timeout=10).status_code == 200


def test_the_links_of_the_start_page_work(client: Client) -> None:
    index = client.get("/")
    for place in ("docs", "openapi", "health"):
        assert requests.get(client.url + index[place], timeout=10).status_code == 200


def test_networks_and_datasets_are_listed(client: Client) -> None:
    sizes = {entry["name"]: entry["parameters_on_mnist"] for entry in client.get("/v1/networks")["networks"]}
    assert sizes == {"article": 7_960, "mlp": 101_770, "lenet5": 61_706, "cnn": 30_058}
    digits = next(entry for entry in client.get("/v1/datasets")["datasets"] if entry["name"] == "digits")
    assert digits["ready"] is True
    assert digits["shape"] == [8, 8, 1]
    assert digits["prepare"] == "resize"
    assert digits["sizes"] == {"train": 1_437, "test": 360}


def test_the_status_lists_predictors_trainers_and_queues(client: Client, digits_model: dict) -> None:
    status = client.get("/v1/status")
    assert status["redis"] == "up"
    for backend in ("tensorflow", "pytorch"):
        assert status["backends"][backend]["predictor"] == "up"
        assert len(status["backends"][backend]["trainers"]) == 1
        assert status["backends"][backend]["queued"] == 0
    assert "mlp-digits" in status["models"]
    assert "digits" in status["datasets"]


@pytest.mark.parametrize("count", [1, 7, 20, 100])
def test_samples_of_a_dataset_are_returned_as_a_png(client: Client, count: int) -> None:
    answer = requests.get(f"{client.url}/v1/datasets/digits/samples.png?count={count}", timeout=30)
    assert answer.status_code == 200
    image = Image.open(io.BytesIO(answer.content))
    assert image.format == "PNG"
    assert image.width > 100
