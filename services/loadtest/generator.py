"""One test by MLPerf LoadGen against one URL: requests leave on its schedule, whatever comes back.

LoadGen decides when, and which sample; this module sends, and writes down
when what happened. Latency counts from the scheduled time, so that a service
that stalls is charged for those who wait for it, too (Schroeder et al. 2006,
"Open versus closed"). LoadGen keeps its schedule to itself, but draws it from
a known generator: `arrivals` draws it again, and a test whose mean latency
differs from LoadGen's own record is not taken.
"""

import http.client
import io
import multiprocessing
import re
import signal
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Any
from urllib.parse import urlsplit

import mlperf_loadgen as loadgen
import numpy as np
from numpy.typing import NDArray

from shared.errors import TandemError
from shared.process import end_with_parent

CONNECTIONS = 64
TIMEOUT_S = 15.0
GRACE_S = 5.0  # so long after its schedule's end a test still sends what is late
OK, CONNECTION, TIMEOUT, UNSENT = 200, 0, 1, 2  # beside HTTP's own statuses
PARTS = ("total", "decode", "prepare", "queue", "hop", "compute")  # of Server-Timing, in milliseconds
SCENARIOS = {
    "server": loadgen.TestScenario.Server,
    "single_stream": loadgen.TestScenario.SingleStream,
    "offline": loadgen.TestScenario.Offline,
}


@dataclass(frozen=True)
class Plan:
    """queries: how many; duration_s: about how long they take; target_qps: of `server`, requests a second."""

    scenario: str
    url: str
    target_qps: float
    queries: int
    duration_s: float
    seed: int


@dataclass(frozen=True)
class Block:
    """What became of each query, in the order of issue: seconds since the start, one number each.

    status: int64, of HTTP or CONNECTION, TIMEOUT, UNSENT.
    late: seconds that the generator itself was late: to send, where a connection was free, else to issue.
    parts: milliseconds, [N, 6], as the service's Server-Timing splits them; nan where it does not.
    cpu: seconds of CPU over seconds of wall time of this process.
    """

    scheduled: NDArray[np.float64]
    sent: NDArray[np.float64]
    done: NDArray[np.float64]
    status: NDArray[np.int64]
    late: NDArray[np.float64]
    parts: NDArray[np.float64]
    cpu: NDArray[np.float64]

    @property
    def latency_ms(self) -> NDArray[np.float64]:
        """From the scheduled time, of every query that was answered well."""
        latencies: NDArray[np.float64] = ((self.done - self.scheduled) * 1000)[self.status == OK]
        return latencies


def arrivals(seed: int, qps: float, count: int) -> NDArray[np.float64]:
    """LoadGen's Poisson arrivals, in seconds since the start; float64 [count].

    Its gaps are libstdc++'s exponential distribution of a Mersenne twister
    (mt19937): -ln(1 - u) / qps, where u is two 32-bit draws over 2^64, cut to nanoseconds.
    """
    draws: Any = np.random.RandomState(seed)._bit_generator.random_raw(2 * (count - 1)).reshape(-1, 2)  # type: ignore[attr-defined]
    uniform = (draws[:, 0] + draws[:, 1] * 2.0**32) / 2.0**64
    times = np.zeros(count)
    np.cumsum(np.floor(-np.log1p(-uniform) / qps * 1e9) / 1e9, out=times[1:])
    return times


def run(plan: Plan, pictures: list[bytes]) -> Block:
    """Carry a plan out in a process of its own, since LoadGen runs one test a process.

    Raises:
        TandemError: the process died.
    """
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_child, args=(theirs, plan, pictures), daemon=True)
    process.start()
    theirs.close()
    try:
        arrays = np.load(io.BytesIO(ours.recv_bytes()), allow_pickle=False)
    except EOFError:
        raise TandemError("the load generator's process died: its log says more") from None
    finally:
        process.join()
    return Block(**arrays)


def _child(pipe: "multiprocessing.connection.Connection", plan: Plan, pictures: list[bytes]) -> None:
    end_with_parent(signal.SIGKILL)
    sys.setswitchinterval(0.001)  # a thread that has work in hand lets the schedule's thread go first
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **vars(_Test(plan, pictures).carry_out()))
    pipe.send_bytes(buffer.getvalue())


