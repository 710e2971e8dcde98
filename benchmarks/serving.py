"""How Tandem serves beside its peers: the same network, the same weights, the same picture, on the same machine.

    .venv/test/bin/python -m benchmarks.serving [--rounds 5] [--seconds 4] [--only tandem-pytorch,mlserver,...]

Each contestant has one worker process in an environment of its own and torch on one thread, and gets the same bytes:
an Open Inference Protocol request with one picture. Tandem answers it over two hops, through its gateway; a peer is
asked directly. `png-both` posts the picture as a PNG, and both backends answer. `noop` only parses the same body, in
the gateway's server. Before anything is timed, each answer is held against Tandem's.

All are asked by turns with `hey`, on kept connections; who begins moves on from round to round.
"""

import argparse
import csv
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, median_grouped
from typing import Any

import numpy as np
import requests
from PIL import Image
from rich.console import Console
from rich.table import Table

from benchmarks.stack import running_stack
from services.stack import environments
from services.stack.stack import free_ports
from shared.process import end_with_parent

PEERS = Path("benchmarks/peers").absolute()
PICTURE = Path("samples/seven.png").absolute()
TRAINING = {"network": "article", "dataset": "mnist", "name": "article", "epochs": 1}
CONNECTIONS = (1, 16, 64)
WARM_UP_S = 2
START_TIMEOUT_S = 120
TOLERANCE = 1e-5
RESOLUTION_MS = 0.1  # of hey's times: the median lies somewhere within its step
JSON = "application/json"
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass
class Contestant:
    """One who is asked.

    Args:
        probabilities: reads an answer; float [10], or one such for each backend.
        roots: its processes, with all their children.
    """

    name: str
    url: str
    body: Path
    media_type: str
    roots: list[int]
    probabilities: Callable[[Any], Any] = lambda _: []
    rates: dict[int, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Measured:
    """What one turn of one contestant brought."""

    per_second: float
    p50_ms: float
    p99_ms: float
    errors: int
    cpu_s_per_1000: float


# Processes ------------------------------------------------------------------------------------------------------------


def tree(pids: list[int]) -> set[int]:
    """Processes and all their children."""
    found: set[int] = set()
    todo = list(pids)
    while todo:
        pid = todo.pop()
        found.add(pid)
        for children in Path(f"/proc/{pid}/task").glob("*/children"):
            todo += map(int, children.read_text().split())
    return found


def cpu_seconds(pids: list[int]) -> float:
    """What living processes have used; none of them ends while it is measured."""
    fields = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in tree(pids)]
    return sum(int(stat[11]) + int(stat[12]) for stat in fields) / TICKS


def peak_mb(pids: list[int]) -> float:
    """The sum of the processes' largest resident sizes: what they share is counted for each."""
    lines = [line for pid in tree(pids) for line in Path(f"/proc/{pid}/status").read_text().splitlines()]
    return sum(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1000


def running(module: str) -> list[int]:
    """Children of this process that run a module."""
    commands = {pid: Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0") for pid in tree([os.getpid()])}
    return [pid for pid, command in commands.items() if module.encode() in command]


@contextmanager
def started(command: list[str], folder: Path, log: Path, **environ: str) -> Iterator[int]:
    """A server with all its processes; its process id."""
    with log.open("wb") as output:
        server = subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, **environ},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=lambda: end_with_parent(signal.SIGTERM),  # noqa: PLW1509 - no threads run here yet
        )
    try:
        yield server.pid
    finally:
        server.terminate()
        try:
            server.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()


# Contestants ----------------------------------------------------------------------------------------------------------


def make_environments(peers: list[str]) -> None:
    """Under `.venv/peers/`, from each peer's requirements; torch comes as PyTorch's backend has it."""
    names = [f"peers/{peer}" for peer in peers]
    environments.REQUIREMENTS |= {name: f"benchmarks/{name}/requirements.txt" for name in names}
    missing = [name for name in names if not environments.is_made(name)]
    extra = environments.pip_arguments("pytorch") if missing else []
    for name in missing:
        environments.make(name, extra)


