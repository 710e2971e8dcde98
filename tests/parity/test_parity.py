"""All backends compute the same numbers for random networks and optimisers.

Each framework runs in its own process and environment. The test compares what `trace` returns, in float64.
TANDEM_TEST_EXAMPLES is the number of random networks, by default 25. They are the same in every run.
"""

import os
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import pytest
from hypothesis import given, note
from hypothesis import settings as limits

from shared.network import reference
from shared.network.description import Network
from shared.network.layers import Dense, Flatten
from shared.network.optimizers import Sgd
from shared.settings import Settings
from tests.backend.distance import distance, distances
from tests.backend.random_examples import OPTIONS, Example, examples, few, options, random_split, random_weights
from tests.parity.worker import Worker

EXAMPLES = int(os.environ.get("TANDEM_TEST_EXAMPLES") or 25)
STEPS = 20
# A double has 16 digits. Sums, and batch norm of almost equal values, lose up to five of them. Rounding errors grow
# over twenty steps, which loses two more.
ONE_STEP, ALL_STEPS = 1e-10, 1e-8

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def workers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Worker]]:
    backends = Settings.from_env().backends
    for backend in backends:
        if not Path(".venv", backend, "bin/python").is_file():
            pytest.skip(f"the environment of {backend} is missing: run `make setup`")
    log = tmp_path_factory.mktemp("log")
    workers = {backend: Worker(backend, log / backend) for backend in backends}
    yield workers
    for worker in workers.values():
        worker.stop()


def test_the_backends_agree_on_any_network_and_any_optimizer(
    workers: dict[str, Worker], capsys: pytest.CaptureFixture[str]
) -> None:
    seen: set[str] = set()
    networks = set()
    worst = {"logits": 0.0, "gradients": 0.0, "weights": 0.0, "against NumPy": 0.0}

    def check(what: str, found: float, limit: float) -> None:
        worst[what] = max(worst[what], found)
        assert found <= limit, what

    @limits(few, max_examples=EXAMPLES)
    @given(example=examples())
    def agree(example: Example) -> None:
        note(repr(example))
        network, optimizer, seed = example
        seen.update(options(network, optimizer))
        networks.add(network)
        weights = random_weights(network, seed)
        batches = [random_split(network, 4 + seed % 5, [seed, index]) for index in range(STEPS)]
        for worker in workers.values():
            worker.ask(network, optimizer, weights, batches)
        found = {backend: worker.answer() for backend, worker in workers.items()}
        for one, other in combinations(found.values(), 2):
            check("logits", distances(one[0].outputs[-1:], other[0].outputs[-1:]), ONE_STEP)
            check("gradients", distance(one[0].gradients, other[0].gradients), ONE_STEP)
            check("weights", distance(one[-1].weights, other[-1].weights), ALL_STEPS)
        _, *expected = reference.forward(network, weights, batches[0].images)
        for steps in found.values():
            check("against NumPy", distances(steps[0].outputs, expected), ONE_STEP)

    try:
        agree()
    finally:
        with capsys.disabled():
            print(f"\nlargest differences in {len(networks)} networks: ", end="")
            print(", ".join(f"{what} {value:.1e}" for what, value in worst.items()))
    assert len(networks) >= EXAMPLES
    assert seen == OPTIONS


def test_the_error_of_a_worker_that_died_contains_its_output(workers: dict[str, Worker], tmp_path: Path) -> None:
    backend = list(workers)[-1]
    network = Network(input_shape=(2, 2, 1), layers=(Flatten(), Dense(units=2)))
    worker = Worker(backend, tmp_path / "log")
    try:
        # Without weights, the backend fails with a KeyError for the first one.
        worker.ask(network, Sgd(), {}, [random_split(network, 4, 0)])
        with pytest.raises(RuntimeError, match=rf"(?s){backend} ended with 1:.*KeyError"):
            worker.answer()
    finally:
        worker.stop()
