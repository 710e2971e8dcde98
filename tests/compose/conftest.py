"""The containers of one project, built and started once for all tests. Without a Docker engine, all are skipped."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator

import pytest

from services.cli.client import Client, ClientError
from services.stack.stack import free_ports

PROJECT = "tandem-test"
COMMAND = "tandem"  # is started by `docker compose run` only
ONE_SHOT = {"datasets", "secrets"}  # they run once and exit with 0
SERVICES = {
    "datasets",
    "gateway",
    "loadtest",
    "pipelines",
    "pytorch-predictor",
    "pytorch-trainer",
    "redis",
    "secrets",
    "tensorflow-predictor",
    "tensorflow-trainer",
}


def engine_answers() -> bool:
    return (
        bool(shutil.which("docker"))
        and not subprocess.run(["docker", "info"], capture_output=True, check=False).returncode
    )


class Compose:
    """Runs `docker compose` on a project of this test's own.

    Attributes:
        environ: The environment of the commands.
        client: A client of the project's gateway.
    """

    def __init__(self, port: int) -> None:
        self.environ = {**os.environ, "TANDEM_GATEWAY_PORT": str(port)}
        self.client = Client(f"http://127.0.0.1:{port}")

    def __call__(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        command = ["docker", "compose", "-p", PROJECT, *arguments]
        answer = subprocess.run(command, env=self.environ, text=True, capture_output=True, check=False)
        if check:
            assert answer.returncode == 0, answer.stdout + answer.stderr
        return answer

    def inspect(self, service: str) -> dict:
        identity = self("ps", "-a", "-q", service).stdout.strip()
        answer = subprocess.run(["docker", "inspect", identity], capture_output=True, text=True, check=True)
        return json.loads(answer.stdout)[0]

    def is_live(self) -> bool:
        try:
            return self.client.get("/v2/health/live")["live"]
        except ClientError:
            return False

    def configuration(self) -> dict:
        return json.loads(self("--profile", "cli", "config", "--format", "json").stdout)


@pytest.fixture(scope="session")
def compose() -> Iterator[Compose]:
    if not engine_answers():
        pytest.skip("no Docker engine answers on this machine")
    compose = Compose(free_ports(1)[0])
    try:
        compose("up", "-d", "--build", "--wait")
        compose("build", COMMAND)
        yield compose
    except BaseException:
        print(compose("logs", "--no-color", "--tail", "50", check=False).stdout)
        raise
    finally:
        compose("down", "-v", "--timeout", "10", check=False)
