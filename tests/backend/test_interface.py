"""The backend is a module with the functions of `shared.backend.Backend`."""

import inspect
import json
import os
import subprocess
import sys

import numpy as np
import pytest

from shared.backend import Backend, Scores
from shared.data.batches import EpochBatches
from shared.network.description import PRESETS
from shared.network.optimizers import Adam
from tests.backend.random_examples import random_split

FUNCTIONS = {name: each for name, each in vars(Backend).items() if inspect.isfunction(each) and name[0] != "_"}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_function_exists_with_the_parameters_of_the_protocol(backend, name):
    expected = list(inspect.signature(FUNCTIONS[name]).parameters)[1:]  # a function of a module has no self
    assert list(inspect.signature(getattr(backend, name)).parameters) == expected


def test_the_functions_are_in_the_order_of_the_protocol(backend):
    lines = [inspect.getsourcelines(getattr(backend, name))[1] for name in FUNCTIONS]
    assert lines == sorted(lines)


def test_the_name_is_the_name_of_the_folder(backend):
    assert backend.__name__ == f"services.{backend.NAME}.backend"


def test_versions_returns_packages_and_their_versions(backend):
    assert backend.versions()
    assert all(isinstance(text, str) and text for pair in backend.versions().items() for text in pair)


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_results_are_numpy_arrays_and_plain_python_numbers(backend, precision):
    network = PRESETS["article"].network((4, 4, 1), 3)
    data = random_split(network, 8, seed=0)
    model, loss = backend.define_network(network, None, precision), backend.define_loss()
    optimizer = backend.define_optimizer(Adam(), model)
    [(epoch_loss, accuracy)] = backend.train(model, optimizer, loss, data, 4, [EpochBatches(np.arange(8))])
    result = backend.evaluate(model, loss, data)
    assert type(result) is Scores
    assert [type(number) for number in (epoch_loss, accuracy, result.loss, result.accuracy)] == [float] * 4
    weights = backend.save(model).values()
    assert {(type(array), array.dtype.name) for array in weights} == {(np.ndarray, precision)}
    # Probabilities are float32, whatever precision the model has.
    probabilities = [result.probabilities, backend.serve(model)(data.images)]
    assert {(type(array), array.dtype.name) for array in probabilities} == {(np.ndarray, "float32")}
    assert {type(array) for array in backend.save_optimizer(optimizer).values()} == {np.ndarray}


@pytest.fixture(scope="module")
def fresh(backend, pytestconfig):
    """The results of four configurations, each in a new process."""
    ways = ["cuda:1", "auto:1", "auto:1", "auto:2"]
    ended = subprocess.run(
        [sys.executable, "-m", "tests.backend.fresh_process", backend.NAME, *ways],
        cwd=pytestconfig.rootpath,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
        stdout=subprocess.PIPE,
        timeout=120,
        check=True,
    )
    return json.loads(ended.stdout.splitlines()[-1])


def test_cuda_without_a_gpu_is_refused_and_the_message_names_no_setting(fresh):
    # A trainer and a predictor have a setting each, and add its name.
    assert "GPU" in fresh[0]["unavailable"]
    assert "TANDEM_" not in fresh[0]["unavailable"]


def test_the_device_auto_is_the_cpu_if_there_is_no_gpu(fresh):
    assert [each["device"] for each in fresh[1:]] == ["cpu"] * 3


def test_the_seed_decides_the_frameworks_own_initial_weights_and_order(fresh):
    _, one, again, two = fresh
    for what in ("begun", "trained"):
        assert one[what] == again[what]
        assert one[what] != two[what]
