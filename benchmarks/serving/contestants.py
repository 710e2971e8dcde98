"""A contestant of the benchmark, and the check that its answers are those of Tandem."""

import time
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import requests
from numpy.typing import NDArray

from benchmarks.serving.workloads import Request, Workload

REFERENCE = "tandem-pytorch"
"""The contestant whose probabilities the others must reproduce."""
START_TIMEOUT_S = 120
TOLERANCE = 1e-5


@dataclass
class Contestant:
    """A server and the requests that it gets.

    Attributes:
        name: what `--only` and the tables call it.
        pids: the processes that answer. Their descendants also count.
        requests: by the names of the workloads. Other workloads are not measured with this contestant.
        is_compared: whether its probabilities must be those of Tandem's PyTorch backend.
    """

    name: str
    pids: list[int]
    requests: Mapping[str, Request]
    is_compared: bool = True


def wait_for_probabilities(name: str, request: Request) -> NDArray[np.floating]:
    """Post a request until the server answers it.

    Args:
        name: the contestant, for the message.
        request: the request.

    Returns:
        The probabilities in the response, float [N, 10]; of the no-op, [0].

    Raises:
        SystemExit: there was no successful response within START_TIMEOUT_S.
    """
    deadline = time.monotonic() + START_TIMEOUT_S
    while True:
        try:
            response = requests.post(request.url, request.body.read_bytes(), headers=request.headers, timeout=10)
            response.raise_for_status()
            return request.parse_probabilities(response)
        except requests.RequestException as error:
            if time.monotonic() > deadline:
                raise SystemExit(f"{name} does not answer: {error}") from None
            time.sleep(0.5)


def check_contestants(contestants: list[Contestant], workloads: list[Workload], reference: Contestant) -> None:
    """Wait until all servers answer each workload, and compare their probabilities with the reference's.

    Args:
        contestants: the servers.
        workloads: what is measured.
        reference: Tandem's PyTorch backend.

    Raises:
        SystemExit: a server does not answer, or its probabilities differ by more than TOLERANCE.
    """
    for workload in workloads:
        # The picture of a PNG is that of the requests in JSON.
        equal_workload = "article-json" if workload.encoding == "png" else workload.name
        expected = wait_for_probabilities(reference.name, reference.requests[equal_workload])
        for contestant in contestants:
            if workload.name not in contestant.requests:
                continue
            probabilities = wait_for_probabilities(contestant.name, contestant.requests[workload.name])
            is_compared = contestant.is_compared and probabilities.size > 0
            if is_compared and not np.allclose(probabilities, expected, rtol=0, atol=TOLERANCE):
                raise SystemExit(
                    f"{workload.name}: {contestant.name} answers {probabilities}, but {REFERENCE} answers {expected}"
                )
