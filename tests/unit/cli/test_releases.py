"""`tandem release`: which gates are sent, what is printed, the exit status of a refusal, and the way back."""

import json

import pytest

from tests.unit.cli.fake_gateway import Answer, fake_gateway


def gate(name: str, status: str = "passed", summary: str = "") -> dict:
    return {"gate": name, "status": status, "summary": summary, "figures": {}, "pictures": []}


RELEASE = {
    "id": "1",
    "status": "succeeded",
    "name": "m",
    "version": 2,
    "created_at": "2026-01-01T00:00:00Z",
    "error": None,
    "warnings": [],
    "training": None,
    "gates": [gate("data", summary="All is well."), gate("accuracy"), gate("latency", "skipped")],
    "stable": {"before": 1, "after": 2},
    "reverted_at": None,
}
REFUSED = {
    **RELEASE,
    "status": "failed",
    "error": "gate accuracy: worse than stable.",
    "gates": [gate("data"), gate("accuracy", "failed", "Worse than stable."), gate("latency", "skipped")],
    "stable": {"before": 1, "after": None},
}


@pytest.mark.parametrize(
    ("options", "gates"),
    [
        ([], None),
        (["--without", "latency", "--without", "data"], {"latency": None, "data": None}),
        (["--exports", "onnx, html"], {"exports": ["onnx", "html"]}),
        (["--rate", "50", "--latency-bound", "20"], {"latency": {"rate": 50, "bound_ms": 20}}),
        (["--gates", '{"accuracy": {"margin": 0.02}}'], {"accuracy": {"margin": 0.02}}),
    ],
)
def test_the_gates_are_those_of_the_options(options: list[str], gates: dict | None) -> None:
    with fake_gateway({"POST /v1/releases": Answer(RELEASE, 202)}) as gateway:
        assert gateway.run("release", "m", *options, "--detach").stdout == "1\n"
        sent = json.loads(gateway.requests[0][2])
    assert sent == {"model": "m", **({"gates": gates} if gates else {})}


def test_a_release_shows_its_gates_and_how_to_undo_it() -> None:
    answers = {"POST /v1/releases": Answer(RELEASE, 202), "GET /v1/releases/1": Answer(RELEASE)}
    with fake_gateway(answers) as gateway:
        shown = gateway.run("release", "--train", '{"dataset": "digits"}')
        assert json.loads(gateway.requests[0][2]) == {"train": {"dataset": "digits"}}
    assert shown.exit_code == 0, shown.output
    assert "release: gate data passed: All is well." in shown.stdout
    assert "stable is version 2. Before: 1." in shown.stdout
    assert "tandem release --revert 1" in shown.stdout


def test_a_refused_release_says_which_gate_failed_and_ends_with_status_1() -> None:
    answers = {"POST /v1/releases": Answer(REFUSED, 202), "GET /v1/releases/1": Answer(REFUSED)}
    with fake_gateway(answers) as gateway:
        shown = gateway.run("release", "m")
    assert shown.exit_code == 1
    assert "release: gate accuracy failed: Worse than stable." in shown.stdout
    assert "gate accuracy: worse than stable." in shown.stderr


def test_a_release_is_reverted_by_its_id_or_its_path() -> None:
    reverted = {**RELEASE, "reverted_at": "2026-01-01T00:00:00Z"}
    with fake_gateway({"POST /v1/releases/1/revert": Answer(reverted, 202)}) as gateway:
        for identity in ("1", "releases/1"):
            assert gateway.run("release", "--revert", identity).stdout == "m: stable is version 1 again.\n"


def test_exactly_one_subject_is_named() -> None:
    with fake_gateway({}) as gateway:
        for arguments in ([], ["m", "--revert", "1"], ["m", "--train", "{}"]):
            assert gateway.run("release", *arguments).exit_code == 2
        assert not gateway.requests


@pytest.mark.parametrize("gates", ["[]", "5", '{"latency": 5}', '{"latency": [1]}', '{"latency": "x"}'])
def test_gates_that_the_options_cannot_change_are_wrong_usage(gates: str) -> None:
    with fake_gateway({}) as gateway:
        shown = gateway.run("release", "m", "--gates", gates, "--rate", "3")
        assert (shown.exit_code, gateway.requests) == (2, [])
    assert "--gates" in shown.stderr
