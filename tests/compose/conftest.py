"""The containers of one project, built and started once for all tests. Without a Docker engine, all are skipped."""

import contextlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping

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

    Args:
        project: The name of the project.
        files: Compose files; none means docker-compose.yml.
        variables: What the environment of the commands has in addition.

    Attributes:
        environ: The environment of the commands.
        client: A client of the project's gateway.
    """

    def __init__(self, project: str, files: tuple[str, ...] = (), variables: Mapping[str, str] | None = None) -> None:
        port = free_ports(1)[0]
        self.environ = {**os.environ, "TANDEM_GATEWAY_PORT": str(port), **(variables or {})}
        self.client = Client(f"http://127.0.0.1:{port}")
        self._command = ["docker", "compose", "-p", project, *(part for file in files for part in ("-f", file))]

    def __call__(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        command = [*self._command, *arguments]
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


@contextlib.contextmanager
def started(compose: Compose) -> Iterator[Compose]:
    """Start a project, and remove it in the end. If something fails, its logs are printed."""
    try:
        compose("up", "-d", "--build", "--wait")
        yield compose
    except BaseException:
        print(compose("logs", "--no-color", "--tail", "50", check=False).stdout)
        raise
    finally:
        compose("down", "-v", "--timeout", "10", check=False)


@pytest.fixture(scope="session")
def engine() -> None:
    """Skip the test if no Docker engine answers."""
    if not engine_answers():
        pytest.skip("no Docker engine answers on this machine")


@pytest.fixture(scope="session")
def compose(engine: None) -> Iterator[Compose]:
    with started(Compose(PROJECT)) as compose:
        compose("build", COMMAND)
        yield compose
