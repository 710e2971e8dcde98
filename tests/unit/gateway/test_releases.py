"""What a release is refused for when it is submitted."""

import subprocess
from pathlib import Path

import requests

from shared.models.registry import ModelRegistry
from tests.unit.gateway.gateway_process import running_gateway
from tests.unit.models.test_registry import publish


def test_a_load_test_that_takes_longer_than_a_job_may_is_refused_at_once(
    tmp_path: Path, redis_process: tuple[subprocess.Popen[bytes], int]
) -> None:
    for backend in ("pytorch", "tensorflow"):
        publish(ModelRegistry(tmp_path / "models"), backend=backend)
    settings = {"TANDEM_REDIS_URL": f"redis://127.0.0.1:{redis_process[1]}/0", "TANDEM_JOB_TIMEOUT_S": "60"}

    def release(duration_s: float) -> requests.Response:
        body = {"model": "m", "gates": {"latency": {"duration_s": duration_s}}}
        return requests.post(f"{url}/v1/releases", json=body, timeout=30)

    with running_gateway(tmp_path, settings) as url:
        refused = release(30.5)
        assert (refused.status_code, release(30).status_code) == (422, 202)
    assert refused.json()["detail"].startswith("gates.latency.duration_s: 2 backends for 30.5 s each")
