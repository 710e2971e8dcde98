"""A training that publishes nothing has no version and no figures of the test split: the command shows others."""

import json

from tests.unit.cli.fake_gateway import Answer, fake_gateway


def training(**figures: float | None) -> dict:
    kept = {"test_loss": None, "test_accuracy": None, "validation_loss": None, "validation_accuracy": None, **figures}
    epoch = {"epoch": 1, "loss": 1.0, "accuracy": 0.25, "seconds": 1.0, **kept}
    run = {"status": "succeeded", "epoch": 1, "epochs": 1, "history": [epoch], "error": None, "overlapped": False}
    return {
        "id": "1",
        "status": "succeeded",
        "name": "trial",
        "version": None,
        "created_at": "2026-01-01T00:00:00Z",
        "runs": {"pytorch": {**run, "examples_per_second": 5.0}},
        "comparisons": [],
    }


def test_the_figures_are_those_of_the_validation_share() -> None:
    job = training(validation_loss=0.5, validation_accuracy=0.75)
    answers = {"POST /v1/trainings": Answer(job, 202), "GET /v1/trainings/1": Answer(job)}
    with fake_gateway(answers) as gateway:
        shown = gateway.run("train", "--validation", "0.2", "--no-publish")
        sent = json.loads(gateway.requests[0][2])
    assert shown.exit_code == 0, shown.output
    assert sent == {"network": "article", "validation": 0.2, "publish": False}
    assert "epoch 1 of 1: loss 1.0000, accuracy 25.00 %, validation accuracy 75.00 %" in shown.stdout
    assert "trial, on the validation share" in shown.stdout
    assert "None" not in shown.stdout
    assert "tandem compare" not in shown.stdout


def test_without_a_validation_share_they_are_those_of_the_training_split() -> None:
    job = training()
    answers = {
        "GET /v1/trainings/1": Answer(job),
        "GET /v1/trainings?limit=20": Answer({"trainings": [job]}),
    }
    with fake_gateway(answers) as gateway:
        shown = gateway.run("follow", "trainings/1")
        listed = gateway.run("jobs")
    assert "epoch 1 of 1: loss 1.0000, accuracy 25.00 %\n" in shown.stdout
    assert "trial, on the training split" in shown.stdout
    assert listed.stdout.rstrip().endswith("trial")
