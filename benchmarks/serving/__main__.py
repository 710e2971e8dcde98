"""Compare Tandem with other model servers: the same network, weights, pictures and machine.

    .venv/test/bin/python -m benchmarks.serving [--rounds 5] [--seconds 4] [--only tandem-pytorch,triton,...]
        [--workloads article-json,...] [--connections 1,16,64] [--base COMMIT]

Every server has one worker process in its own environment, and torch with one thread. The peers are called directly;
Tandem is called through its gateway. Before anything is measured, all probabilities are compared with those of
Tandem's PyTorch backend.
"""

import argparse
import shutil
import signal
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import NoReturn

from rich.console import Console

from benchmarks.processes import Memory, read_memory
from benchmarks.serving.contestants import REFERENCE, Contestant, check_contestants
from benchmarks.serving.measurement import Measurements, list_rows, measure_rounds
from benchmarks.serving.memory import StackMemory, measure_stack
from benchmarks.serving.peers import (
    NOOP,
    PEERS,
    PORTS_PER_PEER,
    list_available_peers,
    make_environments,
    running_noop,
    running_peer,
)
from benchmarks.serving.report import create_table, list_peer_wins, write_results
from benchmarks.serving.tandem import (
    BASE,
    TODAY,
    TWO_GATEWAYS,
    list_tandem_contestants,
    running_base,
    running_tandem,
    train,
    write_weights,
)
from benchmarks.serving.targets import create_target_table
from benchmarks.serving.workloads import WORKLOADS, Workload
from services.stack.stack import free_ports
from shared.settings import Settings

WIDTH = 132


@dataclass(frozen=True)
class Plan:
    """What is measured.

    Attributes:
        only: the names of the contestants, or None for all.
        workloads: what they are asked.
        connections: the numbers of connections, or None for those of each workload.
        rounds: how often everything is measured.
        seconds: how long one measurement lasts.
        base: a commit of this repository whose stack is also measured, or None.
    """

    only: list[str] | None
    workloads: list[Workload]
    connections: list[int] | None
    rounds: int
    seconds: int
    base: str | None

    @property
    def networks(self) -> list[str]:
        """The networks that the workloads need. `article` is always the first."""
        return list(dict.fromkeys(["article", *(workload.network for workload in self.workloads)]))

    def has_contestant_of(self, stack: str) -> bool:
        """Return whether a contestant of a stack is measured."""
        return not self.only or any(name.startswith(f"{stack}-") for name in self.only)


@dataclass(frozen=True)
class Results:
    """What was measured.

    Attributes:
        measurements: of all contestants.
        memory: of each contestant, after all rounds.
        stack_memory: of the stacks of today and of the base, after the same load; empty without a base.
    """

    measurements: Measurements
    memory: dict[str, Memory]
    stack_memory: list[StackMemory]


def run(plan: Plan) -> Results:
    """Start the servers, check and measure them, and stop them.

    Raises:
        SystemExit: a server does not answer, or its answer differs from Tandem's.
    """
    peers = list_available_peers(plan.only)
    make_environments(peers)
    with tempfile.TemporaryDirectory() as name, ExitStack() as servers:
        folder = Path(name)
        today = servers.enter_context(running_tandem(TODAY, folder / TODAY))
        versions = {"article": train(today.client, "article")}
        stacks, stack_memory = [today], []
        if plan.base and plan.has_contestant_of(BASE):
            base = servers.enter_context(running_base(plan.base, folder / BASE))
            train(base.client, "article")
            stacks.append(base)
            stack_memory = [measure_stack(stack, folder) for stack in stacks]
        for network in plan.networks:
            versions[network] = versions.get(network) or train(today.client, network)
            write_weights(today.client, network, versions[network], folder)
        if plan.has_contestant_of(TWO_GATEWAYS):
            environ = {"TANDEM_GATEWAY_PROCESSES": "2", "TANDEM_MODEL_DIR": str(folder / TODAY / "models")}
            stacks.append(servers.enter_context(running_tandem(TWO_GATEWAYS, folder / TWO_GATEWAYS, environ)))
        contestants = [
            contestant
            for stack in stacks
            for contestant in list_tandem_contestants(
                stack, ["article"] if stack.name == BASE else plan.networks, folder
            )
        ]
        reference = next(contestant for contestant in contestants if contestant.name == REFERENCE)
        contestants += start_peers(peers, plan, folder, servers)
        contestants = [contestant for contestant in contestants if not plan.only or contestant.name in plan.only]
        check_contestants(contestants, plan.workloads, reference)
        rows = list_rows(plan.workloads, plan.connections)
        measurements = measure_rounds(contestants, rows, plan.rounds, plan.seconds)
        memory = {contestant.name: read_memory(contestant.pids) for contestant in contestants}
    return Results(measurements, memory, stack_memory)


