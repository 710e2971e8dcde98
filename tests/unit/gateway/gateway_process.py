"""A gateway as a process, without Redis and without predictors: `python -m tests.unit.gateway.gateway_process`.

It is the real server. Only the limit of failed logins can be lifted, because a test of all routes sends many.
"""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import requests

from services.gateway.access.gate import FAILED_LOGINS_PER_S, GatewayGate
from services.gateway.app import EVENT_LOOP_ROUTES, PUBLIC_PATHS, create_app
from services.gateway.context import Context
from services.stack.stack import free_ports
from shared.settings import Settings
from shared.web.server import HttpServer, serve
from tests.polling import wait_until


def load(settings: Settings, failed_logins_per_s: float) -> HttpServer:
    """Return the gateway's server with another limit of failed logins; 0 is no limit."""
    context = Context.from_settings(settings)
    app = create_app(context)
    gate = GatewayGate(settings, context.tokens, context.job_key, app.extensions[PUBLIC_PATHS], failed_logins_per_s)
    return HttpServer(app, app.extensions[EVENT_LOOP_ROUTES], 4, context.start, gate=gate)


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
def running_gateway(
    state: Path, more: Mapping[str, str] | None = None, failed_logins_per_s: float = FAILED_LOGINS_PER_S
) -> Iterator[str]:
    """Run a gateway, and yield its URL.

    Args:
        state: the folder of its state.
        more: further settings.
    """
    (port,) = free_ports(1)
    command = [sys.executable, "-m", "tests.unit.gateway.gateway_process", str(failed_logins_per_s)]
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
    serve(lambda: load(found, float(sys.argv[1])), found, found.gateway_port)
