"""Run one backend in its own environment: train networks briefly, or compute the probabilities of many pictures.

    .venv/<backend>/bin/python -m tests.browser.probabilities <backend> train|serve <folder>

Frameworks never share a process, and the browser tests run in an environment without them. The folder has
`pictures.npy`, `labels.npy`, and for each network `<name>.json` and `<name>.safetensors`. `train` writes the weights
anew; `serve` writes `<name>-<backend>.npy`.
"""

import importlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from shared.backend import Backend
from shared.data.batches import generate_epochs
from shared.data.datasets import Split
from shared.network.description import Network
from shared.network.optimizers import Sgd
from shared.network.weights import from_bytes, to_bytes

TRAINED_ON = 6000  # pictures, once: untrained probabilities nearly tie, and would hide a wrong layer
BATCH = 500


def start(backend: str, action: str, folder: Path) -> subprocess.Popen[str]:
    """Start this module in the environment of a backend. Its output is read with `finish`."""
    command = [Path(".venv", backend, "bin/python"), "-m", "tests.browser.probabilities", backend, action, str(folder)]
    environ = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    return subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def finish(process: subprocess.Popen[str]) -> None:
    """Wait until a process has done its work.

    Raises:
        RuntimeError: it failed. The message contains its output.
    """
    output, _ = process.communicate(timeout=300)
    if process.returncode:
        raise RuntimeError(f"a backend ended with {process.returncode}:\n{output[-3000:]}")


def main(name: str, action: str, folder: Path) -> int:
    """Train or serve every network of the folder."""
    backend: Backend = importlib.import_module(f"services.{name}.backend")
    backend.configure(threads=1, device="cpu", seed=0)
    pictures, labels = np.load(folder / "pictures.npy"), np.load(folder / "labels.npy")
    for file in sorted(folder.glob("*.json")):
        network = Network.model_validate_json(file.read_bytes())
        weights_file = file.with_suffix(".safetensors")
        model = backend.define_network(network, from_bytes(weights_file.read_bytes(), network))
        if action == "train":
            data = Split(pictures[-TRAINED_ON:], labels[-TRAINED_ON:])
            optimizer = backend.define_optimizer(Sgd(learning_rate=0.1), model)
            for _ in backend.train(
                model, optimizer, backend.define_loss(), data, 64, generate_epochs(data, 0, 1, 1, True)
            ):
                pass
            weights_file.write_bytes(to_bytes(backend.save(model)))
        else:
            predict = backend.serve(model)
            found = [predict(pictures[first : first + BATCH]) for first in range(0, len(pictures), BATCH)]
            np.save(folder / f"{file.stem}-{name}.npy", np.concatenate(found))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], Path(sys.argv[3])))