def command(peer: str, port: int) -> list[str]:
    """How a peer is started, in its folder, with the programs of its environment."""
    if peer == "mlserver":
        return ["mlserver", "start", "."]
    if peer == "litserve":
        return ["python", "server.py", str(port)]
    bound = ("--bind", f"127.0.0.1:{port}", "--workers", "1")
    return ["gunicorn", *bound, "--worker-class", "gthread", "--threads", "8", "app:app"]


@contextmanager
def start_peer(peer: str, body: Path, weights: Path, ports: list[int]) -> Iterator[Contestant]:
    """A peer in its own folder and environment."""
    names = ("MLSERVER_HTTP_PORT", "MLSERVER_GRPC_PORT", "MLSERVER_METRICS_PORT")
    environ = {name: str(port) for name, port in zip(names, ports, strict=True)}
    environ |= {"PYTHONPATH": str(PEERS), "TANDEM_WEIGHTS": str(weights)}
    program, *arguments = command(peer, ports[0])
    path = Path(".venv/peers", peer, "bin", program).absolute()
    with started([str(path), *arguments], PEERS / peer, weights.with_name(peer), **environ) as pid:
        if peer == "mlserver":
            url = f"http://127.0.0.1:{ports[0]}/v2/models/article/infer"
            yield Contestant(peer, url, body, JSON, [pid], lambda answer: answer["outputs"][0]["data"])
        else:
            url = f"http://127.0.0.1:{ports[0]}/predict"
            yield Contestant(peer, url, body, JSON, [pid], lambda answer: answer["probabilities"][0])


@contextmanager
def start_noop(body: Path, port: int) -> Iterator[Contestant]:
    program = [str(Path(".venv/gateway/bin/python").absolute()), "-m", "benchmarks.peers.noop", str(port)]
    with started(program, Path.cwd(), body.with_name("noop")) as pid:
        yield Contestant("noop", f"http://127.0.0.1:{port}/predict", body, JSON, [pid])


def tandems(url: str, body: Path, backends: list[str]) -> list[Contestant]:
    """Tandem with each backend, and with all at once."""
    gateway = running("services.gateway")
    predictors = {backend: running(f"services.{backend}.predictor") for backend in backends}
    found = []
    for backend in backends:
        address = f"{url}/v2/models/article-{backend}/infer"
        pids = gateway + predictors[backend]
        found.append(
            Contestant(
                f"tandem-{backend}",
                address,
                body,
                JSON,
                pids,
                lambda answer: answer["outputs"][0]["data"],
            )
        )
    address = f"{url}/v1/predictions?model=article&backends={','.join(backends)}"
    results = lambda answer: [each["probabilities"] for each in answer["images"][0]["results"].values()]  # noqa: E731
    pids = gateway + [pid for backend in backends for pid in predictors[backend]]
    return [*found, Contestant("png-both", address, PICTURE, "image/png", pids, results)]


def wait_and_check(contestant: Contestant, expected: np.ndarray | None) -> np.ndarray:
    """Ask until there is an answer; its probabilities, that must be the expected ones."""
    deadline = time.monotonic() + START_TIMEOUT_S
    headers = {"Content-Type": contestant.media_type}
    while True:
        try:
            answer = requests.post(contestant.url, contestant.body.read_bytes(), headers=headers, timeout=10)
            answer.raise_for_status()
            break
        except requests.RequestException as error:
            if time.monotonic() > deadline:
                raise SystemExit(f"{contestant.name} does not answer: {error}") from None
            time.sleep(0.5)
    found = np.array(contestant.probabilities(answer.json()))
    if expected is not None and found.size and not np.allclose(found, expected, rtol=0, atol=TOLERANCE):
        raise SystemExit(f"{contestant.name} does not answer what Tandem does: {found} and {expected}")
    return found


# Measuring ------------------------------------------------------------------------------------------------------------