class _Test:
    """LoadGen's thread hands queries over; a thread for each connection posts them."""

    def __init__(self, plan: Plan, pictures: list[bytes]) -> None:
        self._plan, self._pictures = plan, pictures
        self._where = urlsplit(plan.url)
        self._deadline = time.perf_counter() + plan.duration_s + GRACE_S
        self._issued: list[float] = []
        self._free: list[bool] = []
        self._outcomes: list[tuple[int, float, float, int, str]] = []  # query, sent, done, status, Server-Timing
        self._waiting: SimpleQueue[tuple[int, int, int]] = SimpleQueue()

    def carry_out(self) -> Block:
        for _ in range(1 if self._plan.scenario == "single_stream" else CONNECTIONS):
            threading.Thread(target=self._post_queries, daemon=True).start()
        count = len(self._pictures)
        sut = loadgen.ConstructSUT(self._issue, lambda: None)
        qsl = loadgen.ConstructQSL(count, count, lambda _: None, lambda _: None)
        wall, cpu = time.perf_counter(), time.process_time()
        with tempfile.TemporaryDirectory() as folder:
            loadgen.StartTestWithLogSettings(sut, qsl, self._settings(), _log_to(folder))
            cpu = (time.process_time() - cpu) / (time.perf_counter() - wall)
            block = self._block(cpu)
            self._check(block, Path(folder, "mlperf_log_summary.txt").read_text())
        return block

    def _settings(self) -> loadgen.TestSettings:
        plan, settings = self._plan, loadgen.TestSettings()
        settings.scenario, settings.mode = SCENARIOS[plan.scenario], loadgen.TestMode.PerformanceOnly
        settings.schedule_rng_seed = settings.sample_index_rng_seed = settings.qsl_rng_seed = plan.seed
        settings.min_duration_ms, settings.min_query_count = 1, plan.queries
        if plan.scenario != "offline":  # whose one query holds all samples
            settings.max_query_count = plan.queries
        if plan.scenario == "server":
            settings.server_target_qps = plan.target_qps
        return settings

    def _issue(self, samples: list[loadgen.QuerySample]) -> None:
        now = time.perf_counter()
        for sample in samples:
            query = len(self._issued)
            self._free.append(query - len(self._outcomes) < CONNECTIONS)
            self._issued.append(now)
            self._waiting.put((query, sample.id, sample.index))

    def _post_queries(self) -> None:
        connection = http.client.HTTPConnection(self._where.hostname or "", self._where.port, timeout=TIMEOUT_S)
        while True:
            query, identity, index = self._waiting.get()
            sent = time.perf_counter()
            if sent > self._deadline:
                status, timing = UNSENT, ""
            else:
                status, timing = self._post(connection, self._pictures[index])
            self._outcomes.append((query, sent, time.perf_counter(), status, timing))
            loadgen.QuerySamplesComplete([loadgen.QuerySampleResponse(identity, 0, 0)])

    def _post(self, connection: http.client.HTTPConnection, picture: bytes) -> tuple[int, str]:
        try:
            path = f"{self._where.path}?{self._where.query}"
            connection.request("POST", path, picture, {"Content-Type": "image/png"})
            response = connection.getresponse()
            response.read()
            return response.status, response.headers.get("Server-Timing", "")
        except TimeoutError:
            connection.close()
            return TIMEOUT, ""
        except (OSError, http.client.HTTPException):
            connection.close()
            return CONNECTION, ""

    def _block(self, cpu: float) -> Block:
        _, *columns, timings = zip(*sorted(self._outcomes), strict=True)
        sent, done, status = map(np.array, columns)
        issued = np.array(self._issued)
        begun, scheduled = issued[0], np.zeros(len(issued))  # offline: all at once
        if self._plan.scenario == "server":
            scheduled = arrivals(self._plan.seed, self._plan.target_qps, len(issued))
            begun = (issued - scheduled).min()  # nobody is early, and somebody is on time
        elif self._plan.scenario == "single_stream":
            scheduled = issued - begun  # each as soon as the one before has been answered
        late = np.where(self._free, sent, issued) - begun - scheduled
        parts = np.array([_parts(timing) for timing in timings])
        return Block(scheduled, sent - begun, done - begun, status, late, parts, np.array([cpu]))

    def _check(self, block: Block, summary: str) -> None:
        """Hold our mean latency against LoadGen's own."""
        found = re.search(r"Mean latency \(ns\)\s*:\s*(\d+)", summary)
        theirs = float(found[1]) / 1e6 if found else np.nan
        ours = float((block.done - block.scheduled).mean() * 1000)
        if not abs(ours - theirs) <= 0.5 + 0.02 * theirs:
            raise TandemError(f"the mean latency is {ours:.3f} ms by our record, and {theirs:.3f} ms by LoadGen's")


def _parts(timing: str) -> list[float]:
    found = dict(re.findall(r"(\w+);dur=([\d.]+)", timing))
    return [float(found.get(part, "nan")) for part in PARTS]


def _log_to(folder: str) -> loadgen.LogSettings:
    settings, output = loadgen.LogSettings(), loadgen.LogOutputSettings()
    output.outdir, output.copy_summary_to_stdout = folder, False
    settings.log_output, settings.enable_trace = output, False
    return settings
