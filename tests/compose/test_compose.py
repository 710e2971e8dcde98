"""The containers: build, start, train, predict, restart."""

import json
import os
import re
import signal
import subprocess
from pathlib import Path

import pytest
import requests

from services.cli.client import ClientError
from services.stack.stack import free_ports
from tests.compose.conftest import COMMAND, ONE_SHOT, PROJECT, SERVICES, Compose
from tests.compose.security_table import describe, read_table
from tests.polling import wait_until

pytestmark = pytest.mark.compose


@pytest.fixture(scope="module")
def training(compose: Compose) -> dict:
    ready = {entry["name"]: entry["ready"] for entry in compose.client.get("/v1/datasets")["datasets"]}
    request = {"dataset": "mnist" if ready["mnist"] else "digits", "name": "in-containers"}
    training = compose.client.post("/v1/trainings", request)
    return compose.client.follow(f"/v1/trainings/{training['id']}")


def test_every_service_runs_and_is_healthy(compose: Compose) -> None:
    listing = [json.loads(line) for line in compose("ps", "-a", "--format", "json").stdout.splitlines()]
    assert {entry["Service"] for entry in listing} == SERVICES
    for entry in listing:
        if entry["Service"] in ONE_SHOT:
            assert entry["ExitCode"] == 0
        else:
            assert entry["Health"] == "healthy", entry


def test_both_backends_train_evaluate_and_predict(compose: Compose, training: dict) -> None:
    assert training["status"] == "succeeded"
    evaluation = compose.client.post("/v1/evaluations", {"model": "in-containers"})
    evaluation = compose.client.follow(f"/v1/evaluations/{evaluation['id']}")
    assert evaluation["comparisons"][0]["agreement"] >= 0.999
    picture = Path("samples/seven.png" if training["request"]["dataset"] == "mnist" else "samples/seven-8x8.png")
    answer = compose.client.predict("in-containers", picture)
    assert answer["errors"] == {}
    if training["request"]["dataset"] == "mnist":
        assert {result["class"] for result in answer["images"][0]["results"].values()} == {"7"}


@pytest.mark.parametrize(
    ("service", "framework"),
    [
        ("tensorflow-trainer", "torch"),
        ("pytorch-trainer", "tensorflow"),
        ("pytorch-trainer", "keras"),
        ("gateway", "torch"),
        ("gateway", "tensorflow"),
    ],
)
def test_an_image_contains_no_other_framework(compose: Compose, service: str, framework: str) -> None:
    answer = compose("exec", "-T", service, "python", "-c", f"import {framework}", check=False)
    assert answer.returncode != 0
    assert f"No module named '{framework}'" in answer.stderr


@pytest.mark.parametrize("service", sorted(SERVICES))
def test_every_service_has_limits_and_cannot_gain_rights(compose: Compose, service: str) -> None:
    found = compose.inspect(service)["HostConfig"]
    assert found["ReadonlyRootfs"]
    assert found["CapDrop"] == ["ALL"]
    assert not found["CapAdd"]
    assert found["SecurityOpt"] == ["no-new-privileges:true"]
    assert found["Init"]
    assert 0 < found["Memory"] <= 4 * 2**30
    assert 0 < found["PidsLimit"] <= 2048
    assert 100_000 <= found["CpuQuota"] <= 1_600_000
    assert found["LogConfig"] == {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "3"}}
    assert found["RestartPolicy"]["Name"] == ("no" if service in ONE_SHOT else "unless-stopped")


def test_a_service_whose_process_dies_is_restarted(compose: Compose) -> None:
    dead = compose.inspect("gateway")["State"]["Pid"]
    os.kill(dead, signal.SIGKILL)  # `docker kill` would suppress the restart
    wait_until(
        lambda: compose.inspect("gateway")["State"]["Pid"] not in (dead, 0) and compose.is_live(),
        message="the gateway was not restarted",
        every_s=0.2,
    )


def test_plots_work_on_a_read_only_file_system(compose: Compose) -> None:
    answer = requests.get(f"{compose.client.url}/v1/datasets/digits/samples.png", timeout=60)
    assert answer.status_code == 200
    assert answer.content.startswith(b"\x89PNG")


def test_a_model_can_be_deleted(compose: Compose) -> None:
    training = compose.client.post("/v1/trainings", {"dataset": "digits", "epochs": 1, "name": "short-lived"})
    compose.client.follow(f"/v1/trainings/{training['id']}")
    answer = requests.delete(f"{compose.client.url}/v1/models/short-lived/pytorch/1", timeout=10)
    compose.client.follow(answer.headers["Location"])
    assert compose.client.get("/v1/models/short-lived")["versions"] == {"tensorflow": [1]}


