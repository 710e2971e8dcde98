"""Hostile requests to every route of the gateway: no bare 500, and the gateway goes on serving."""

from collections import Counter

import pytest
import requests

from services.cli.client import Client
from shared.settings import Settings
from tests.hostile_requests import check_answer, hostile_requests

pytestmark = pytest.mark.stack

COUNT = 1000
SEED = 16
VALUES = {"name": "mlp-digits", "backend": "pytorch", "version": "1", "id": "0" * 32, "alias": "stable"}


def test_no_request_gets_a_bare_500(client: Client, settings: Settings, digits_model: dict) -> None:
    paths = [path.format(**VALUES) for path in client.get("/openapi.json")["paths"]]
    requests_to_send = hostile_requests([*paths, "/docs", "/openapi.json", "/nowhere"], COUNT, SEED)
    statuses = Counter(check_answer(settings.gateway_port, pieces) for pieces in requests_to_send)
    assert {200, 400, 404, 405, 422} <= set(statuses), statuses
    assert requests.get(f"{client.url}/v2/health/live", timeout=10).ok
