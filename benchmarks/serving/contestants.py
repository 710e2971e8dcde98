"""The servers that the benchmark compares: Tandem's backends, other model servers ("peers"), and a no-op."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import requests

from benchmarks.processes import find_child_processes, running_server
from services.stack import environments

PEERS_FOLDER = Path("benchmarks/peers").absolute()
PICTURE = Path("samples/seven.png").absolute()
REFERENCE = "tandem-pytorch"
"""The contestant whose probabilities the peers must reproduce."""
NOOP = "noop"
PNG_TO_BOTH = "png-both"
PORTS_PER_PEER = 3
START_TIMEOUT_S = 120
TOLERANCE = 1e-5
JSON = "application/json"


@dataclass
class Contestant:
    """A server and the request that it gets.

    Attributes:
        name: what `--only` and the tables call it.
        url: where the request is posted.
        body: the file with the request's body.
        media_type: the body's Content-Type.
        pids: the processes that answer. Their descendants also count.
        parse_probabilities: returns the probabilities in a JSON response: 10 numbers, or 10 for each backend. An empty
            list means that the response has none.
    """

    name: str
    url: str
    body: Path
    media_type: str
    pids: list[int]
    parse_probabilities: Callable[[Any], Any]


def list_peers() -> list[str]:
    """Return the names of all peers. Each is a folder with requirements."""
    return sorted(path.parent.name for path in PEERS_FOLDER.glob("*/requirements.txt"))


def is_peer(name: str) -> bool:
    """Return whether a contestant is a peer: neither Tandem nor the no-op."""
    return (PEERS_FOLDER / name).is_dir()


def make_environments(peers: list[str]) -> None:
    """Make the peers' virtual environments, `.venv/peers/<peer>`, unless they are up to date.

    A peer gets the same build of torch as Tandem's PyTorch backend.

    Raises:
        subprocess.CalledProcessError: pip failed. Its output has been printed.
    """
    names = [f"peers/{peer}" for peer in peers]
    environments.REQUIREMENTS |= {name: f"benchmarks/{name}/requirements.txt" for name in names}
    missing = [name for name in names if not environments.is_made(name)]
    pip_arguments = environments.pip_arguments("pytorch") if missing else []
    for name in missing:
        environments.make(name, pip_arguments)


def command_of(peer: str, port: int) -> list[str]:
    """Return the command that starts a peer in its folder: a program of its environment, and arguments.

    MLServer takes its ports from the environment variables that `running_peer` sets.
    """
    if peer == "mlserver":
        return ["mlserver", "start", "."]
    if peer == "litserve":
        return ["python", "server.py", str(port)]
    workers = ("--workers", "1", "--worker-class", "gthread", "--threads", "8")
    return ["gunicorn", "--bind", f"127.0.0.1:{port}", *workers, "app:app"]


@contextmanager
def running_peer(peer: str, body: Path, weights: Path, ports: list[int]) -> Iterator[Contestant]:
    """Start a peer in its own folder and environment, and stop it at the end.

    Args:
        peer: its name.
        body: the file with the request.
        weights: the weights that Tandem trained. The peer's log is written beside this file.
        ports: PORTS_PER_PEER free ports. The first one answers HTTP.
    """
    variables = ("MLSERVER_HTTP_PORT", "MLSERVER_GRPC_PORT", "MLSERVER_METRICS_PORT")
    environ = {name: str(port) for name, port in zip(variables, ports, strict=True)}
    environ |= {"PYTHONPATH": str(PEERS_FOLDER), "TANDEM_WEIGHTS": str(weights)}
    program, *arguments = command_of(peer, ports[0])
    path = Path(".venv/peers", peer, "bin", program).absolute()
    server = f"http://127.0.0.1:{ports[0]}"
    with running_server([str(path), *arguments], PEERS_FOLDER / peer, weights.with_name(peer), **environ) as pid:
        if peer == "mlserver":
            url = f"{server}/v2/models/article/infer"
            yield Contestant(peer, url, body, JSON, [pid], parse_inference_response)
        else:
            yield Contestant(peer, f"{server}/predict", body, JSON, [pid], lambda answer: answer["probabilities"][0])


@contextmanager
def running_noop(body: Path, port: int) -> Iterator[Contestant]:
    """Start the no-op server, which only parses the request, and stop it at the end.

    Args:
        body: the file with the request. The server's log is written beside this file.
        port: a free port.
    """
    program = [str(Path(".venv/gateway/bin/python").absolute()), "-m", "benchmarks.peers.noop", str(port)]
    with running_server(program, Path.cwd(), body.with_name(NOOP)) as pid:
        yield Contestant(NOOP, f"http://127.0.0.1:{port}/predict", body, JSON, [pid], lambda _: [])


def list_tandem_contestants(gateway_url: str, body: Path, backends: list[str]) -> list[Contestant]:
    """Return a contestant for each backend of the running stack, and one that posts a PNG to all backends.

    Args:
        gateway_url: of the stack that this process started.
        body: the file with the Open Inference Protocol request.
        backends: the stack's backends.
    """
    gateway = find_child_processes("services.gateway")
    predictors = {backend: find_child_processes(f"services.{backend}.predictor") for backend in backends}
    contestants = []
    for backend in backends:
        url = f"{gateway_url}/v2/models/article-{backend}/infer"
        pids = gateway + predictors[backend]
        contestants.append(Contestant(f"tandem-{backend}", url, body, JSON, pids, parse_inference_response))
    url = f"{gateway_url}/v1/predictions?model=article&backends={','.join(backends)}"
    pids = gateway + [pid for backend in backends for pid in predictors[backend]]
    contestants.append(Contestant(PNG_TO_BOTH, url, PICTURE, "image/png", pids, parse_prediction))
    return contestants


def parse_inference_response(answer: Any) -> Any:
    """Return the probabilities in a response of the Open Inference Protocol, float [10]."""
    return answer["outputs"][0]["data"]


def parse_prediction(answer: Any) -> Any:
    """Return the probabilities in a response of POST /v1/predictions, float [backends, 10]."""
    return [result["probabilities"] for result in answer["images"][0]["results"].values()]


def wait_for_probabilities(contestant: Contestant) -> np.ndarray:
    """Post the request until the server answers it.

    Returns:
        The probabilities in the response, float64 [10] or [backends, 10]; of the no-op, [0].

    Raises:
        SystemExit: there was no successful response within START_TIMEOUT_S.
    """
    deadline = time.monotonic() + START_TIMEOUT_S
    headers = {"Content-Type": contestant.media_type}
    while True:
        try:
            response = requests.post(contestant.url, contestant.body.read_bytes(), headers=headers, timeout=10)
            response.raise_for_status()
            return np.array(contestant.parse_probabilities(response.json()))
        except requests.RequestException as error:
            if time.monotonic() > deadline:
                raise SystemExit(f"{contestant.name} does not answer: {error}") from None
            time.sleep(0.5)


def check_contestants(contestants: list[Contestant], expected: np.ndarray) -> None:
    """Wait until all servers answer, and compare the probabilities with those of Tandem's PyTorch backend.

    The contestants that involve TensorFlow are not compared. TensorFlow trained its own model from the same initial
    weights, and rounding during the training makes its weights differ slightly.

    Args:
        contestants: the servers.
        expected: float64 [10].

    Raises:
        SystemExit: a server does not answer, or its probabilities differ by more than TOLERANCE.
    """
    for contestant in contestants:
        probabilities = wait_for_probabilities(contestant)
        is_compared = contestant.name not in ("tandem-tensorflow", PNG_TO_BOTH) and probabilities.size > 0
        if is_compared and not np.allclose(probabilities, expected, rtol=0, atol=TOLERANCE):
            raise SystemExit(f"{contestant.name} answers {probabilities}, but {REFERENCE} answers {expected}")
