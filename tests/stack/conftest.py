"""Fixtures of the stack suite: one running Tandem with real Redis, real processes and real HTTP, and its clients."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from services.cli.client import Client
from services.stack.stack import Stack, isolate_environ
from shared.jobs.connection import connect
from shared.settings import Settings


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """Yield a running stack with free ports and a state folder of its own, which is removed if all went well."""
    root = Path(".tandem").absolute()
    root.mkdir(exist_ok=True)
    state = Path(tempfile.mkdtemp(prefix="test-", dir=root))
    own = state / "own"  # tests create their datasets here
    own.mkdir()
    mnist = Path(os.environ.get("TANDEM_DATA_DIR", "data"), "mnist").absolute()
    if mnist.is_dir():
        (own / "mnist").symlink_to(mnist)
    environ = {"TANDEM_CACHE_DIR": str(root / "data"), **os.environ, "TANDEM_DATA_DIR": str(own)}
    environ = isolate_environ(environ, state)
    stack = Stack(environ, log=state / "log")
    try:
        stack.start()
        stack.wait_ready(timeout_s=300)
        yield stack
    except BaseException:
        print((state / "log").read_text(errors="replace")[-5000:])
        raise
    finally:
        stack.stop()
    shutil.rmtree(state)


@pytest.fixture(scope="session")
def settings(stack: Stack) -> Settings:
    """Return the settings of the running stack."""
    return stack.settings


@pytest.fixture(scope="session")
def client(stack: Stack) -> Client:
    """Return a client of the running stack's gateway."""
    return Client(stack.url)


@pytest.fixture(scope="session")
def redis(stack: Stack) -> Iterator[Redis]:
    """Yield a connection to the running stack's Redis, as a user that may do everything."""
    with connect(stack.operator_settings, patient=True) as connection:
        yield connection


@pytest.fixture(scope="session")
def has_mnist(client: Client) -> None:
    """Skip the test if the stack has no MNIST."""
    ready = {entry["name"]: entry["ready"] for entry in client.get("/v1/datasets")["datasets"]}
    if not ready["mnist"]:
        pytest.skip("MNIST is missing: set TANDEM_DATA_DIR to a folder that contains mnist/*.gz")


@pytest.fixture(scope="session")
def digits_model(client: Client) -> dict:
    """Train `mlp` on `digits` in every backend and return the finished training. Its model is `mlp-digits`."""
    request = {
        "network": "mlp",
        "dataset": "digits",
        "epochs": 20,
        "batch_size": 32,
        "optimizer": {"name": "sgd", "learning_rate": 0.2},
    }
    training = client.post("/v1/trainings", request)
    return client.follow(f"/v1/trainings/{training['id']}")
