"""A search on a real stack: trials in every backend, a winner that is published, and clear ends."""

import pytest
import requests

from services.cli.client import Client
from shared.models.registry import ModelRegistry
from shared.settings import Settings
from tests.polling import wait_until

pytestmark = pytest.mark.stack

SMALL_MLP = {"family": "mlp", "depth": {"range": [1, 2]}, "width": {"choice": [16, 32]}}


def search(client: Client, **request: object) -> dict:
    """Submit a search, wait for its end, and return it."""
    path = f"/v1/searches/{client.post('/v1/searches', {'dataset': 'digits', **request})['id']}"
    wait_until(
        lambda: client.get(path)["status"] not in ("queued", "running"),
        message=lambda: f"the search did not end: {client.get(path)['progress']}",
        timeout_s=240,
        every_s=0.2,
    )
    return client.get(path)


def test_a_search_publishes_the_best_trial_and_never_reads_the_test_split_before(
    client: Client, settings: Settings
) -> None:
    space = {"network": SMALL_MLP, "optimizer.learning_rate": {"log_range": [0.01, 0.5]}}
    found = search(client, name="found", trials=4, epochs=2, space=space, training={"batch_size": 32}, seed=1)
    assert found["status"] == "succeeded", found["error"]
    assert [trial["number"] for trial in found["trials"]] == [1, 2, 3, 4]
    assert found["progress"]["trials_done"] == 4
    trainings = [client.get(f"/v1/trainings/{trial['training']}") for trial in found["trials"]]
    for trial, training in zip(found["trials"], trainings, strict=True):
        assert training["name"] == f"found-trial-{trial['number']}"
        assert training["version"] is None
        histories = {backend: run["history"][: len(trial["steps"])] for backend, run in training["runs"].items()}
        losses = [[epoch["validation_loss"] for epoch in history] for history in histories.values()]
        assert trial["steps"] == [pytest.approx(sum(epoch) / len(epoch)) for epoch in zip(*losses, strict=True)]
        assert all(epoch["test_loss"] is None for history in histories.values() for epoch in history)
        assert {backend: part["validation_loss"] for backend, part in trial["backends"].items()} == {
            backend: history[-1]["validation_loss"] for backend, history in histories.items()
        }
    finished = [trial for trial in found["trials"] if trial["status"] == "finished"]
    assert found["best"] == min(finished, key=lambda trial: trial["value"])["number"]
    assert set(found["agreement"][0]["winners"]) == set(settings.backends)

    winner = found["winner"]
    training = client.get(f"/v1/trainings/{winner['training']}")
    best = trainings[found["best"] - 1]["request"]
    different = {"name", "validation", "publish"}
    assert training["request"].keys() - different == best.keys() - different
    assert all(training["request"][field] == best[field] for field in best.keys() - different)
    assert (training["request"]["validation"], training["request"]["publish"]) == (0.0, True)
    assert training["request"]["schedule"] == "cosine"
    evaluation = client.get(f"/v1/evaluations/{winner['evaluation']}")
    assert winner["test_accuracy"] == {name: part["accuracy"] for name, part in evaluation["results"].items()}
    registry = ModelRegistry(settings.model_dir)
    assert all(registry.versions("found", backend) == [winner["version"]] for backend in settings.backends)
    assert [name for name in registry.names() if name.startswith("found-trial")] == []

    page = requests.get(f"{client.url}/v1/searches/{found['id']}/report.html", timeout=60)
    assert page.status_code == 200
    assert "script-src" not in page.headers["Content-Security-Policy"]
    assert f"found version {winner['version']}" in page.text
    (listed, *_) = client.get("/v1/searches")["searches"]
    assert (listed["id"], listed["trials"]) == (found["id"], [])


def test_a_grid_ends_when_it_is_exhausted_and_a_search_without_a_good_trial_says_why(client: Client) -> None:
    """A network of four layers with a learning rate of 100 diverges in its first epoch."""
    space = {"network": {**SMALL_MLP, "depth": 4, "width": 64}, "optimizer.learning_rate": {"choice": [90, 100]}}
    space["network"] |= {"activation": "relu", "dropout": 0.0}  # type: ignore[operator]
    training = {"optimizer": {"momentum": 0.99}, "batch_size": 8}
    found = search(client, name="lost", trials=20, epochs=2, space=space, sampler="grid", training=training)
    assert found["status"] == "failed"
    assert found["error"].startswith("none of the 2 trials could be trained to the end; the first: ")
    assert "the loss is not finite after epoch 1: lower the learning rate" in found["error"]
    assert [trial["status"] for trial in found["trials"]] == ["failed", "failed"]
    answer = requests.get(f"{client.url}/v1/searches/{found['id']}/report.html", timeout=10)
    assert answer.status_code == 409


def test_cancelling_a_search_cancels_the_training_that_it_waits_for(client: Client) -> None:
    request = {"dataset": "digits", "name": "stopped", "epochs": 200, "pruner": "none", "training": {"batch_size": 2}}
    request["space"] = {"optimizer.learning_rate": {"choice": [0.01, 0.02]}}
    path = f"/v1/searches/{client.post('/v1/searches', request)['id']}"
    wait_until(
        lambda: any(trial["steps"] for trial in client.get(path)["trials"]), message="no trial finished an epoch"
    )
    assert requests.post(f"{client.url}{path}/cancel", timeout=10).status_code == 202
    assert client.get(path)["status"] == "cancelled"
    (trial,) = client.get(path)["trials"]
    wait_until(
        lambda: client.get(f"/v1/trainings/{trial['training']}")["status"] == "cancelled",
        message="the training of a cancelled search goes on",
    )
    wait_until(lambda: is_idle(client), message="the pipelines still perform the cancelled search")
    assert len(client.get(path)["trials"]) == 1
    assert requests.post(f"{client.url}{path}/cancel", timeout=10).status_code == 202


def is_idle(client: Client) -> bool:
    return all(worker["job"] is None for worker in client.get("/v1/status")["pipelines"]["trainers"])