def test_logs_are_json_with_the_request_id(compose: Compose) -> None:
    body, headers = {"dataset": "digits", "epochs": 1, "name": "traced"}, {"X-Request-Id": "from-outside"}
    answer = requests.post(f"{compose.client.url}/v1/trainings", json=body, headers=headers, timeout=10)
    compose.client.follow(answer.headers["Location"])
    for service in ("gateway", "pytorch-trainer", "pytorch-predictor"):
        command = ["docker", "logs", compose.inspect(service)["Id"]]
        log = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
        entries = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
        assert "from-outside" in {entry.get("request_id") for entry in entries}, log


def test_tensorboard_shows_both_backends_of_a_training(compose: Compose, training: dict) -> None:
    port = free_ports(1)[0]
    compose.environ["TENSORBOARD_PORT"] = str(port)
    try:
        compose("--profile", "tensorboard", "up", "-d", "--wait", "tensorboard")
        assert describe(compose, "tensorboard") == read_table()["tensorboard"]
        expected = {f"in-containers/{training['version']}/{backend}" for backend in ("tensorflow", "pytorch")}
        wait_until(
            lambda: expected <= set(requests.get(f"http://127.0.0.1:{port}/data/runs", timeout=10).json()),
            message=f"TensorBoard does not list {sorted(expected)}",
            every_s=0.5,
        )
    finally:
        compose("--profile", "tensorboard", "rm", "--stop", "--force", "tensorboard")


def test_certificates_and_transplants_work_across_containers(compose: Compose) -> None:
    client = compose.client
    work = client.post("/v1/certificates", {"dataset": "digits", "steps": 3})
    assert client.follow(f"/v1/certificates/{work['id']}")["verdict"] == "rounding"
    request = {"dataset": "digits", "epochs": 1, "name": "moved", "backends": ["pytorch"]}
    client.follow(f"/v1/trainings/{client.post('/v1/trainings', request)['id']}")
    work = client.post("/v1/models/moved/pytorch/1/transplant", {"to": "tensorflow"})
    proof = client.follow(f"/v1/transplants/{work['id']}")["proof"]
    assert proof["same_class"] == proof["examples"]


def test_the_load_tester_measures_through_the_gateway(compose: Compose, training: dict) -> None:
    work = compose.client.post("/v1/loadtests", {"model": "in-containers", "target_qps": [20], "duration_s": 2})
    found = compose.client.follow(f"/v1/loadtests/{work['id']}")
    assert found["conditions"]["shared_machine"]
    assert all(entry["errors"] == {} for entries in found["results"].values() for entry in entries)
    report = requests.get(f"{compose.client.url}/v1/loadtests/{work['id']}/report.html", timeout=60)
    assert "not an MLPerf result" in report.text


def test_the_command_in_a_container_predicts_a_picture_from_the_standard_input(compose: Compose) -> None:
    command = ["docker", "compose", "-p", PROJECT, "run", "--rm", "-T", COMMAND, "predict", "-"]
    with Path("samples/seven.png").open("rb") as picture:
        answer = subprocess.run(
            command, env=compose.environ, stdin=picture, capture_output=True, text=True, check=False
        )
    assert answer.returncode == 0, answer.stderr
    header, row = answer.stdout.splitlines()
    assert header.split() == ["picture", "tensorflow", "pytorch", "agree"]
    assert re.fullmatch(r"- +7 \(.* %\) +7 \(.* %\) +yes", row)


def test_only_trainers_can_write_models(compose: Compose, training: dict) -> None:
    for service in ("gateway", "tensorflow-predictor", "pytorch-predictor"):
        assert compose("exec", "-T", service, "touch", "/state/models/x", check=False).returncode != 0
    for service in ("tensorflow-trainer", "pytorch-trainer"):
        compose("exec", "-T", service, "test", "-w", "/state/models")


def test_only_the_gateway_publishes_a_port_and_only_on_loopback(compose: Compose) -> None:
    services = compose.configuration()["services"]
    published_ports = {name: service["ports"] for name, service in services.items() if service.get("ports")}
    assert list(published_ports) == ["gateway"]
    assert published_ports["gateway"][0]["host_ip"] == "127.0.0.1"


def test_models_and_trainings_survive_removing_the_containers(compose: Compose, training: dict) -> None:
    compose("down", "--timeout", "10")
    with pytest.raises(ClientError):
        compose.client.get("/v1/trainings")
    compose("up", "-d", "--wait")
    assert compose.client.get(f"/v1/trainings/{training['id']}")["status"] == "succeeded"
    assert compose.client.get("/v1/models/in-containers")["versions"] == {"pytorch": [1], "tensorflow": [1]}
