"""Fixtures of the stack suite: one running Tandem with real Redis, real processes and real HTTP, and its clients."""

from collections.abc import Iterator

import pytest
from redis import Redis

from services.cli.client import Client
from services.stack.stack import Stack
from shared.jobs.connection import connect
from shared.settings import Settings
from tests.running_stack import running_suite_stack


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """Yield a running stack of this suite's own."""
    with running_suite_stack() as stack:
        yield stack


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
