"""Pictures that are none are refused, each with what is wrong, and leave no memory behind."""

import pytest
import requests
from PIL import Image

from benchmarks.malformed import encoded, gateways_bytes, hazards, malformed
from services.cli.client import Client

pytestmark = pytest.mark.stack

COUNT = len(hazards()) + 150


def test_malformed_pictures_are_refused_and_forgotten(client: Client, digits_model: dict) -> None:
    url = f"{client.url}/v1/predictions?model=mlp-digits"
    before = gateways_bytes()
    for name, data in malformed(COUNT):
        answer = requests.post(url, data, headers={"Content-Type": "image/png"}, timeout=30)
        assert 400 <= answer.status_code < 500, (name, answer.text)
        assert answer.json()["detail"].startswith("body: "), (name, answer.text)
    assert gateways_bytes() - before < 50e6


def test_a_picture_still_gets_an_answer_after_all_that(client: Client, digits_model: dict) -> None:
    url = f"{client.url}/v1/predictions?model=mlp-digits"
    assert requests.post(url, encoded(Image.new("L", (8, 8)), "PNG"), timeout=30).status_code == 200