def start_peers(peers: list[str], plan: Plan, folder: Path, servers: ExitStack) -> list[Contestant]:
    """Start the peers and the no-op. They stop when the exit stack closes."""
    ports = free_ports(1 + PORTS_PER_PEER * len(peers))
    contestants = []
    for index, peer in enumerate(peers):
        peer_ports = ports[1 + PORTS_PER_PEER * index :][:PORTS_PER_PEER]
        contestants.append(servers.enter_context(running_peer(peer, plan.networks, folder, peer_ports)))
    if not plan.only or NOOP in plan.only:
        contestants.append(servers.enter_context(running_noop(folder, ports[0])))
    return contestants


def list_contestant_names(base: str | None) -> list[str]:
    """Return the names that `--only` accepts."""
    stacks = [TODAY, TWO_GATEWAYS, *([BASE] if base else [])]
    answering = dict.fromkeys([*(f"{TODAY}-{backend}" for backend in Settings.from_env().backends)])
    answering |= dict.fromkeys(f"{stack}-{name}" for stack in stacks for name in ("pytorch", "both"))
    return [*answering, *PEERS, NOOP]


def parse_arguments(argv: list[str] | None) -> Plan:
    """Return the plan that command line arguments describe.

    Raises:
        SystemExit: an argument is not valid.
    """
    parser = argparse.ArgumentParser(description="Compare Tandem with other model servers under the same load.")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=4, help="how long one measurement lasts")
    parser.add_argument("--only", help="contestants, separated by commas; all by default")
    parser.add_argument("--workloads", help=f"of {', '.join(WORKLOADS)}; all by default")
    parser.add_argument("--connections", help="numbers, separated by commas; by default those of each workload")
    parser.add_argument("--base", help="a commit whose stack is measured beside today's, for example HEAD~20")
    arguments = parser.parse_args(argv)
    only = arguments.only.split(",") if arguments.only else None
    workloads = arguments.workloads.split(",") if arguments.workloads else list(WORKLOADS)
    for value, known in ((only or [], list_contestant_names(arguments.base)), (workloads, list(WORKLOADS))):
        if unknown := [name for name in value if name not in known]:
            parser.error(f"{', '.join(unknown)}: expected {', '.join(known)}")
    return Plan(
        only=only,
        workloads=[WORKLOADS[name] for name in workloads],
        connections=[int(count) for count in arguments.connections.split(",")] if arguments.connections else None,
        rounds=arguments.rounds,
        seconds=arguments.seconds,
        base=arguments.base,
    )


def exit_on_signal(signum: int, frame: FrameType | None) -> NoReturn:  # noqa: ARG001 - signal's signature
    """Leave through the exit stack, which stops all servers. Further signals are ignored meanwhile."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    raise SystemExit(130)


def main(argv: list[str] | None = None) -> int:
    """Measure, write `.tandem/bench/serving.json`, and print the tables.

    Args:
        argv: the arguments, by default those of the command line.

    Raises:
        SystemExit: an argument is not valid, wrk is missing, or a server does not answer as Tandem does.
    """
    plan = parse_arguments(argv)
    if not shutil.which("wrk"):
        raise SystemExit("wrk is missing: sudo apt-get install -y wrk")
    signal.signal(signal.SIGTERM, exit_on_signal)
    signal.signal(signal.SIGINT, exit_on_signal)
    results = run(plan)
    write_results(results.measurements, results.memory)
    console = Console(width=WIDTH)
    for row in results.measurements:
        console.print(create_table(results.measurements, row, results.memory))
    console.print(create_target_table(results.measurements, results.stack_memory))
    for sentence in list_peer_wins(results.measurements):
        console.print(sentence)
    return 0


if __name__ == "__main__":
    sys.exit(main())
