"""A gateway as a process, without Redis and without predictors: `python -m tests.unit.gateway.gateway_process`."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import requests

from services.gateway.app import create_server
from services.gateway.context import Context
from services.stack.stack import free_ports
from shared.settings import Settings
from shared.web.server import serve
from tests.polling import wait_until


def environ_of(state: Path, port: int, more: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment of a gateway whose Redis and predictors do not run."""
    return {
        **{name: text for name, text in os.environ.items() if not name.startswith("TANDEM_")},
        "TANDEM_STATE_DIR": str(state),
        "TANDEM_GATEWAY_PORT": str(port),
        "TANDEM_REDIS_URL": "redis://127.0.0.1:1/0",
        "TANDEM_PREDICTOR_URL": "http://127.0.0.1:1",
        "TANDEM_LOGS": "text",
        **(more or {}),
    }


@contextlib.contextmanager
def running_gateway(state: Path, more: Mapping[str, str] | None = None) -> Iterator[str]:
    """Run a gateway, and yield its URL.

    Args:
        state: the folder of its state.
        more: further settings.
    """
    (port,) = free_ports(1)
    command = [sys.executable, "-m", "tests.unit.gateway.gateway_process"]
    process = subprocess.Popen(command, env=environ_of(state, port, more))
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until(lambda: requests.get(f"{url}/v2/health/live", timeout=5), message="the gateway does not answer")
        yield url
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0


if __name__ == "__main__":
    found = Settings.from_env()
    serve(lambda: create_server(Context.from_settings(found)), found, found.gateway_port)
