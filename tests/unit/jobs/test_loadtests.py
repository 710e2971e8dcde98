"""The types of a load test: which requests are refused, and how a job is parsed."""

import pytest
from pydantic import ValidationError

from shared.jobs.loadtests import LoadTestJob, LoadTestRequest


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "needs rates"),
        ({"scenario": "offline", "target_qps": [10]}, "leave target_qps out"),
        ({"target_qps": []}, "target_qps"),
        ({"target_qps": [0]}, "target_qps"),
        ({"target_qps": ["10"]}, "target_qps"),
        ({"target_qps": "find"}, "target_qps"),
        ({"target_qps": [10], "duration_s": 0.5}, "duration_s"),
        ({"target_qps": [10], "rate": 3}, "rate"),
    ],
)
def test_a_request_that_cannot_be_measured_is_refused(body: dict, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        LoadTestRequest.model_validate({"model": "m", **body})


def test_a_job_is_parsed_from_the_json_of_its_payload() -> None:
    request = LoadTestRequest(model="m", target_qps=[20, 50.5])
    payload = {
        "kind": "loadtest",
        "id": "1",
        "backend": "loadtest",
        "created_at": "2026-01-01T00:00:00+00:00",
        "request": request.model_dump(mode="json"),
        "model": "m",
        "version": 3,
        "dataset": "digits",
        "sides": {"pytorch": "pytorch", "pytorch again": "pytorch"},
        "models": {"pytorch": {"weights.safetensors": {"sha256": "0" * 64, "size": 12}}},
    }
    job = LoadTestJob.model_validate(payload)
    assert job.request == request
    assert job.models["pytorch"]["weights.safetensors"].size == 12
    assert job.model_dump(mode="json", exclude={"request_id"}) == payload
