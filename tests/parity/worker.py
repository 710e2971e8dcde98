"""Run one framework in a process of its own, which trains networks step by step and returns what was computed.

    .venv/<backend>/bin/python -m tests.parity.worker <backend>

Frameworks never share a process. Requests arrive on standard input and responses go to standard output. Each is an
`.npz` file with its length in front. Only the child process imports a framework; the class `Worker`, which the tests
use, does not.
"""

import importlib
import io
import os
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np
from pydantic import TypeAdapter

from shared.backend import Backend, Step
from shared.data.datasets import Split
from shared.network.description import Network
from shared.network.optimizers import Optimizer
from shared.network.weights import Arrays, Weights

LENGTH = struct.Struct("<Q")


def send(stream: IO[bytes], arrays: Arrays) -> None:
    """Write arrays to a stream."""
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    stream.write(LENGTH.pack(buffer.tell()) + buffer.getvalue())
    stream.flush()


def receive(stream: IO[bytes]) -> Arrays | None:
    """Read arrays from a stream; return None at its end."""
    head = stream.read(LENGTH.size)
    if len(head) < LENGTH.size:
        return None
    (length,) = LENGTH.unpack(head)
    with np.load(io.BytesIO(stream.read(length)), allow_pickle=False) as arrays:
        return dict(arrays)


class Worker:
    """A backend in a child process, for tests that run in another environment."""

    def __init__(self, backend: str, log: Path) -> None:
        self.backend, self._log = backend, log
        with log.open("wb") as errors:
            self._process = subprocess.Popen(
                [Path(".venv", backend, "bin/python"), "-m", "tests.parity.worker", backend],
                env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
            )

    def ask(self, network: Network, optimizer: Optimizer, weights: Weights, batches: list[Split]) -> None:
        """Send a request without waiting, so that all workers compute at the same time."""
        question = {"network": network.model_dump_json(), "optimizer": optimizer.model_dump_json()}
        arrays = {name: np.array(text) for name, text in question.items()}
        for index, batch in enumerate(batches):
            arrays |= {f"images/{index}": batch.images, f"labels/{index}": batch.labels}
        try:
            send(self._process.stdin, {**arrays, **{f"weights/{name}": array for name, array in weights.items()}})
        except BrokenPipeError:
            raise self._died() from None

    def answer(self) -> list[Step]:
        """Wait for the response: one step for each batch.

        Raises:
            RuntimeError: The process died. The message contains its output.
        """
        arrays = receive(self._process.stdout)
        if arrays is None:
            raise self._died()
        return list(_steps(arrays))

    def stop(self) -> None:
        """End the process."""
        self._process.stdin.close()
        self._process.stdout.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _died(self) -> RuntimeError:
        code = self._process.wait()
        said = self._log.read_text(errors="replace")[-3000:]
        return RuntimeError(f"the worker of {self.backend} ended with {code}:\n{said}")


def _steps(arrays: Arrays) -> Iterator[Step]:
    for index in range(int(arrays["steps"])):
        parts = {
            part: {name.split("/")[2]: array for name, array in arrays.items() if name.startswith(f"{index}/{part}/")}
            for part in ("outputs", "gradients", "weights")
        }
        yield Step(list(parts["outputs"].values()), parts["gradients"], parts["weights"])


def _answer(backend: Backend, question: Arrays) -> Arrays:
    network = Network.model_validate_json(str(question["network"]))
    optimizer: Optimizer = TypeAdapter(Optimizer).validate_json(str(question["optimizer"]))
    weights = {name.split("/")[1]: array for name, array in question.items() if name.startswith("weights/")}
    count = sum(name.startswith("images/") for name in question)
    batches = [Split(question[f"images/{index}"], question[f"labels/{index}"]) for index in range(count)]
    model = backend.define_network(network, weights, "float64")
    steps = backend.trace(model, backend.define_optimizer(optimizer, model), backend.define_loss(), batches)
    answer: Arrays = {"steps": np.array(count)}
    for index, step in enumerate(steps):
        for part in ("outputs", "gradients", "weights"):
            found = getattr(step, part)
            named = found.items() if isinstance(found, dict) else enumerate(found)
            answer |= {f"{index}/{part}/{name}": array for name, array in named}
    return answer


def main(name: str) -> int:
    """Answer requests until standard input ends."""
    # Whatever a framework prints goes to standard error, so that it does not mix with the responses.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    backend: Backend = importlib.import_module(f"services.{name}.backend")
    backend.configure(threads=1, device="cpu", seed=0)
    while (question := receive(sys.stdin.buffer)) is not None:
        send(answers, _answer(backend, question))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
