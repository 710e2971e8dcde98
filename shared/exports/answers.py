"""Asks an exported file for its probabilities, in a process of its own (`shared/exports/runner.py`)."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from math import prod
from pathlib import Path
from tempfile import TemporaryFile
from threading import Event, Thread, Timer
from time import monotonic
from typing import IO, Any

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
READ_BYTES = 2**16
PRINTED_BYTES = 2**16  # so much of the end of what the process prints is read
REPORT_EVERY_S = 1.0
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
    report: Callable[[int], None] = lambda _: None,
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
        report: called about once a second with the number of images that are answered. If it raises, the process is
            ended.
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
    bytes_per_answer = 4 * prod(network.output_shape)
    ended = _run(task, images, lambda size: report(min(len(images), size // bytes_per_answer)), timeout_s)
    if ended is None:
        raise UnavailableError(
            f"the file did not answer {len(images):,} pictures within {timeout_s:g} s: export it when less is going on"
        )
    if ended.status != 0:
        printed = ended.printed.strip()
        log.warning("an export cannot be run", status=ended.status, printed=printed[-2000:])
        reason = printed.splitlines()[-1][:300] if printed else "it printed nothing"
        raise RejectedExportError(
            f"the runtime cannot run the file: its process ended with status {ended.status} ({reason})"
        )
    header, _, data = ended.answers.partition(b"\n")
    expected = (len(images), *network.output_shape)
    if len(data) != 4 * prod(expected):
        raise RejectedExportError(f"the file answered {len(data) // 4:,} numbers instead of {prod(expected):,}")
    return RuntimeAnswers(json.loads(header), np.frombuffer(data, "<f4").reshape(expected))


@dataclass(frozen=True)
class _Ended:
    """A process that has ended: its exit status, what it answered, and what it printed."""

    status: int
    answers: bytes
    printed: str


def _run(
    task: Mapping[str, Any], images: NDArray[np.uint8], report: Callable[[int], None], timeout_s: float
) -> _Ended | None:
    """Run the runner with a task. Return None if it did not end in time.

    Args:
        task: what `runner.py` expects.
        images: written to its stdin.
        report: called about once a second with the number of bytes that it has answered.
        timeout_s: after so many seconds the process is killed.
    """
    environ = {name: os.environ[name] for name in PASSED_VARIABLES if name in os.environ}
    is_late = Event()
    with (
        TemporaryFile() as printed,
        subprocess.Popen(
            [sys.executable, "-I", str(RUNNER), json.dumps(task)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=printed,
            env={**environ, "CUDA_VISIBLE_DEVICES": "", "TF_CPP_MIN_LOG_LEVEL": "2"},
        ) as process,
    ):
        assert process.stdin is not None, "a pipe"
        assert process.stdout is not None, "a pipe"

        def end() -> None:
            is_late.set()
            process.kill()

        timer = Timer(timeout_s, end)
        timer.start()
        feeder = Thread(target=_feed, args=(process.stdin, images))
        feeder.start()
        try:
            answers = _read(process.stdout, report)
            process.wait()
        finally:
            timer.cancel()
            process.kill()  # has no effect on a process that has ended
            feeder.join()
        printed.seek(max(0, printed.seek(0, os.SEEK_END) - PRINTED_BYTES))
        text = printed.read().decode(errors="replace")
    return None if is_late.is_set() else _Ended(process.returncode, answers, text)


def _feed(stdin: IO[bytes], images: NDArray[np.uint8]) -> None:
    with suppress(BrokenPipeError), stdin:  # the process has ended: its status says why
        stdin.write(np.ascontiguousarray(images).data.cast("B"))


def _read(stdout: IO[bytes], report: Callable[[int], None]) -> bytes:
    answers, reported_at = bytearray(), monotonic()
    while part := os.read(stdout.fileno(), READ_BYTES):
        answers += part
        if monotonic() - reported_at > REPORT_EVERY_S:
            report(len(answers))
            reported_at = monotonic()
    return bytes(answers)
