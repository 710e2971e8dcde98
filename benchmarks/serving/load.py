"""Sends load with wrk. wrk needs so little processor time that it hides no difference between fast servers."""

import json
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

from benchmarks.serving.workloads import Request
from shared.process import end_with_parent

SCRIPT = Path(__file__).with_name("load.lua")
TIMEOUT_S = 10
"""wrk counts a request without a response within this time as an error."""
GRACE_S = 30
"""wrk stops by itself. It is killed if it has not stopped this many seconds after its time."""


@dataclass(frozen=True)
class Load:
    """What wrk says about the load that it sent.

    Attributes:
        responses: complete responses, with any status.
        duration_s: how long it sent requests.
        p50_ms: the median latency; 0 without a response.
        p99_ms: the 99th percentile of the latency.
        status_errors: responses with a status of 400 or more.
        socket_errors: connections that failed, and requests without a response.
    """

    responses: int
    duration_s: float
    p50_ms: float
    p99_ms: float
    status_errors: int
    socket_errors: int

    @property
    def errors(self) -> int:
        """All requests that were not answered successfully."""
        return self.status_errors + self.socket_errors

    @property
    def per_second(self) -> float:
        """Successful responses per second."""
        return (self.responses - self.status_errors) / self.duration_s if self.duration_s else 0.0


def parse_output(output: str) -> Load:
    """Return the load that the line of JSON in wrk's output describes. load.lua prints that line.

    Raises:
        ValueError: there is no such line. The message has the output.
    """
    for line in output.splitlines():
        if line.startswith('{"responses":'):
            values = json.loads(line)
            return Load(
                responses=values["responses"],
                duration_s=values["duration_us"] / 1e6,
                p50_ms=values["p50_us"] / 1e3,
                p99_ms=values["p99_us"] / 1e3,
                status_errors=values["status_errors"],
                socket_errors=values["socket_errors"],
            )
    raise ValueError(f"wrk printed no result: {output}")


def send_load(request: Request, connections: int, seconds: int) -> Load:
    """Post a request again and again over persistent connections.

    Args:
        request: the request.
        connections: how many connections there are. Each waits for a response before it sends the next request.
        seconds: how long it lasts.

    Raises:
        subprocess.CalledProcessError: wrk failed.
        ValueError: wrk printed no result.
    """
    command = ["wrk", "--threads", "1", "--connections", str(connections), "--duration", f"{seconds}s"]
    command += ["--timeout", f"{TIMEOUT_S}s", "--script", str(SCRIPT), request.url, "--", str(request.body)]
    command += [text for header in request.headers.items() for text in header]
    process = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=True,
        timeout=seconds + GRACE_S,
        preexec_fn=lambda: end_with_parent(signal.SIGTERM),
    )
    return parse_output(process.stdout)
