"""Hostile requests to every route of the gateway: no bare 500, and the gateway goes on serving."""

from collections import Counter

import pytest
import requests
from redis import Redis

from services.cli.client import Client
from shared.settings import Settings
from tests.hostile_requests import check_answer, hostile_requests
from tests.polling import wait_until

pytestmark = pytest.mark.stack

COUNT = 1000
SEED = 16
# No such model exists, because a request could delete it.
VALUES = {"name": "nothing", "backend": "pytorch", "version": "1", "id": "0" * 32, "alias": "stable", "label": "stable"}
VALUES |= {"split": "test", "index": "0", "format": "onnx"}
EXISTING = (
    "/v1/predictions?model=mlp-digits",
    "/v1/models/mlp-digits:predict",
    "/v1/models/mlp-digits",
    "/v2/models/mlp-digits/infer",
    "/docs",
    "/openapi.json",
    "/nowhere",
)


def test_no_request_gets_a_bare_500(client: Client, settings: Settings, redis: Redis, digits_model: dict) -> None:
    paths = [path.format(**VALUES) for path in client.get("/openapi.json")["paths"]]
    hostile = hostile_requests([*paths, *EXISTING], COUNT, SEED)
    try:
        statuses = Counter(check_answer(settings.gateway_port, pieces) for pieces in hostile)
        assert {200, 400, 404, 405, 422} <= set(statuses), statuses
        assert requests.get(f"{client.url}/v2/health/live", timeout=10).ok
    finally:
        cancel_all(client, settings, redis)


def cancel_all(client: Client, settings: Settings, redis: Redis) -> None:
    """Cancel what the requests submitted, and wait until the trainers are done with it."""
    for kind in ("trainings", "loadtests"):
        for work in redis.zrange(f"tandem:{kind}", 0, -1):
            requests.post(f"{client.url}/v1/{kind}/{work.decode()}/cancel", timeout=10)
    wait_until(
        lambda: not any(redis.llen(f"rq:queue:{queue}") for queue in (*settings.backends, "loadtest")),
        timeout_s=300,
        message="queues still have jobs",
    )
