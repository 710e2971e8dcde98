"""Measures the memory of the gateway and the predictors of a stack after a fixed load."""

from dataclasses import dataclass
from pathlib import Path

from benchmarks.processes import Memory, read_memory
from benchmarks.serving.contestants import wait_for_probabilities
from benchmarks.serving.load import send_load
from benchmarks.serving.tandem import TandemStack, list_tandem_contestants

LOADS = (("pytorch", "article-json", 16), ("pytorch", "article-json", 64), ("both", "png-both", 16))
"""Which contestant of the stack gets which workload with how many connections."""
LOAD_S = 3


@dataclass(frozen=True)
class StackMemory:
    """The memory of a stack.

    Attributes:
        stack: the stack's name.
        gateway: the memory of its gateway.
        predictors: the memory of all its predictors.
    """

    stack: str
    gateway: Memory
    predictors: Memory

    @property
    def total(self) -> Memory:
        """The memory of the gateway and the predictors."""
        return Memory(*(sum(pair) for pair in zip(self.gateway, self.predictors, strict=True)))


def measure_stack(stack: TandemStack, folder: Path) -> StackMemory:
    """Send a stack the load, and read the memory of its processes.

    Args:
        stack: a stack that has trained `article`.
        folder: the folder for the bodies of the requests.
    """
    contestants = {each.name: each for each in list_tandem_contestants(stack, ["article"], folder)}
    for suffix, workload, connections in LOADS:
        contestant = contestants[f"{stack.name}-{suffix}"]
        wait_for_probabilities(contestant.name, contestant.requests[workload])
        send_load(contestant.requests[workload], connections, LOAD_S)
    both = contestants[f"{stack.name}-both"]
    gateway = stack.find_processes("services.gateway")
    return StackMemory(stack.name, read_memory(gateway), read_memory([pid for pid in both.pids if pid not in gateway]))
