"""Schemathesis: every response to a generated request is one that the OpenAPI document describes, and none is a 5xx."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import requests
from redis import Redis

from services.cli.client import Client

pytestmark = pytest.mark.stack

EXAMPLES = os.environ.get("TANDEM_TEST_EXAMPLES", "20")  # per operation

# A schema cannot say which models and datasets exist, so that a request that fits the schema may be refused.
EXCLUDED_CHECK = "positive_data_acceptance"


def test_every_response_is_described_by_the_openapi_document(client: Client, redis: Redis, digits_model: dict) -> None:
    schemathesis = Path(sys.executable).with_name("schemathesis")
    options = ["--checks", "all", "--exclude-checks", EXCLUDED_CHECK, "--max-examples", EXAMPLES, "--seed", "1"]
    quiet = ["--no-color", "--warnings", "off", "--generation-database", "none"]
    try:
        command = [schemathesis, "run", f"{client.url}/openapi.json", *options, *quiet]
        answer = subprocess.run(command, capture_output=True, text=True, check=False)
    finally:
        for kind in ("trainings", "loadtests"):
            for work in redis.zrange(f"tandem:{kind}", 0, -1):
                requests.post(f"{client.url}/v1/{kind}/{work.decode()}/cancel", timeout=10)
    assert answer.returncode == 0, answer.stdout
    assert re.search(r"(\d\d) selected / \1 total", answer.stdout), answer.stdout
