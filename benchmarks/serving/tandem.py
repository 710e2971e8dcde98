"""Starts Tandem's stacks for the benchmark: of today, with two gateway processes, and of another commit."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import requests
from numpy.typing import NDArray

from benchmarks.processes import find_child_processes
from benchmarks.serving.contestants import Contestant
from benchmarks.serving.workloads import PICTURE, WORKLOADS, Request, create_inference_request
from benchmarks.stack import copy_commit, running_copy, running_stack
from services.cli.client import Client
from shared.settings import Settings

TODAY = "tandem"
TWO_GATEWAYS = "two-gateways"
BASE = "base"


@dataclass
class TandemStack:
    """A running stack.

    Attributes:
        name: the first part of its contestants' names.
        client: a client of its gateway.
        state: the folder with its state.
    """

    name: str
    client: Client
    state: Path

    def find_processes(self, module: str) -> list[int]:
        """Return the ids of the stack's processes that run a Python module."""
        return find_child_processes(module, TANDEM_STATE_DIR=str(self.state))


@contextmanager
def running_tandem(name: str, state: Path, environ: Mapping[str, str] | None = None) -> Iterator[TandemStack]:
    """Start a stack of this working tree, and stop it at the end.

    Args:
        name: the first part of its contestants' names.
        state: the folder for its state.
        environ: settings that are added.
    """
    with running_stack(state, environ) as (client, _):
        yield TandemStack(name, client, state)


@contextmanager
def running_base(commit: str, folder: Path) -> Iterator[TandemStack]:
    """Start the stack of another commit, with this project's virtual environments, and stop it at the end.

    Args:
        commit: the commit, as git accepts it.
        folder: an empty folder for its files and its state.
    """
    place, state = folder / "files", folder / "state"
    place.mkdir(parents=True)
    copy_commit(place, commit, ("stack", "gateway", "loadtest", *Settings.from_env().backends))
    with running_copy(place, state) as client:
        yield TandemStack(BASE, client, state)


def train(client: Client, network: str) -> int:
    """Train a network for an epoch of MNIST, and return the version.

    Only `article` is trained in all backends. The other networks take longer, and only PyTorch's are measured.
    """
    request: dict[str, Any] = {"network": network, "dataset": "mnist", "name": network, "epochs": 1}
    if network != "article":
        request["backends"] = ["pytorch"]
    return int(client.follow(f"/v1/trainings/{client.post('/v1/trainings', request)['id']}")["version"])


def write_weights(client: Client, network: str, version: int, folder: Path) -> None:
    """Write PyTorch's weights of a network to `<network>.safetensors`.

    Raises:
        requests.HTTPError: the gateway does not return the weights.
    """
    url = f"{client.url}/v1/models/{network}/pytorch/{version}/weights.safetensors"
    response = requests.get(url, timeout=10)
    response.raise_for_status()
    (folder / f"{network}.safetensors").write_bytes(response.content)


def list_tandem_contestants(stack: TandemStack, networks: list[str], folder: Path) -> list[Contestant]:
    """Return a contestant for each measured backend of a stack, and one that posts a PNG to all backends.

    All backends of today's stack are measured, and PyTorch's of the other stacks.

    Args:
        stack: the running stack.
        networks: those that it has trained.
        folder: the folder for the bodies of the requests.
    """
    backends = Settings.from_env().backends
    measured = backends if stack.name == TODAY else ("pytorch",)
    gateway = stack.find_processes("services.gateway")
    predictors = {backend: stack.find_processes(f"services.{backend}.predictor") for backend in backends}
    workloads = [workload for workload in WORKLOADS.values() if workload.network in networks]
    contestants = []
    for backend in measured:
        requests_by_workload = {
            workload.name: create_inference_request(
                workload, f"{stack.client.url}/v2/models/{workload.network}-{backend}/infer", folder
            )
            for workload in workloads
            if workload.encoding != "png" and (backend == "pytorch" or workload.name == "article-json")
        }
        pids = gateway + predictors[backend]
        # TensorFlow trains its own model. Rounding makes its weights differ slightly.
        contestants.append(Contestant(f"{stack.name}-{backend}", pids, requests_by_workload, backend == "pytorch"))
    url = f"{stack.client.url}/v1/predictions?model=article&backends={','.join(backends)}"
    request = Request(url, PICTURE, {"Content-Type": "image/png"}, parse_prediction)
    pids = gateway + [pid for backend in backends for pid in predictors[backend]]
    contestants.append(Contestant(f"{stack.name}-both", pids, {"png-both": request}))
    return contestants


def parse_prediction(response: requests.Response) -> NDArray[np.floating]:
    """Return PyTorch's probabilities in a response of POST /v1/predictions, float [images, 10]."""
    return np.array([image["results"]["pytorch"]["probabilities"] for image in response.json()["images"]])
