"""A trainer that is told to stop returns its run to the queue, and another trainer finishes it from its checkpoint.

This is what an orchestrator does when it removes a replica, moves it to another node, or installs a new version.
"""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
from redis import Redis
from rq import Queue, Worker

from services.cli.client import Client
from services.stack.stack import Stack, python_of
from shared.jobs.redis_users import name_of
from shared.models.registry import ModelRegistry
from tests.polling import wait_until
from tests.stack.test_resume import OPTIMIZERS, REQUEST

pytestmark = pytest.mark.stack

EPOCHS = REQUEST["epochs"]


@contextmanager
def further_trainer(stack: Stack, backend: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run one more trainer of a backend beside the stack's own."""
    environ = {
        **stack.environ,
        "TANDEM_REDIS_USER": name_of(backend),
        "TANDEM_REDIS_PASSWORD_FILE": str(stack.settings.state_dir / "redis/passwords" / name_of(backend)),
    }
    process = subprocess.Popen(
        [*python_of(backend), "-m", f"services.{backend}.trainer"], env=environ, stdout=subprocess.DEVNULL
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def pids_of_workers(redis: Redis, backend: str, state: str | None = None) -> set[int]:
    """Return the pids of a backend's trainers, or of those in one of RQ's states, such as "busy"."""
    workers = Worker.all(queue=Queue(backend, connection=redis, serializer="json"))
    return {worker.pid for worker in workers if worker.pid and state in (None, worker.get_state())}


@pytest.mark.parametrize("backend", ["tensorflow", "pytorch"])
def test_a_trainer_that_is_told_to_stop_hands_its_run_to_another_one(
    stack: Stack, client: Client, redis: Redis, backend: str
) -> None:
    name = f"{backend}-handed-over"
    request = {**REQUEST, "optimizer": OPTIMIZERS["sgd"], "backends": [backend], "name": name}
    undisturbed = client.follow(f"/v1/trainings/{client.post('/v1/trainings', request)['id']}")

    with further_trainer(stack, backend) as other:
        wait_until(
            lambda: other.pid in pids_of_workers(redis, backend),
            message="the second trainer did not start",
            timeout_s=120,
        )
        path = f"/v1/trainings/{client.post('/v1/trainings', request)['id']}"
        wait_until(lambda: client.get(path)["runs"][backend]["epoch"] >= 3, message="the third epoch was not reached")
        (busy,) = pids_of_workers(redis, backend, "busy")
        os.kill(busy, signal.SIGTERM)
        if busy == other.pid:
            assert other.wait(timeout=10) == 0
        stopped = client.follow(path)

    run = stopped["runs"][backend]
    assert stopped["status"] == "succeeded"
    assert 2 <= run["resumed_after"] < EPOCHS
    assert [entry["epoch"] for entry in run["history"]] == list(range(1, EPOCHS + 1))
    registry = ModelRegistry(stack.settings.model_dir)
    one, same = (registry.verify(name, backend, work["version"]).weights for work in (undisturbed, stopped))
    for kernel in one:
        np.testing.assert_allclose(one[kernel], same[kernel], rtol=0, atol=1e-6, err_msg=kernel)
