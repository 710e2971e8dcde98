"""A run whose process is killed resumes from its checkpoint and ends with the weights of an undisturbed run."""

import os
import signal

import numpy as np
import pytest
from redis import Redis

from services.cli.client import Client
from shared.models.registry import ModelRegistry
from shared.settings import Settings
from tests.polling import wait_until
from tests.stack.processes import find_work_horses

pytestmark = pytest.mark.stack

# What a checkpoint must contain: momentum, moving averages, and the state of dropout and augmentation.
REQUEST = {
    "dataset": "digits",
    "epochs": 40,
    "batch_size": 16,
    "augmentation": {"shift": 0.1, "rotate": 10, "zoom": 0.1},
    "network": {
        "input_shape": [8, 8, 1],
        "layers": [
            {"kind": "conv2d", "filters": 6, "kernel_size": 3, "activation": "relu"},
            {"kind": "batch_norm"},
            {"kind": "conv2d", "filters": 4, "kernel_size": 3, "activation": "relu"},
            {"kind": "flatten"},
            {"kind": "dropout", "rate": 0.3},
            {"kind": "dense", "units": 10},
        ],
    },
}
OPTIMIZERS = {"sgd": {"name": "sgd", "momentum": 0.9}, "adam": {"name": "adam"}}


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("pairing", ["shared", "native"])
@pytest.mark.parametrize("backend", ["tensorflow", "pytorch"])
def test_a_killed_run_ends_with_the_weights_of_an_undisturbed_run(
    client: Client, redis: Redis, settings: Settings, backend: str, pairing: str, optimizer: str
) -> None:
    name = f"resumed-{backend}-{pairing}-{optimizer}"
    request = {**REQUEST, "optimizer": OPTIMIZERS[optimizer], "pairing": pairing, "backends": [backend], "name": name}
    undisturbed = client.follow(f"/v1/trainings/{client.post('/v1/trainings', request)['id']}")
    path = f"/v1/trainings/{client.post('/v1/trainings', request)['id']}"
    wait_until(lambda: client.get(path)["runs"][backend]["epoch"] >= 3, message="the third epoch was not reached")
    (horse,) = find_work_horses(redis, backend)
    os.kill(horse, signal.SIGKILL)
    killed = client.follow(path)

    run = killed["runs"][backend]
    assert 2 <= run["resumed_after"] < 40
    assert undisturbed["runs"][backend]["resumed_after"] is None
    assert [entry["epoch"] for entry in run["history"]] == list(range(1, 41))
    registry = ModelRegistry(settings.model_dir)
    one, other = (registry.verify(name, backend, work["version"]).weights for work in (undisturbed, killed))
    for kernel in one:
        np.testing.assert_allclose(one[kernel], other[kernel], rtol=0, atol=1e-6, err_msg=kernel)
    assert not list((settings.model_dir / ".scratch").glob(f"training-{killed['id']}-*"))


def test_a_run_with_an_unreadable_checkpoint_starts_again_and_succeeds(
    client: Client, redis: Redis, settings: Settings
) -> None:
    request = {**REQUEST, "backends": ["pytorch"], "name": "torn-checkpoint", "epochs": 60}
    training = client.post("/v1/trainings", request)
    path, file = f"/v1/trainings/{training['id']}", f".scratch/training-{training['id']}-pytorch.safetensors"
    wait_until(lambda: client.get(path)["runs"]["pytorch"]["epoch"] >= 3, message="the third epoch was not reached")
    (horse,) = find_work_horses(redis)
    os.kill(horse, signal.SIGSTOP)
    checkpoint = settings.model_dir / file
    checkpoint.write_bytes(checkpoint.read_bytes()[:-10])
    os.kill(horse, signal.SIGKILL)
    run = client.follow(path)["runs"]["pytorch"]
    assert run["resumed_after"] is None
    assert run["epoch"] == 60
