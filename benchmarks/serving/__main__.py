"""Compare Tandem with other model servers: the same network, weights, picture and machine.

    .venv/test/bin/python -m benchmarks.serving [--rounds 5] [--seconds 4] [--only tandem-pytorch,mlserver,...]

Every server has one worker process in its own environment, and torch with one thread. All get the same body, an Open
Inference Protocol request with one picture. The peers are called directly; Tandem is called through its gateway.

Two contestants differ: `png-both` posts the picture to Tandem as a PNG, and both backends answer. `noop` only parses
the request, in the same kind of server as the gateway. It shows what the server itself costs.

Before anything is measured, the peers' probabilities are compared with those of Tandem's PyTorch backend.
"""

import argparse
import json
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import requests
from PIL import Image
from rich.console import Console

from benchmarks.processes import read_peak_memory_mb
from benchmarks.serving.contestants import (
    PICTURE,
    PORTS_PER_PEER,
    REFERENCE,
    Contestant,
    check_contestants,
    list_peers,
    list_tandem_contestants,
    make_environments,
    running_noop,
    running_peer,
    wait_for_probabilities,
)
from benchmarks.serving.measurement import CONNECTIONS, Measurements, measure_rounds
from benchmarks.serving.report import create_table, create_target_table, write_results
from benchmarks.stack import running_stack
from services.cli.client import Client
from services.stack.stack import free_ports

TRAINING = {"network": "article", "dataset": "mnist", "name": "article", "epochs": 1}


def write_request(path: Path) -> None:
    """Write the Open Inference Protocol request with the picture to a file."""
    pixels = np.array(Image.open(PICTURE))
    tensor = {"name": "image", "shape": [1, 28, 28, 1], "datatype": "UINT8", "data": pixels.ravel().tolist()}
    path.write_text(json.dumps({"inputs": [tensor]}))


def train_weights(client: Client, path: Path) -> None:
    """Train the article's network in all backends, and write PyTorch's weights to a file.

    Raises:
        requests.HTTPError: the gateway does not return the weights.
    """
    version = client.follow(f"/v1/trainings/{client.post('/v1/trainings', TRAINING)['id']}")["version"]
    response = requests.get(f"{client.url}/v1/models/article/pytorch/{version}/weights.safetensors", timeout=10)
    response.raise_for_status()
    path.write_bytes(response.content)


def start_contestants(folder: Path, peers: list[str], stack: ExitStack) -> list[Contestant]:
    """Start Tandem, the peers and the no-op. They stop when the exit stack closes.

    Args:
        folder: an empty folder for the request, the weights, the logs and Tandem's state.
        peers: the peers to start.
        stack: the exit stack.
    """
    body, weights = folder / "body.json", folder / "weights.safetensors"
    write_request(body)
    client, settings = stack.enter_context(running_stack(folder))
    train_weights(client, weights)
    contestants = list_tandem_contestants(client.url, body, list(settings.backends))
    noop_port, *ports = free_ports(1 + PORTS_PER_PEER * len(peers))
    for index, peer in enumerate(peers):
        peer_ports = ports[PORTS_PER_PEER * index : PORTS_PER_PEER * (index + 1)]
        contestants.append(stack.enter_context(running_peer(peer, body, weights, peer_ports)))
    contestants.append(stack.enter_context(running_noop(body, noop_port)))
    return contestants


def run(rounds: int, seconds: float, only: list[str] | None) -> tuple[Measurements, dict[str, float]]:
    """Start the servers, check and measure them, and stop them.

    Args:
        rounds: how often everything is measured.
        seconds: about how long one measurement lasts.
        only: the names of the contestants that are measured, or None for all.

    Returns:
        The measurements, and each contestant's peak memory in megabytes.

    Raises:
        SystemExit: a server does not answer, or its answer differs from Tandem's.
    """
    peers = [peer for peer in list_peers() if not only or peer in only]
    make_environments(peers)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        contestants = start_contestants(Path(folder), peers, stack)
        # The reference answers even if `only` does not include it.
        reference = next(contestant for contestant in contestants if contestant.name == REFERENCE)
        expected = wait_for_probabilities(reference)
        contestants = [contestant for contestant in contestants if not only or contestant.name in only]
        check_contestants(contestants, expected)
        measurements = measure_rounds(contestants, rounds, seconds)
        peak_memory_mb = {contestant.name: read_peak_memory_mb(contestant.pids) for contestant in contestants}
    return measurements, peak_memory_mb


def main(argv: list[str] | None = None) -> int:
    """Measure, write `.tandem/bench/serving.json`, and print the tables.

    Args:
        argv: the arguments, by default those of the command line.
    """
    parser = argparse.ArgumentParser(description="Compare Tandem with other model servers under the same load.")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4.0, help="how long one measurement lasts")
    parser.add_argument("--only", help="contestants, separated by commas; all by default")
    arguments = parser.parse_args(argv)
    only = arguments.only.split(",") if arguments.only else None
    measurements, peak_memory_mb = run(arguments.rounds, arguments.seconds, only)
    write_results(measurements, peak_memory_mb)
    console = Console(width=132)
    for connections in CONNECTIONS:
        console.print(create_table(measurements, connections, peak_memory_mb))
    console.print(create_target_table(measurements))
    return 0


if __name__ == "__main__":
    sys.exit(main())
