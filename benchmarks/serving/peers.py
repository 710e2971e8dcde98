"""Starts the other model servers ("peers"), each in its own folder and environment, and the no-op."""

import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import requests
from numpy.typing import NDArray

from benchmarks.processes import running_server
from benchmarks.serving.contestants import Contestant, wait_for_probabilities
from benchmarks.serving.load import send_load
from benchmarks.serving.workloads import (
    WORKLOADS,
    Request,
    Workload,
    create_inference_request,
    create_pixels_request,
)
from services.stack import environments

FOLDER = Path("benchmarks/peers").absolute()
MOSEC_BATCHING = "mosec-batching"
PEERS = ("triton", "mosec", MOSEC_BATCHING, "mlserver", "litserve", "flask_gunicorn")
"""The names of all peers. The name of a peer's folder is the name, or its part before a hyphen."""
NOOP = "noop"
PORTS_PER_PEER = 3
MOSEC_SETTINGS = ((4, 1), (8, 1), (16, 1), (32, 1), (32, 2))
"""Pairs of `max_batch_size` and `max_wait_time` in milliseconds, of which the best one is measured."""
TUNING_S = 2
TUNING_CONNECTIONS = 16
ARTICLE_JSON = WORKLOADS["article-json"]


def folder_of(peer: str) -> str:
    """Return the name of a peer's folder and environment."""
    return peer.partition("-")[0]


def list_available_peers(only: list[str] | None) -> list[str]:
    """Return the peers that this machine can run, and print which one is left out.

    Args:
        only: the contestants that are measured, or None for all.
    """
    peers = [peer for peer in PEERS if not only or peer in only]
    if "triton" in peers and platform.machine() != "x86_64":
        print("Triton is left out: the wheel nvidia-pytriton exists for x86-64 only", flush=True)
        peers.remove("triton")
    return peers


def make_environments(peers: list[str]) -> None:
    """Make the peers' virtual environments, `.venv/peers/<peer>`, unless they are up to date.

    A peer gets the same build of torch as Tandem's PyTorch backend.

    Raises:
        subprocess.CalledProcessError: pip failed. Its output has been printed.
    """
    names = sorted({f"peers/{folder_of(peer)}" for peer in peers})
    environments.REQUIREMENTS |= {name: f"benchmarks/{name}/requirements.txt" for name in names}
    missing = [name for name in names if not environments.is_made(name)]
    pip_arguments = environments.pip_arguments("pytorch") if missing else []
    for name in missing:
        environments.make(name, pip_arguments)


@contextmanager
def running_peer(peer: str, networks: list[str], folder: Path, ports: list[int]) -> Iterator[Contestant]:
    """Start a peer, and stop it at the end.

    Args:
        peer: one of PEERS.
        networks: the networks whose weights are in the folder.
        folder: the folder with the weights. The peer's log and the bodies of its requests are written there.
        ports: PORTS_PER_PEER free ports. The first one answers HTTP.
    """
    if peer == "triton":
        running = running_triton(networks, folder, ports[0])
    elif peer == "mosec":
        running = running_mosec(peer, (1, 0), [ARTICLE_JSON], folder, ports[0])
    elif peer == MOSEC_BATCHING:
        workloads = [each for each in WORKLOADS.values() if each.network in networks and each.encoding != "png"]
        running = running_mosec(peer, find_best_setting(folder, ports[0]), workloads, folder, ports[0])
    elif peer == "mlserver":
        running = running_mlserver(folder, ports)
    else:
        running = running_python_peer(peer, folder, ports[0])
    with running as contestant:
        yield contestant


def program_of(peer: str, name: str) -> str:
    """Return the path of a program in a peer's environment."""
    return str(Path(".venv/peers", folder_of(peer), "bin", name).absolute())


def environ_of(folder: Path) -> dict[str, str]:
    """Return the variables that every peer gets: where the networks and the weights are."""
    return {"PYTHONPATH": str(FOLDER), "TANDEM_WEIGHTS": str(folder)}


@contextmanager
def running_triton(networks: list[str], folder: Path, port: int) -> Iterator[Contestant]:
    """Start Triton with its Python backend and dynamic batching."""
    command = [program_of("triton", "python"), "start.py", str(folder / "triton"), str(port), *networks]
    with running_server(command, FOLDER / "triton", folder / "triton.log", **environ_of(folder)) as pid:
        requests_by_workload = {
            workload.name: create_inference_request(
                workload, f"http://127.0.0.1:{port}/v2/models/{workload.network}/infer", folder
            )
            for workload in WORKLOADS.values()
            if workload.network in networks and workload.encoding != "png"
        }
        yield Contestant("triton", [pid], requests_by_workload)


