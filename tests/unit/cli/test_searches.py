"""`tandem search`: what is sent, what is printed while it runs and at its end, and where the report goes."""

import json
from pathlib import Path

from tests.unit.cli.fake_gateway import Answer, fake_gateway


def trial(number: int, status: str, value: float | None, **losses: float) -> dict:
    return {
        "number": number,
        "status": status,
        "value": value,
        "steps": [] if value is None else [value],
        "parameters": {
            "network.width": 64,
            "optimizer": {"name": "sgd", "momentum": 0.9},
            "optimizer.learning_rate": 0.01234,
        },
        "training": "t",
        "backends": {backend: {"validation_loss": loss} for backend, loss in losses.items()},
        "error": None,
    }


SEARCH = {
    "id": "1",
    "status": "succeeded",
    "name": "search-digits",
    "request": {"backends": ["a", "b"], "dataset": "digits"},
    "created_at": "2026-01-01T00:00:00Z",
    "error": None,
    "warnings": [],
    "progress": {"trials_done": 3, "trials": 3, "epochs_spent": 3, "doing": ""},
    "trials": [
        trial(1, "finished", 0.5, a=0.5, b=0.5),
        trial(2, "pruned", 0.9, a=0.9, b=0.9),
        trial(3, "failed", None),
    ],
    "best": 1,
    "importance": None,
    "agreement": [
        {
            "backends": ["a", "b"],
            "rank_correlation": 0.9,
            "low": 0.5,
            "high": 1.0,
            "same_winner": False,
            "winners": {"a": 1, "b": 4},
        }
    ],
    "winner": {"name": "search-digits", "version": 3, "test_accuracy": {"a": 0.95, "b": 0.94}},
}


def test_a_search_sends_what_the_user_gave_and_shows_its_trials_and_the_winner(tmp_path: Path) -> None:
    space = tmp_path / "space.json"
    space.write_text('{"batch_size": {"choice": [8, 16]}}')
    report = tmp_path / "report.html"
    answers = {
        "POST /v1/searches": Answer({**SEARCH, "status": "queued"}, 202),
        "GET /v1/searches/1": Answer(SEARCH),
        "GET /v1/searches/1/report.html": Answer(b"<!doctype html>", media_type="text/html"),
    }
    with fake_gateway(answers) as gateway:
        options = ["--dataset", "digits", "--space", str(space), "--trials", "3", "--training", '{"network": "cnn"}']
        shown = gateway.run("search", *options, "--report", str(report))
        sent = json.loads(gateway.requests[0][2])
    assert shown.exit_code == 0, shown.output
    assert sent == {
        "dataset": "digits",
        "space": {"batch_size": {"choice": [8, 16]}},
        "trials": 3,
        "training": {"network": "cnn"},
    }
    lines = shown.stdout.splitlines()
    settings = "width 64, optimizer sgd momentum 0.9, learning_rate 0.0123"
    assert f"search: trial 1 finished, validation loss 0.5000: {settings}" in lines
    assert f"search: trial 3 failed: {settings}" in lines
    assert "    2  pruned          0.9000  0.9000  0.9000" in lines
    assert (
        "a and b rank the trials with a correlation of 0.90 (0.50 to 1.00). Trial 1 is the best in a, trial 4 in b."
        in lines
    )
    assert "Right answers on the test split: a 95.00 % and b 94.00 %." in lines
    assert report.read_bytes() == b"<!doctype html>"


def test_the_space_quick_is_sent_by_its_name_and_a_search_can_be_followed_and_cancelled() -> None:
    running = {**SEARCH, "status": "running", "winner": None}
    answers = {
        "POST /v1/searches": Answer(running, 202),
        "GET /v1/searches/1": Answer(SEARCH),
        "POST /v1/searches/1/cancel": Answer({**SEARCH, "status": "cancelled"}, 202),
    }
    with fake_gateway(answers) as gateway:
        begun = gateway.run("search", "--space", "quick", "--detach")
        followed = gateway.run("follow", "1")
        cancelled = gateway.run("cancel", "searches/1")
        assert json.loads(gateway.requests[0][2]) == {"space": "quick"}
    assert begun.stdout == "1\n"
    assert "The winner is search-digits version 3." in followed.stdout
    assert cancelled.stdout == "searches/1: cancelled.\n"