def hey(contestant: Contestant, connections: int, *amount: str) -> list[tuple[float, float, str]]:
    """Each answer's beginning and duration in seconds, and its status."""
    command = ["hey", *amount, "-c", str(connections), "-o", "csv", "-m", "POST"]
    command += ["-T", contestant.media_type, "-D", str(contestant.body), contestant.url]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    rows = csv.DictReader(answer.stdout.splitlines())
    return [(float(row["offset"]), float(row["response-time"]), row["status-code"]) for row in rows]


def rate(rows: list[tuple[float, float, str]]) -> float:
    """Answers with 200 in a second."""
    if not rows:
        return 0.0
    begun, ended = min(row[0] for row in rows), max(row[0] + row[1] for row in rows)
    return sum(row[2] == "200" for row in rows) / (ended - begun)


def measure(contestant: Contestant, connections: int, seconds: float) -> Measured:
    """One turn: as many requests as the warm-up says fit the time, so that those without an answer can be counted."""
    count = max(connections, round(contestant.rates[connections] * seconds / connections) * connections)
    before = cpu_seconds(contestant.roots)
    rows = hey(contestant, connections, "-n", str(count))
    used = cpu_seconds(contestant.roots) - before
    latencies = sorted(row[1] * 1000 for row in rows) or [0.0]
    return Measured(
        rate(rows),
        median_grouped(latencies, RESOLUTION_MS),
        latencies[min(len(latencies) - 1, round(len(latencies) * 0.99))],
        count - sum(row[2] == "200" for row in rows),
        used / count * 1000,
    )


