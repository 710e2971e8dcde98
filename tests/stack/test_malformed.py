"""Malformed pictures are refused with an error that says what is wrong."""

import pytest
import requests
from PIL import Image

from benchmarks.malformed import encode_picture, files_made_by_hand, generate_malformed_files
from services.cli.client import Client

pytestmark = pytest.mark.stack

COUNT = len(files_made_by_hand()) + 150


def test_malformed_pictures_are_refused(client: Client, digits_model: dict) -> None:
    url = f"{client.url}/v1/predictions?model=mlp-digits"
    for name, data in generate_malformed_files(COUNT):
        answer = requests.post(url, data, headers={"Content-Type": "image/png"}, timeout=30)
        assert 400 <= answer.status_code < 500, (name, answer.text)
        assert answer.json()["detail"].startswith("body: "), (name, answer.text)


def test_a_good_picture_is_predicted_after_malformed_ones(client: Client, digits_model: dict) -> None:
    url = f"{client.url}/v1/predictions?model=mlp-digits"
    assert requests.post(url, encode_picture(Image.new("L", (8, 8)), "PNG"), timeout=30).status_code == 200
