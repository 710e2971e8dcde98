"""Asks an exported file for its probabilities, in a process of its own (`shared/exports/runner.py`)."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np
import structlog
from numpy.typing import NDArray

from shared.errors import RejectedExportError, UnavailableError
from shared.exports.exporters import Exporter
from shared.network.description import Network

RUNNER = Path(__file__).with_name("runner.py")
TANDEM = ("services", "shared")
TIMEOUT_S = 3600  # a large network takes V8 minutes, and longer on a busy machine
MEMORY_BYTES = 2 * 2**30  # of data, threads' stacks included; code is not counted
BATCH = 500  # images
BATCH_VALUES = 2**25  # of the largest layer in one batch: 128 MB
PASSED_VARIABLES = ("PATH", "HOME", "LANG", "LD_LIBRARY_PATH", "TMPDIR")

log = structlog.get_logger()


@dataclass(frozen=True)
class RuntimeAnswers:
    """What a file answered.

    Attributes:
        runtime: the name and version of what ran it.
        probabilities: float32 [N, classes].
    """

    runtime: str
    probabilities: NDArray[np.float32]


def ask_runtime(
    exporter: Exporter,
    file: Path,
    network: Network,
    images: NDArray[np.uint8],
    threads: int,
    timeout_s: float = TIMEOUT_S,
    memory_bytes: int = MEMORY_BYTES,
) -> RuntimeAnswers:
    """Return the probabilities that an exported file computes in its own runtime.

    Args:
        exporter: names the runtime.
        file: the export.
        network: the network of the model.
        images: uint8 [N, H, W, C].
        threads: how many the runtime may use.
        timeout_s: the process is ended after so many seconds.
        memory_bytes: how much the process may allocate.

    Raises:
        RejectedExportError: the runtime cannot run the file, or its answers do not have the network's shape.
        UnavailableError: the process took too long.
    """
    task = {
        "script": str(exporter.runtime),
        "file": str(file),
        "shape": network.input_shape,
        "batch": max(1, min(BATCH, BATCH_VALUES // max(map(prod, network.shapes)))),
        "threads": threads,
        "memory_bytes": memory_bytes,
        "forbidden": [*TANDEM, *exporter.forbidden],
    }
    environ = {name: os.environ[name] for name in PASSED_VARIABLES if name in os.environ}
    try:
        ended = subprocess.run(
            [sys.executable, "-I", str(RUNNER), json.dumps(task)],
            input=np.ascontiguousarray(images).data.cast("B"),
            capture_output=True,
            env={**environ, "CUDA_VISIBLE_DEVICES": "", "TF_CPP_MIN_LOG_LEVEL": "2"},
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise UnavailableError(
            f"the file did not answer {len(images):,} pictures within {timeout_s:g} s: export it when less is going on"
        ) from None
    if ended.returncode != 0:
        printed = ended.stderr.decode(errors="replace").strip()
        log.warning("an export cannot be run", status=ended.returncode, printed=printed[-2000:])
        reason = printed.splitlines()[-1][:300] if printed else "it printed nothing"
        raise RejectedExportError(
            f"the runtime cannot run the file: its process ended with status {ended.returncode} ({reason})"
        )
    header, _, data = ended.stdout.partition(b"\n")
    expected = (len(images), *network.output_shape)
    if len(data) != 4 * prod(expected):
        raise RejectedExportError(f"the file answered {len(data) // 4:,} numbers instead of {prod(expected):,}")
    return RuntimeAnswers(json.loads(header), np.frombuffer(data, "<f4").reshape(expected))
