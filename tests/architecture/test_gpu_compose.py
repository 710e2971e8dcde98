"""docker-compose.gpu.yml changes what a GPU needs, and nothing else."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

BASE, GPU = Path("docker-compose.yml"), Path("docker-compose.gpu.yml")
CHANGED = {"build", "deploy", "environment", "image", "mem_limit"}  # what the override may set


@pytest.fixture(scope="module")
def base() -> dict[str, Any]:
    return yaml.safe_load(BASE.read_text())["services"]


@pytest.fixture(scope="module")
def gpu() -> dict[str, Any]:
    return yaml.safe_load(GPU.read_text())["services"]


def test_every_service_with_a_frameworks_image_gets_the_image_with_cuda(
    base: dict[str, Any], gpu: dict[str, Any]
) -> None:
    with_framework = {
        name: service["image"]
        for name, service in base.items()
        if service["image"] in {"tandem-tensorflow", "tandem-pytorch"}
    }
    assert {name: service["image"] for name, service in gpu.items()} == {
        name: f"{image}-cuda" for name, image in with_framework.items()
    }
    assert all(set(service) <= CHANGED for service in gpu.values())


@pytest.mark.parametrize("backend", ["tensorflow", "pytorch"])
def test_trainers_use_the_gpu_and_predictors_may(gpu: dict[str, Any], backend: str) -> None:
    trainer, predictor = gpu[f"{backend}-trainer"], gpu[f"{backend}-predictor"]
    assert trainer["environment"] == {"TANDEM_DEVICE": "${TANDEM_DEVICE:-cuda}"}
    assert "environment" not in predictor
    for service in (trainer, predictor):
        (device,) = service["deploy"]["resources"]["reservations"]["devices"]
        assert device == {"driver": "nvidia", "count": 1, "capabilities": ["gpu"]}


@pytest.mark.parametrize("backend", ["tensorflow", "pytorch"])
def test_each_build_argument_is_one_of_the_dockerfile(gpu: dict[str, Any], backend: str) -> None:
    (argument,) = gpu[f"{backend}-trainer"]["build"]["args"]
    assert f"\nARG {argument}=" in Path(f"services/{backend}/Dockerfile").read_text()


def test_compose_accepts_both_files_together() -> None:
    compose = ["docker", "compose"]
    if not shutil.which("docker") or subprocess.run([*compose, "version"], capture_output=True, check=False).returncode:
        pytest.skip("docker compose is not installed")
    command = [*compose, "-f", str(BASE), "-f", str(GPU), "config", "--format", "json"]
    services = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)["services"]
    trainer, predictor = services["pytorch-trainer"], services["pytorch-predictor"]
    assert trainer["environment"]["TANDEM_DEVICE"] == "cuda"
    assert trainer["environment"]["TANDEM_REDIS_USER"] == "pytorch-trainer"
    assert trainer["build"]["args"]["TORCH_INDEX"].startswith("https://download.pytorch.org/whl/cu")
    assert predictor["environment"]["TANDEM_PREDICTION_DEVICE"] == "cpu"
    for service in (trainer, predictor):
        assert service["read_only"]
        assert service["cap_drop"] == ["ALL"]
        assert service["deploy"]["resources"]["reservations"]["devices"]
