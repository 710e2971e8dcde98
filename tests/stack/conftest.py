"""One running Tandem for the whole suite: real Redis, real processes, real HTTP."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from services.cli.client import Client
from services.stack.stack import Stack, isolate_environ
from shared.settings import Settings


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    root = Path(".tandem").absolute()
    root.mkdir(exist_ok=True)
    state = Path(tempfile.mkdtemp(prefix="test-", dir=root))
    own = state / "own"  # tests put datasets of their own there
    own.mkdir()
    mnist = Path(os.environ.get("TANDEM_DATA_DIR", "data"), "mnist").absolute()
    if mnist.is_dir():
        (own / "mnist").symlink_to(mnist)
    environ = {"TANDEM_CACHE_DIR": str(root / "data"), **os.environ, "TANDEM_DATA_DIR": str(own)}
    environ = isolate_environ(environ, state)
    stack = Stack(environ, log=state / "log")
    try:
        stack.start()
        stack.wait_ready()
        yield stack
    except BaseException:
        print((state / "log").read_text(errors="replace")[-5000:])
        raise
    finally:
        stack.stop()
    shutil.rmtree(state)


@pytest.fixture(scope="session")
def settings(stack: Stack) -> Settings:
    return stack.settings


@pytest.fixture(scope="session")
def client(stack: Stack) -> Client:
    return Client(stack.url)


@pytest.fixture(scope="session")
def redis(stack: Stack) -> Iterator[Redis]:
    with Redis.from_url(stack.settings.redis_url) as connection:
        yield connection


@pytest.fixture(scope="session")
def has_mnist(client: Client) -> None:
    ready = {entry["name"]: entry["ready"] for entry in client.get("/v1/datasets")["datasets"]}
    if not ready["mnist"]:
        pytest.skip("MNIST is not here: set TANDEM_DATA_DIR to a folder that holds mnist/*.gz")


@pytest.fixture(scope="session")
def digits_model(client: Client) -> dict:
    """A finished training of mlp on digits in every backend."""
    request = {
        "network": "mlp",
        "dataset": "digits",
        "epochs": 20,
        "batch_size": 32,
        "optimizer": {"name": "sgd", "learning_rate": 0.2},
    }
    training = client.post("/v1/trainings", request)
    return client.follow(f"/v1/trainings/{training['id']}")
