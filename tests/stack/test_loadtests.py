"""Load tests through the running stack, and their reports."""

import base64
import csv
import io
import json
import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
import requests
from PIL import Image

from services.cli.client import FINAL, Client
from services.gateway.reports.loadtest_report import LoadTestReport, render_csv, render_html, render_png
from shared.jobs.job_queue import MAX_WAITING_LOAD_TESTS
from shared.settings import Settings
from tests.polling import wait_until
from tests.stack.processes import find_processes

pytestmark = pytest.mark.stack


def submit(client: Client, model: dict, **request: object) -> dict:
    return client.post("/v1/loadtests", {"model": model["name"], **request})


@pytest.fixture(scope="module")
def load_test(client: Client, digits_model: dict) -> dict:
    work = submit(client, digits_model, target_qps=[20, 60], duration_s=3, seed=1)
    seen = []
    found = client.follow(f"/v1/loadtests/{work['id']}", lambda work: seen.append(work["progress"]))
    moments = [progress for progress in seen if progress]
    assert moments[-1]["of"] == 80
    assert len({progress["done"] for progress in moments}) > 1, "progress is reported while the test runs"
    return found


def fetch(client: Client, work: dict, kind: str) -> requests.Response:
    answer = requests.get(f"{client.url}/v1/loadtests/{work['id']}/report.{kind}", timeout=60)
    answer.raise_for_status()
    return answer


def test_every_backend_has_figures_at_every_rate(load_test: dict) -> None:
    assert list(load_test["results"]) == ["tensorflow", "pytorch"]
    for entries in load_test["results"].values():
        assert [entry["target_qps"] for entry in entries] == [20, 60]
        for entry in entries:
            assert entry["errors"] == {}
            assert entry["blocks"] == 20
            assert 0 < entry["p50_ms"] <= entry["p90_ms"] <= entry["p99_ms"]
            assert entry["intervals"].keys() == {"p50_ms", "p90_ms", "p99_ms", "achieved_qps"}
            assert entry["p999_ms"] is None, "180 requests are too few for a p99.9"
            assert entry["cpu_seconds_per_1000"] > 0
            assert entry["peak_memory_bytes"] > 0
            assert entry["time_split_ms"].keys() == {
                "waiting",
                "generator",
                "network",
                "gateway",
                "decode",
                "prepare",
                "queue",
                "hop",
                "compute",
            }
            assert min(entry["time_split_ms"].values()) >= 0
            assert 0 < entry["generator_p50_ms"] <= entry["generator_p99_ms"]


def test_every_backend_got_the_same_number_of_requests(load_test: dict) -> None:
    one, other = ([entry["queries"] for entry in found] for found in load_test["results"].values())
    assert one == other == [60, 180]


def test_two_backends_give_one_claim(load_test: dict) -> None:
    (claim,) = load_test["comparisons"]
    assert claim["backends"] == ["tensorflow", "pytorch"]
    assert claim["metric"] == "p99_ms"
    assert claim["confidence"] == pytest.approx(0.99)
    if claim["difference"] is None:  # the machine was too busy for the generator to keep its schedule
        assert claim["claim"].startswith("no claim: ")
        assert not load_test["valid"]
        return
    spans_zero = claim["difference"]["low"] <= 0 <= claim["difference"]["high"]
    assert (claim["claim"] == "no difference shown") == spans_zero


def test_conditions_name_machine_versions_and_model_files(load_test: dict) -> None:
    conditions = load_test["conditions"]
    assert conditions["shared_machine"]
    assert conditions["cores"] >= 1
    assert conditions["threads"] == {"tensorflow": 1, "pytorch": 1}
    assert "torch" in conditions["versions"]["pytorch"]
    assert "LoadGen" in conditions["generator"]
    assert len(conditions["models"]["tensorflow"]["weights.safetensors"]["sha256"]) == 64
    assert {"cpu", "commit", "overlapped"} <= conditions.keys()


def test_a_report_is_rebuilt_from_its_json_alone(client: Client, load_test: dict) -> None:
    report = LoadTestReport.model_validate(load_test)
    assert fetch(client, load_test, "html").text == render_html(report)
    assert fetch(client, load_test, "png").content == render_png(report)
    assert fetch(client, load_test, "csv").text.splitlines() == render_csv(report).splitlines()


def test_the_page_refers_to_no_other_file_and_is_no_mlperf_result(client: Client, load_test: dict) -> None:
    page = fetch(client, load_test, "html").text
    assert "Driven by LoadGen; not an MLPerf result" in page
    assert not re.search(r"(src|href)=\"(?!data:)", page)
    assert load_test["comparisons"][0]["claim"] in page.replace("&#39;", "'")
    (picture,) = re.findall(r"base64,([^\"]+)", page)
    assert Image.open(io.BytesIO(base64.b64decode(picture))).format == "PNG"


def test_the_table_has_a_row_for_each_backend_and_rate(client: Client, load_test: dict) -> None:
    rows = list(csv.DictReader(io.StringIO(fetch(client, load_test, "csv").text)))
    assert [(row["backend"], float(row["target_qps"])) for row in rows] == [
        (backend, rate) for backend in ("tensorflow", "pytorch") for rate in (20, 60)
    ]