def rounds(contestants: list[Contestant], count: int, seconds: float) -> dict[str, dict[int, list[Measured]]]:
    """All turns; who begins moves on from round to round."""
    for contestant in contestants:
        for connections in CONNECTIONS:
            warm = hey(contestant, connections, "-z", f"{WARM_UP_S}s")
            contestant.rates[connections] = rate(warm[len(warm) // 2 :])
    found: dict[str, dict[int, list[Measured]]] = {
        contestant.name: {connections: [] for connections in CONNECTIONS} for contestant in contestants
    }
    for number in range(count):
        first = number % len(contestants)
        for connections in CONNECTIONS:
            for contestant in contestants[first:] + contestants[:first]:
                found[contestant.name][connections].append(measure(contestant, connections, seconds))
        print(f"round {number + 1} of {count}", flush=True)
    return found


# Tables ---------------------------------------------------------------------------------------------------------------

Found = dict[str, dict[int, list[Measured]]]


def middle(found: Found, name: str, connections: int, part: str) -> float:
    return median(getattr(turn, part) for turn in found[name][connections])


def best_peer(found: Found, connections: int) -> str:
    """The peer with the most requests in a second."""
    peers = [name for name in found if (PEERS / name).is_dir()]
    return max(peers, key=lambda name: middle(found, name, connections, "per_second"), default="")


def ratio(found: Found, part: str, one: tuple[str, int], other: tuple[str, int]) -> tuple[float, float, float] | None:
    """The ratio of two medians, and the least and the largest of a round."""
    if one[0] not in found or other[0] not in found:
        return None
    pairs = zip(found[one[0]][one[1]], found[other[0]][other[1]], strict=True)
    each = [getattr(a, part) / getattr(b, part) for a, b in pairs]
    return middle(found, *one, part) / middle(found, *other, part), min(each), max(each)


def told(found: tuple[float, float, float] | None) -> str:
    return "{:.2f} ({:.2f} to {:.2f})".format(*found) if found else ""


def table(found: Found, connections: int, peaks: dict[str, float]) -> Table:
    best = best_peer(found, connections)
    told_of = Table(title=f"{connections} connection{'s' * (connections > 1)}, medians of {len(found[best][1])} rounds")
    for column in ("", "requests/s", "p50 ms", "p99 ms", "errors", "CPU s / 1,000", "peak MB", f"rate / {best}'s"):
        told_of.add_column(column, justify="right" if column else "left")
    for name, turns in found.items():
        told_of.add_row(
            name,
            f"{middle(found, name, connections, 'per_second'):,.0f}",
            f"{middle(found, name, connections, 'p50_ms'):.2f}",
            f"{middle(found, name, connections, 'p99_ms'):.2f}",
            str(sum(turn.errors for turn in turns[connections])),
            f"{middle(found, name, connections, 'cpu_s_per_1000'):.2f}",
            f"{peaks[name]:.0f}",
            told(ratio(found, "per_second", (name, connections), (best, connections))),
        )
    return told_of


def aims(found: Found) -> Table:
    """What was aimed at beside what was found, of one run."""
    told_of = Table(title="Against the best peer and the no-op: medians (and the least and the most of a round)")
    for column in ("", "against", "found", "aim"):
        told_of.add_column(column)
    ours = "tandem-pytorch"
    for what, part, name, connections, other, aim in (
        ("requests/s", "per_second", ours, 16, best_peer(found, 16), "1.8 or more"),
        ("p99", "p99_ms", ours, 16, best_peer(found, 16), "1 or less"),
        ("p50", "p50_ms", ours, 1, best_peer(found, 1), "1.3 or less"),
        ("requests/s", "per_second", ours, 64, best_peer(found, 64), "1.8 or more"),
        ("requests/s", "per_second", "png-both", 16, best_peer(found, 16), "0.5 or more"),
        ("requests/s", "per_second", ours, 16, "noop", "0.5 or more"),
        ("requests/s", "per_second", ours, 64, "noop", "0.5 or more"),
    ):
        title = f"{name}, {what} at {connections} connection{'s' * (connections > 1)}"
        told_of.add_row(title, other, told(ratio(found, part, (name, connections), (other, connections))), aim)
    if ours in found:
        told_of.add_row(f"{ours}, errors at 64 connections", "", str(sum(t.errors for t in found[ours][64])), "0")
    return told_of


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Tandem and its peers under the same load.")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4.0, help="of one turn")
    parser.add_argument("--only", help="contestants, separated by commas; all by default")
    asked = parser.parse_args(argv)
    peers = sorted(path.parent.name for path in PEERS.glob("*/requirements.txt"))
    only = asked.only.split(",") if asked.only else None
    peers = [peer for peer in peers if not only or peer in only]
    make_environments(peers)
    pixels = np.array(Image.open(PICTURE))
    tensor = {"name": "image", "shape": [1, 28, 28, 1], "datatype": "UINT8", "data": pixels.ravel().tolist()}
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        place = Path(folder)
        body, weights = place / "body.json", place / "weights.safetensors"
        body.write_text(json.dumps({"inputs": [tensor]}))
        client, settings = stack.enter_context(running_stack(place))
        version = client.follow(f"/v1/trainings/{client.post('/v1/trainings', TRAINING)['id']}")["version"]
        answer = requests.get(f"{client.url}/v1/models/article/pytorch/{version}/weights.safetensors", timeout=10)
        answer.raise_for_status()
        weights.write_bytes(answer.content)
        contestants = tandems(client.url, body, list(settings.backends))
        port, *ports = free_ports(1 + 3 * len(peers))
        for index, peer in enumerate(peers):
            peer_ports = ports[3 * index : 3 * index + 3]
            contestants.append(stack.enter_context(start_peer(peer, body, weights, peer_ports)))
        contestants.append(stack.enter_context(start_noop(body, port)))
        expected = wait_and_check(next(each for each in contestants if each.name == "tandem-pytorch"), None)
        contestants = [each for each in contestants if not only or each.name in only]
        for contestant in contestants:
            # TensorFlow trained a model of its own from the same weights: rounding alone has taken it a little away.
            own = contestant.name in ("tandem-tensorflow", "png-both")
            wait_and_check(contestant, None if own else expected)
        found = rounds(contestants, asked.rounds, asked.seconds)
        peaks = {contestant.name: peak_mb(contestant.roots) for contestant in contestants}
    console = Console(width=132)
    for connections in CONNECTIONS:
        console.print(table(found, connections, peaks))
    console.print(aims(found))
    results = Path(".tandem/bench")
    results.mkdir(parents=True, exist_ok=True)
    each = {name: {n: [vars(turn) for turn in turns[n]] for n in turns} for name, turns in found.items()}
    (results / "serving.json").write_text(json.dumps({"turns": each, "peak_mb": peaks}, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
