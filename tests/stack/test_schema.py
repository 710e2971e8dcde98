"""Schemathesis: every response to a generated request is one that the OpenAPI document describes, and none is a 5xx.

It has the token of an administrator, and sends requests without it, too: those have to be refused.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import requests
from redis import Redis

from services.cli.client import Client
from shared.settings import Settings
from tests.polling import wait_until

pytestmark = pytest.mark.stack

EXAMPLES = os.environ.get("TANDEM_TEST_EXAMPLES", "20")  # per operation

# A schema cannot say which models and datasets exist, so that a request that fits the schema may be refused.
EXCLUDED_CHECK = "positive_data_acceptance"
# A stream of events lasts as long as its job, which Schemathesis may have begun. test_events.py tests them.
EXCLUDED_PATHS, STREAMS = "/events$", 7


def test_every_response_is_described_by_the_openapi_document(
    client: Client, redis: Redis, settings: Settings, digits_model: dict
) -> None:
    schemathesis = Path(sys.executable).with_name("schemathesis")
    options = ["--checks", "all", "--exclude-checks", EXCLUDED_CHECK, "--max-examples", EXAMPLES, "--seed", "1"]
    options += ["--exclude-path-regex", EXCLUDED_PATHS]
    quiet = ["--request-timeout", "60", "--no-color", "--warnings", "off", "--generation-database", "none"]
    token = client.post("/v1/tokens", {"name": "schemathesis", "scopes": ["admin"]})["token"]
    headers = {"Authorization": f"Bearer {token}"}
    try:
        sent = ["--header", f"Authorization: {headers['Authorization']}"]
        command = [schemathesis, "run", f"{client.url}/openapi.json", *options, *quiet, *sent]
        answer = subprocess.run(command, capture_output=True, text=True, check=False)
    finally:
        # A search submits trainings, so searches come first.
        for kind, path in (("search", "searches"), ("training", "trainings"), ("loadtest", "loadtests")):
            for work in redis.zrange(f"tandem:{kind}s", 0, -1):
                requests.post(f"{client.url}/v1/{path}/{work.decode()}/cancel", headers=headers, timeout=10)
        # Other tests have no token, and the generated requests made more of them.
        settings.token_file.unlink()
        wait_until(lambda: client.get("/v1/networks"), message="the gateway still requires tokens")
    assert answer.returncode == 0, answer.stdout
    selected = re.search(r"(\d+) selected / (\d+) total", answer.stdout)
    assert selected, answer.stdout
    assert int(selected[2]) - int(selected[1]) == STREAMS, answer.stdout