@pytest.mark.parametrize("scenario", ["single_stream", "offline"])
def test_scenarios_without_a_rate(client: Client, digits_model: dict, scenario: str) -> None:
    work = submit(client, digits_model, scenario=scenario, duration_s=2, backends=["pytorch", "pytorch"])
    found = client.follow(f"/v1/loadtests/{work['id']}")
    assert list(found["results"]) == ["pytorch", "pytorch again"]
    (claim,) = found["comparisons"]
    assert claim["metric"] == ("p99_ms" if scenario == "single_stream" else "achieved_qps")
    assert fetch(client, found, "html").text.count("pytorch again") > 1


def test_a_search_finds_the_largest_rate(client: Client, digits_model: dict) -> None:
    work = submit(client, digits_model, target_qps="search", latency_bound_ms=100, duration_s=8, backends=["pytorch"])
    found = client.follow(f"/v1/loadtests/{work['id']}")
    largest = found["largest_qps"]["pytorch"]
    assert largest["low"] <= largest["value"] <= largest["high"]
    assert found["comparisons"] == []
    assert "keeps its p99 within 100.0 ms" in fetch(client, found, "html").text


def test_the_documented_command_submits_a_load_test(client: Client, digits_model: dict) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not on this machine")
    (command,) = re.findall(r"```sh\n(.*?)```", Path("docs/loadtests.md").read_text(), re.DOTALL)
    command = command.replace("http://127.0.0.1:8080", client.url).replace("article-digits", digits_model["name"])
    ran = subprocess.run(["bash", "-ec", command], capture_output=True, text=True, check=True)
    work = json.loads(ran.stdout)
    assert work["request"]["target_qps"] == [20, 50]
    requests.post(f"{client.url}/v1/loadtests/{work['id']}/cancel", timeout=10).raise_for_status()


def test_a_load_test_is_cancelled(client: Client, digits_model: dict) -> None:
    work = submit(client, digits_model, target_qps=[10], duration_s=600)
    answer = requests.post(f"{client.url}/v1/loadtests/{work['id']}/cancel", timeout=10)
    assert answer.status_code == 202
    assert client.get(f"/v1/loadtests/{work['id']}")["status"] == FINAL[2]
    report = requests.get(f"{client.url}/v1/loadtests/{work['id']}/report.html", timeout=10)
    assert report.status_code == 409
    assert "cancelled" in report.json()["detail"]


def test_a_predictor_that_is_killed_during_a_load_test_makes_it_invalid_and_its_errors_are_counted(
    client: Client, digits_model: dict, settings: Settings
) -> None:
    work = submit(client, digits_model, target_qps=[20], duration_s=10, backends=["pytorch"])
    path = f"/v1/loadtests/{work['id']}"
    wait_until(lambda: client.get(path)["progress"]["done"] >= 3, message="no block was measured")
    (predictor,) = find_processes(settings, "services.pytorch.predictor")
    os.kill(predictor, signal.SIGKILL)
    found = client.follow(path)
    assert found["status"] == "succeeded"
    assert not found["valid"]
    (result,) = found["results"]["pytorch"]
    assert result["invalid_reason"] in found["invalid_reason"]
    assert result["errors"]
    assert result["p50_ms"] > 0


def test_at_most_ten_load_tests_wait(client: Client, digits_model: dict) -> None:
    submitted = []
    try:
        for _ in range(MAX_WAITING_LOAD_TESTS + 1):
            submitted.append(submit(client, digits_model, target_qps=[10], duration_s=600)["id"])
            wait_until(
                lambda: client.get(f"/v1/loadtests/{submitted[0]}")["status"] == "running", message="none was started"
            )
        body = {"model": digits_model["name"], "target_qps": [10]}
        refused = requests.post(f"{client.url}/v1/loadtests", json=body, timeout=10)
        assert refused.status_code == 503
        assert "10 jobs of loadtest wait already" in refused.json()["detail"]
    finally:
        for identity in submitted[::-1]:
            requests.post(f"{client.url}/v1/loadtests/{identity}/cancel", timeout=10)


@pytest.mark.parametrize(
    ("request_", "status", "message"),
    [
        ({"model": "nobody", "target_qps": [10]}, 404, "ready:"),
        ({}, 422, "needs rates"),
        ({"scenario": "offline", "target_qps": [10]}, 422, "leave target_qps out"),
        ({"target_qps": []}, 422, "target_qps"),
        ({"target_qps": [0]}, 422, "target_qps"),
        ({"target_qps": [10_001]}, 422, "target_qps"),
        ({"target_qps": [10], "duration_s": 3000}, 422, "shorten duration_s"),
        ({"target_qps": [10], "backends": ["jax"]}, 422, "choose from"),
        ({"target_qps": [10], "backends": ["pytorch", "pytorch", "pytorch"]}, 422, "once"),
        ({"target_qps": [10], "latency_bound_ms": True}, 422, "latency_bound_ms"),
    ],
)
def test_a_request_that_cannot_be_measured_is_refused(
    client: Client, digits_model: dict, request_: dict, status: int, message: str
) -> None:
    body = {"model": digits_model["name"], **request_}
    answer = requests.post(f"{client.url}/v1/loadtests", json=body, timeout=10)
    assert answer.status_code == status
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert message in answer.json()["detail"]
