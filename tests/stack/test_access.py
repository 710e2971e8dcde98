"""Tokens on a whole stack: made, used and revoked with the command line; load tests go on with a right of their own."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from services.cli.client import Client
from services.stack.stack import Stack, isolate_environ
from tests.polling import wait_until
from tests.running_stack import started

pytestmark = [pytest.mark.stack, pytest.mark.slow]


@pytest.fixture(scope="module")
def own_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Yield a stack with one backend, apart from the others' stack, because it will require tokens."""
    state = tmp_path_factory.mktemp("access")
    environ = isolate_environ({**os.environ, "TANDEM_BACKENDS": "pytorch", "TANDEM_CACHE_DIR": str(state)}, state)
    environ = {name: text for name, text in environ.items() if name != "TANDEM_TOKEN"}
    stack = Stack(environ, log=state / "log")
    with started(stack, state / "log"):
        yield stack


def run_tandem(stack: Stack, *arguments: str, token: str | None = None) -> subprocess.CompletedProcess[str]:
    environ = {**stack.environ, **({"TANDEM_TOKEN": token} if token else {})}
    command = [Path("tandem").absolute(), "--url", stack.url, *arguments]
    return subprocess.run(command, env=environ, capture_output=True, text=True, check=False)


def create(stack: Stack, *scopes: str, token: str | None = None) -> str:
    """Make a token with the command line, and return its text."""
    options = [part for scope in scopes for part in ("--scope", scope)]
    made = run_tandem(stack, "token", "create", "--name", "-".join(scopes), *options, token=token)
    assert made.returncode == 0, made.stderr
    return made.stdout.strip()


def test_tokens_are_made_used_and_revoked_with_the_command_line(own_stack: Stack) -> None:
    """From the first token on, a load test works too: the load tester has a right of its own, which is not shown."""
    digits = {"network": "article", "dataset": "digits", "epochs": 1}
    client = Client(own_stack.url)
    client.follow(f"/v1/trainings/{client.post('/v1/trainings', digits)['id']}")

    refused = run_tandem(own_stack, "token", "create", "--scope", "read", "--name", "first")
    assert (refused.returncode, "the first token needs the scope admin" in refused.stderr) == (1, True)
    admin = create(own_stack, "admin")
    unknown = run_tandem(own_stack, "token", "list")
    assert (unknown.returncode, "an access token is needed" in unknown.stderr) == (4, True)
    assert own_stack.read_health() == {"gateway": "up"}

    worker = create(own_stack, "train", "read", token=admin)
    listed = run_tandem(own_stack, "token", "list", token=admin).stdout
    assert "train-read" in listed
    assert worker.split("_")[1] in listed
    assert worker.split("_")[2] not in listed
    lacking = run_tandem(own_stack, "token", "list", token=worker)
    assert (lacking.returncode, "lacks the scope 'admin'" in lacking.stderr) == (4, True)

    client = Client(own_stack.url, worker)
    request = {"model": "article-digits", "target_qps": [20], "duration_s": 2, "backends": ["pytorch"]}
    submitted = client.post("/v1/loadtests", request)
    finished = client.follow(f"/v1/loadtests/{submitted['id']}")
    assert finished["results"]["pytorch"][0]["errors"] == {}
    assert finished["conditions"]["threads"] == {"pytorch": 1}, "the load tester reads /v1/status"
    assert "Bearer" not in str(finished)

    identity = worker.split("_")[1]
    assert run_tandem(own_stack, "token", "revoke", identity, token=admin).returncode == 0
    headers = {"Authorization": f"Bearer {worker}"}
    wait_until(
        lambda: requests.get(f"{own_stack.url}/v1/trainings", headers=headers, timeout=10).status_code == 401,
        message="the revoked token still counts",
        timeout_s=1,
    )
    gone = run_tandem(own_stack, "token", "revoke", identity, token=admin)
    assert (gone.returncode, "there is no token" in gone.stderr) == (1, True)
