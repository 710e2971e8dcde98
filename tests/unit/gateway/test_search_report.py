"""The report of a search shows every trial, at any stage of the search, and refers to no other file."""

import re
from typing import Any

import pytest
from pydantic import JsonValue

from services.gateway.reports.search_plots import describe_value
from services.gateway.reports.search_report import SearchReport, render_search

REQUEST = {
    **{"dataset": "digits", "space": "quick", "trials": 4, "epochs": 2, "sampler": "tpe", "pruner": "hyperband"},
    **{"seed": 0, "backends": ["one", "two"], "name": "<b>", "validation": 0.2, "training": {}},
}


def trial(number: int, status: str, steps: list[float], **parameters: JsonValue) -> dict[str, Any]:
    backends = {
        backend: {"validation_loss": steps[-1], "validation_accuracy": 0.9, "epochs": len(steps)}
        for backend in REQUEST["backends"]
        if steps
    }
    value = steps[-1] if steps and status != "failed" else None
    error = "one: <i>the loss is not finite" if status == "failed" else None
    return {
        **{"number": number, "status": status, "steps": steps, "value": value, "parameters": parameters},
        **{"training": "a" * 32, "backends": backends, "error": error},
    }


TRIALS = [
    trial(1, "finished", [0.5, 0.4], network={"family": "mlp"}, rate=0.001, **{"network.mlp.depth": 1}),
    trial(2, "pruned", [5.0], network="lenet5", rate=0.1),
    trial(3, "finished", [0.5, 0.3], network={"family": "mlp"}, rate=0.01, **{"network.mlp.depth": 2}),
    trial(4, "failed", [], network="$a_b$", rate=0.01),
]


def report(trials: list[dict[str, Any]], **more: Any) -> str:
    fields = {
        **{
            "id": "b" * 32,
            "status": "running",
            "name": "<b>",
            "request": REQUEST,
            "created_at": "2026-01-01T10:00:00Z",
        },
        **{"error": None, "warnings": [], "progress": None, "best": None, "importance": None, "agreement": []},
        **{"winner": None, "trials": trials},
    }
    return render_search(SearchReport.model_validate({**fields, **more}))


def test_a_finished_search_shows_its_winner_and_every_trial() -> None:
    agreement = {"backends": ["one", "two"], "trials": 2, "rank_correlation": None, "low": None, "high": None}
    winner = {"training": "c" * 32, "name": "<b>", "version": 7, "test_accuracy": {"one": 0.9625, "two": 0.97}}
    page = report(
        TRIALS,
        status="succeeded",
        best=3,
        importance={"rate": 0.75, "network": 0.25},
        agreement=[{**agreement, "same_winner": False, "winners": {"one": 1, "two": 3}}],
        winner=winner,
    )
    for text in (
        "&lt;b&gt; version 7",
        "96.25 %",
        "Trial 3 was the best",
        "75.00 %",
        "Trial 1 wins in one, trial 3 in two",
    ):
        assert text in page
    assert page.count('<tr class="') == len(TRIALS)
    assert "one: &lt;i&gt;the loss is not finite" in page
    assert "<script" not in page
    assert not re.findall(r'(?:src|href)="(?!data:)', page)


@pytest.mark.parametrize("count", [1, 2, 4])
def test_a_search_that_goes_on_has_a_report(count: int) -> None:
    page = report(TRIALS[:count], best=1)
    assert "The search is running" in page


@pytest.mark.parametrize(
    ("value", "text"),
    [
        *((True, "true"), (None, "null"), (0.0123456, "0.0123"), (64, "64"), ("adam", "adam")),
        *(({"name": "sgd", "momentum": 0.9}, "sgd, momentum 0.9"), ({"family": "cnn"}, "cnn")),
        ({"input_shape": [8, 8, 1], "layers": []}, "described network"),
    ],
)
def test_values_are_described_in_a_few_words(value: JsonValue, text: str) -> None:
    assert describe_value(value) == text