@contextmanager
def running_mosec(
    name: str, setting: tuple[int, int], workloads: list[Workload], folder: Path, port: int
) -> Iterator[Contestant]:
    """Start Mosec with one worker process for each route.

    Args:
        name: the contestant's name.
        setting: `max_batch_size` and `max_wait_time` in milliseconds.
        workloads: those that it serves. Requests in binary are the pixels alone.
        folder: as in `running_peer`.
        port: a free port.
    """
    routes = {workload.name: f"{workload.network}-{workload.encoding}" for workload in workloads}
    command = [program_of(name, "python"), "server.py", *map(str, setting), *dict.fromkeys(routes.values())]
    environ = {**environ_of(folder), "MOSEC_PORT": str(port), "MOSEC_ADDRESS": "127.0.0.1"}
    with running_server(command, FOLDER / "mosec", folder / f"{name}.log", **environ) as pid:
        requests_by_workload = {}
        for workload in workloads:
            url = f"http://127.0.0.1:{port}/{routes[workload.name]}"
            if workload.encoding == "json":
                requests_by_workload[workload.name] = create_json_request(workload, url, folder)
            else:
                requests_by_workload[workload.name] = create_pixels_request(workload, url, folder)
        yield Contestant(name, [pid], requests_by_workload)


def find_best_setting(folder: Path, port: int) -> tuple[int, int]:
    """Return the setting of MOSEC_SETTINGS with the most requests per second at 16 connections, and print all rates."""
    rates = {}
    for setting in MOSEC_SETTINGS:
        with running_mosec(MOSEC_BATCHING, setting, [ARTICLE_JSON], folder, port) as contestant:
            request = contestant.requests[ARTICLE_JSON.name]
            wait_for_probabilities(contestant.name, request)
            send_load(request, TUNING_CONNECTIONS, TUNING_S)  # warms the server up
            rates[setting] = send_load(request, TUNING_CONNECTIONS, TUNING_S).per_second
    for (max_batch_size, max_wait_time_ms), rate in rates.items():
        print(f"Mosec, max_batch_size={max_batch_size}, max_wait_time={max_wait_time_ms}: {rate:,.0f}/s", flush=True)
    return max(rates, key=lambda setting: rates[setting])


@contextmanager
def running_mlserver(folder: Path, ports: list[int]) -> Iterator[Contestant]:
    """Start MLServer, which takes its ports from variables."""
    variables = ("MLSERVER_HTTP_PORT", "MLSERVER_GRPC_PORT", "MLSERVER_METRICS_PORT")
    environ = {name: str(port) for name, port in zip(variables, ports, strict=True)} | environ_of(folder)
    command = [program_of("mlserver", "mlserver"), "start", "."]
    with running_server(command, FOLDER / "mlserver", folder / "mlserver.log", **environ) as pid:
        url = f"http://127.0.0.1:{ports[0]}/v2/models/article/infer"
        yield Contestant("mlserver", [pid], {ARTICLE_JSON.name: create_inference_request(ARTICLE_JSON, url, folder)})


@contextmanager
def running_python_peer(peer: str, folder: Path, port: int) -> Iterator[Contestant]:
    """Start LitServe or gunicorn. Both answer at /predict."""
    if peer == "litserve":
        command = [program_of(peer, "python"), "server.py", str(port)]
    else:
        workers = ("--workers", "1", "--worker-class", "gthread", "--threads", "8")
        command = [program_of(peer, "gunicorn"), "--bind", f"127.0.0.1:{port}", *workers, "app:app"]
    with running_server(command, FOLDER / peer, folder / f"{peer}.log", **environ_of(folder)) as pid:
        request = create_json_request(ARTICLE_JSON, f"http://127.0.0.1:{port}/predict", folder)
        yield Contestant(peer, [pid], {ARTICLE_JSON.name: request})


@contextmanager
def running_noop(folder: Path, port: int) -> Iterator[Contestant]:
    """Start the no-op server, which only parses the request, and stop it at the end."""
    command = [str(Path(".venv/gateway/bin/python").absolute()), "-m", "benchmarks.peers.noop", str(port)]
    with running_server(command, Path.cwd(), folder / f"{NOOP}.log") as pid:
        request = create_inference_request(ARTICLE_JSON, f"http://127.0.0.1:{port}/predict", folder)
        request = Request(request.url, request.body, request.headers, lambda _: np.empty(0))
        yield Contestant(NOOP, [pid], {ARTICLE_JSON.name: request})


def create_json_request(workload: Workload, url: str, folder: Path) -> Request:
    """Return an Open Inference Protocol request whose response is `{"probabilities": [[...]]}`."""
    request = create_inference_request(workload, url, folder)
    return Request(url, request.body, request.headers, parse_probabilities)


def parse_probabilities(response: requests.Response) -> NDArray[np.floating]:
    """Return the probabilities in such a response, float [N, 10]."""
    return np.array(response.json()["probabilities"])
