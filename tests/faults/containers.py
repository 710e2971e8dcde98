"""What only containers show: limits of processes, cores and logs, networks, and the kernel's killer."""

import contextlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from typing import Any

from services.stack.stack import free_ports
from tests.faults.answers import ask
from tests.faults.experiment import Experiment, Fault, SkipFaultError
from tests.faults.waiting import FaultFailureError, wait

PROJECT = "tandem-faults"
START_TIMEOUT_S = 1800  # the first build installs both frameworks
# Kills each process of the trainer that another process of the trainer has started: the work horse.
KILL_WORK_HORSE = """
import contextlib, os, pathlib, signal
parents = {}
for folder in pathlib.Path("/proc").glob("[0-9]*"):
    with contextlib.suppress(OSError):
        if folder.name != "1" and b"services.pytorch.trainer" in (folder / "cmdline").read_bytes():
            parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
for pid, parent in parents.items():
    if parent in parents:
        os.kill(pid, signal.SIGKILL)
        print("killed")
"""


class ContainerStack:
    """Tandem in containers, as a Compose project of its own.

    Attributes:
        url: the gateway's URL.
    """

    def __init__(self, port: int) -> None:
        self._environ = {**os.environ, "TANDEM_GATEWAY_PORT": str(port)}
        self.url = f"http://127.0.0.1:{port}"

    def run(self, *arguments: str, check: bool = True) -> str:
        """Run `docker compose` with arguments and return its output.

        Raises:
            FaultFailureError: it failed.
        """
        command = ["docker", "compose", "-p", PROJECT, *arguments]
        answer = subprocess.run(
            command, env=self._environ, text=True, capture_output=True, check=False, timeout=START_TIMEOUT_S
        )
        if check and answer.returncode:
            raise FaultFailureError(f"{' '.join(command)}: {answer.stderr[-300:]}")
        return answer.stdout

    def inspect(self, service: str) -> Any:
        """Return what the engine says of a service's container."""
        identity = self.run("ps", "-a", "-q", service).strip()
        answer = subprocess.run(["docker", "inspect", identity], capture_output=True, text=True, check=True)
        return json.loads(answer.stdout)[0]

    def list_services(self) -> list[str]:
        """Return the names of the services."""
        return self.run("config", "--services").split()


@cache
def find_missing_engine() -> str:
    """Return why there are no containers on this machine, or an empty string."""
    if not shutil.which("docker"):
        return "Docker is not installed"
    answer = subprocess.run(["docker", "info"], capture_output=True, text=True, check=False)
    return "no Docker engine answers" if answer.returncode else ""


@contextlib.contextmanager
def running_containers() -> Iterator[ContainerStack]:
    """Build and start the containers, and remove them and their volumes at the end.

    Raises:
        SkipFaultError: no engine answers.
    """
    if reason := find_missing_engine():
        raise SkipFaultError(reason)
    stack = ContainerStack(free_ports(1)[0])
    try:
        stack.run("up", "-d", "--build", "--wait")
        yield stack
    finally:
        stack.run("down", "-v", "--timeout", "10", check=False)


def examine_containers(experiment: Experiment) -> None:
    """Look for limits that are missing, and for networks that lead to Redis or out of the machine."""
    with running_containers() as stack:
        for service in stack.list_services():
            found = stack.inspect(service)
            host = found["HostConfig"]
            experiment.require((host.get("PidsLimit") or 0) > 0, f"{service} has no pids_limit")
            experiment.require(host.get("NanoCpus") or host.get("CpuQuota"), f"{service} has no CPU limit")
            experiment.require(host["LogConfig"]["Config"].get("max-size"), f"{service} has no log size limit")
            experiment.require(host["Memory"] > 0, f"{service} has no memory limit")
        for service in ("pytorch-predictor", "tensorflow-predictor"):
            experiment.require(not _can_connect(stack, service, "redis", 6379), f"{service} reaches Redis")
        for service in ("pytorch-predictor", "tensorflow-predictor", "pytorch-trainer", "tensorflow-trainer"):
            experiment.require(not _can_connect(stack, service, "1.1.1.1", 53), f"{service} reaches the internet")
        _kill_by_memory(experiment, stack)


def _can_connect(stack: ContainerStack, service: str, host: str, port: int) -> bool:
    script = f"import socket; socket.create_connection(({host!r}, {port}), 3); print('connected')"
    return "connected" in stack.run("exec", "-T", service, "python", "-c", script, check=False)


def _kill_by_memory(experiment: Experiment, stack: ContainerStack) -> None:
    """End a work horse as the kernel does when a container has no memory left, and wait for the training."""
    request = {"dataset": "digits", "network": "mlp", "epochs": 400, "batch_size": 16, "backends": ["pytorch"]}
    path = f"/v1/trainings/{ask(stack.url, 'POST', '/v1/trainings', json=request).json()['id']}"

    def read_run() -> Any:
        return ask(stack.url, "GET", path).json()["runs"]["pytorch"]

    wait(lambda: read_run()["epoch"] >= 2, message="the second epoch was not reached in a container")
    killed = stack.run("exec", "-T", "pytorch-trainer", "python", "-c", KILL_WORK_HORSE)
    experiment.require("killed" in killed, "no work horse was found in a container")
    wait(lambda: read_run()["status"] == "succeeded", message="the training in a container did not end", timeout_s=120)
    experiment.require(read_run()["resumed_after"] is not None, "the training in a container was not interrupted")


def look_at_published_ports(experiment: Experiment) -> None:
    """Read the Compose file: ports are published on loopback only, and TensorBoard starts only if it is asked for."""
    if not shutil.which("docker"):
        raise SkipFaultError("Docker is not installed")
    stack = ContainerStack(free_ports(1)[0])
    services = json.loads(stack.run("--profile", "*", "config", "--format", "json"))["services"]
    experiment.require("tensorboard" not in stack.list_services(), "TensorBoard starts with the other services")
    for name, service in services.items():
        for port in service.get("ports", []):
            is_local = port.get("host_ip", "").startswith("127.")
            experiment.require(is_local, f"{name} publishes {port.get('published')} on {port.get('host_ip') or 'all'}")
            experiment.notes.append(f"{name} publishes {port.get('published')}")


FAULTS = [
    Fault("containers", "attack", "container limits and networks", examine_containers, has_trainings=False),
    Fault("published-ports", "attack", "TensorBoard open on loopback", look_at_published_ports, has_trainings=False),
]
