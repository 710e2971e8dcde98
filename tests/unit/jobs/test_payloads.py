"""Request bodies have the documented defaults and convert nothing; job payloads read what older versions wrote."""

import json

import pytest
from pydantic import ValidationError

from services.gateway.schemas.predictions import PredictionQuery
from shared.jobs.payloads import CertificateJob, CertificateRequest, EvaluationRequest, TrainingJob, TrainingRequest
from shared.network.description import PRESETS


def test_an_empty_training_has_the_documented_defaults() -> None:
    assert TrainingRequest().model_dump() == {
        "network": "article",
        "dataset": "mnist",
        "data_version": None,
        "name": None,
        "backends": None,
        "epochs": 10,
        "batch_size": 64,
        "optimizer": {
            "name": "sgd",
            "learning_rate": 0.01,
            "momentum": 0.0,
            "nesterov": False,
            "weight_decay": 0.0,
        },
        "schedule": "constant",
        "precision": "float32",
        "augmentation": None,
        "seed": 0,
        "pairing": "shared",
        "validation": 0.0,
        "publish": True,
    }


@pytest.mark.parametrize(
    "body",
    [
        {"epoch": 1},
        *({"epochs": value} for value in (0, -1, 1.5, "10", "ten", True, None, 10**9)),
        *({"batch_size": value} for value in (0, -1, 64.0, "64")),
        *({"seed": value} for value in (-1, 2**32, 0.5)),
        *({"optimizer": {"learning_rate": value}} for value in (0, -1, float("nan"), float("inf"), None)),
        {"optimizer": {"name": "magic"}},
        {"optimizer": {"momentum": 1}},
        {"optimizer": {"name": "adam", "momentum": 0.9}},
        {"backends": []},
        {"pairing": "none"},
        {"validation": -0.1},
        {"validation": 0.51},
        {"validation": "0.1"},
        {"publish": 0},
        {"publish": "no"},
        {"network": None},
        {"network": 3},
        {"name": ""},
        {"name": "a" * 5000},
    ],
    ids=str,
)
def test_a_training_with_an_invalid_field_is_refused(body: dict) -> None:
    with pytest.raises(ValidationError):
        TrainingRequest.model_validate(body)


def test_an_error_is_about_the_form_of_network_that_the_client_sent() -> None:
    network = {"input_shape": [2, 2, 1], "layers": [{"kind": "flatten"}, {"kind": "dense", "units": "many"}]}
    with pytest.raises(ValidationError) as caught:
        TrainingRequest.model_validate({"network": network})
    assert any(error["loc"][-1] == "units" for error in caught.value.errors())
    assert not any("str" in error["loc"] for error in caught.value.errors())


def test_an_evaluation_needs_only_a_model() -> None:
    assert EvaluationRequest.model_validate({"model": "m"}).split == "test"
    with pytest.raises(ValidationError, match="model"):
        EvaluationRequest.model_validate({})


def test_a_query_converts_text_to_numbers() -> None:
    assert PredictionQuery.model_validate({"model": "m", "version": "3"}).version == 3
    with pytest.raises(ValidationError):
        PredictionQuery.model_validate({"model": "m", "version": "latest"})


def test_a_training_job_reads_what_the_gateway_has_always_written() -> None:
    stored = {
        "kind": "training",
        "backend": "pytorch",
        "request_id": "r",
        "name": "article-mnist",
        "request": {**TrainingRequest().model_dump(mode="json"), "name": "article-mnist", "backends": ["pytorch"]},
        "network": {
            "input_shape": [8, 8, 1],
            "layers": [{"kind": "flatten"}, {"kind": "dense", "units": 10, "activation": None}],
        },
        "warnings": [],
        "version": 3,
        "id": "1",
        "created_at": "2026-01-01T00:00:00+00:00",
    }
    job = TrainingJob.model_validate_json(json.dumps(stored))
    assert (job.id, job.backend, job.name, job.version) == ("1", "pytorch", "article-mnist", 3)
    assert job.request.backends == ["pytorch"]
    assert job.model_dump(mode="json") == {**stored, "data_version": None}


def test_records_from_before_warnings_and_notes_can_be_read() -> None:
    """One record that cannot be read would make the whole list of trainings fail."""
    shared = {"id": "1", "backend": "", "created_at": "", "network": PRESETS["article"].network((8, 8, 1), 10)}
    training = {**shared, "kind": "training", "name": "m", "version": 1, "request": TrainingRequest()}
    assert TrainingJob.model_validate(training).warnings == []
    certificate = {**shared, "kind": "certificate", "request": CertificateRequest(), "asked": []}
    assert CertificateJob.model_validate(certificate).notes == []
