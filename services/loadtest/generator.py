"""Runs one block: MLPerf LoadGen sends queries to one URL on its schedule, however slowly the service answers.

LoadGen decides when a query is issued and which image it carries. `sender.py` posts the image. Latency counts from
the scheduled time, so that a stalled service is charged for every request that arrived during the stall (Schroeder,
Wierman and Harchol-Balter 2006, "Open versus closed: a cautionary tale"). The scheduled times come from `arrivals.py`.
If the mean latency differs from the one in LoadGen's own record, or the process died, the block has a fault.
"""

import gc
import io
import multiprocessing
import multiprocessing.connection
import re
import signal
import sys
import tempfile
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

import mlperf_loadgen as loadgen
import numpy as np
from numpy.typing import NDArray

from services.loadtest.arrivals import draw_arrivals
from services.loadtest.sender import GENERATOR_DIED, HTTP_OK, TIMING_PARTS, QueryOutcome, Sender, parse_server_timing
from shared.jobs.loadtests import Scenario
from shared.process import end_with_parent, set_timer_slack

CONNECTIONS = 64  # at most this many requests are under way at once
GRACE_S = 5.0  # after the planned end of a block, waiting queries are still sent for this long
SWITCH_INTERVAL_S = 0.001  # how soon a busy thread lets LoadGen's thread run
TIMER_SLACK_NS = 1  # how late the kernel may wake LoadGen's thread on purpose
LOADGEN_SCENARIOS = {
    "server": loadgen.TestScenario.Server,
    "single_stream": loadgen.TestScenario.SingleStream,
    "offline": loadgen.TestScenario.Offline,
}


@dataclass(frozen=True)
class BlockPlan:
    """What one block sends.

    Attributes:
        scenario: when queries are issued.
        url: where images are posted.
        target_qps: queries per second; used only in the scenario `server`.
        queries: number of queries.
        duration_s: about how long the block takes.
        seed: decides the arrival times and which image each query carries.
        headers: of every request.
    """

    scenario: Scenario
    url: str
    target_qps: float
    queries: int
    duration_s: float
    seed: int
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Block:
    """What happened to the N queries of a block, in order of issue. Times count from the block's start.

    Attributes:
        scheduled_s: float64 [N], when the query should have been sent.
        sent_s: float64 [N], when sending began.
        done_s: float64 [N], when the answer was complete.
        status: int64 [N], HTTP status, or one of the constants in `sender.py`.
        late_s: float64 [N], how late the generator was: in sending if a connection was free, else in issuing.
        handling_s: float64 [N], how long before `done_s` the last byte of the answer arrived; 0 without an answer.
        parts_ms: float64 [N, 6], the parts of Server-Timing in the order of TIMING_PARTS; nan if not reported.
        cpu_share: CPU seconds per second of wall time of the generator's process.
        fault: why the block's figures cannot be relied on; empty if they can.
    """

    scheduled_s: NDArray[np.float64]
    sent_s: NDArray[np.float64]
    done_s: NDArray[np.float64]
    status: NDArray[np.int64]
    late_s: NDArray[np.float64]
    handling_s: NDArray[np.float64]
    parts_ms: NDArray[np.float64]
    cpu_share: float
    fault: str = ""

    @property
    def is_answered(self) -> NDArray[np.bool_]:
        """bool [N], which queries were answered with 200."""
        answered: NDArray[np.bool_] = self.status == HTTP_OK
        return answered

    @property
    def is_lost(self) -> bool:
        """Whether the generator's process died, so that nothing is known of the queries."""
        return bool((self.status == GENERATOR_DIED).all())

    @property
    def latency_ms(self) -> NDArray[np.float64]:
        """float64, time from schedule to answer of every query that was answered with 200."""
        return ((self.done_s - self.scheduled_s) * 1000)[self.is_answered]

    @property
    def generator_ms(self) -> NDArray[np.float64]:
        """float64, the generator's own time in each of `latency_ms`: late sending, and reading the answer."""
        return ((self.late_s + self.handling_s) * 1000)[self.is_answered]

    @property
    def p99_ms(self) -> float:
        """The p99 of `latency_ms`; at least one query must have been answered."""
        return float(np.quantile(self.latency_ms, 0.99, method="inverted_cdf"))

    @property
    def answered_qps(self) -> float:
        """Queries answered with 200 per second, until the last answer."""
        return float(self.is_answered.sum() / self.done_s.max())


def run_block(plan: BlockPlan, images: list[bytes]) -> Block:
    """Run a block in a process of its own, because LoadGen runs only one test per process.

    Args:
        plan: what to send.
        images: the PNG files from which LoadGen chooses.

    Returns:
        What happened. If the process died, no query counts as answered, and the block has a fault.
    """
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_run_in_child, args=(sender, plan, images), daemon=True)
    process.start()
    sender.close()
    try:
        arrays = np.load(io.BytesIO(receiver.recv_bytes()), allow_pickle=False)
    except EOFError:
        process.join()
        return _lost_block(plan, f"the load generator's process died with exit code {process.exitcode}")
    process.join()
    return Block(**{**arrays, "cpu_share": float(arrays["cpu_share"]), "fault": str(arrays["fault"])})


def _lost_block(plan: BlockPlan, fault: str) -> Block:
    """Return the block of a process that died: its queries are unanswered, over the planned duration."""
    zeros = np.zeros(plan.queries)
    return Block(
        scheduled_s=zeros,
        sent_s=zeros,
        done_s=np.full(plan.queries, plan.duration_s),
        status=np.full(plan.queries, GENERATOR_DIED),
        late_s=zeros,
        handling_s=zeros,
        parts_ms=np.full((plan.queries, len(TIMING_PARTS)), np.nan),
        cpu_share=0.0,
        fault=fault,
    )


def _run_in_child(pipe: multiprocessing.connection.Connection, plan: BlockPlan, images: list[bytes]) -> None:
    end_with_parent(signal.SIGKILL)
    set_timer_slack(TIMER_SLACK_NS)
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    gc.disable()  # a collection would delay queries, and a block makes no cyclic garbage
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **vars(_BlockRun(plan, images).carry_out()))
    pipe.send_bytes(buffer.getvalue())


class _BlockRun:
    """Connects LoadGen, which issues queries in its own thread, with a Sender."""

    def __init__(self, plan: BlockPlan, images: list[bytes]) -> None:
        self._plan = plan
        self._image_count = len(images)
        connections = 1 if plan.scenario == "single_stream" else CONNECTIONS
        give_up_at_s = time.perf_counter() + plan.duration_s + GRACE_S
        self._sender = Sender(plan.url, plan.headers, images, connections, give_up_at_s, _complete)

    def carry_out(self) -> Block:
        count = self._image_count
        sut = loadgen.ConstructSUT(self._issue, lambda: None)
        qsl = loadgen.ConstructQSL(count, count, lambda _: None, lambda _: None)
        wall, cpu = time.perf_counter(), time.process_time()
        with tempfile.TemporaryDirectory() as folder:
            loadgen.StartTestWithLogSettings(sut, qsl, _test_settings(self._plan), _log_settings(folder))
            cpu_share = (time.process_time() - cpu) / (time.perf_counter() - wall)
            block = self._make_block(cpu_share)
            fault = _compare_mean_latency(block, Path(folder, "mlperf_log_summary.txt").read_text())
        return replace(block, fault=fault)

    def _issue(self, samples: list[loadgen.QuerySample]) -> None:
        now_s = time.perf_counter()
        for sample in samples:
            self._sender.issue(sample.id, sample.index, now_s)

    def _make_block(self, cpu_share: float) -> Block:
        outcomes: list[QueryOutcome] = sorted(self._sender.outcomes)
        issued_s = np.array(self._sender.issued_s)
        sent_s = np.array([outcome.sent_s for outcome in outcomes])
        done_s = np.array([outcome.done_s for outcome in outcomes])
        if self._plan.scenario == "server":
            scheduled_s = draw_arrivals(self._plan.seed, self._plan.target_qps, len(issued_s))
            # No query is issued early, and the most punctual one is taken to be on time.
            start_s = (issued_s - scheduled_s).min()
        else:
            start_s = issued_s[0]
            # offline schedules all queries at the start; single_stream, each when the one before is answered.
            scheduled_s = np.zeros(len(issued_s)) if self._plan.scenario == "offline" else issued_s - start_s
        left_s = np.where(self._sender.had_free_connection, sent_s, issued_s)
        return Block(
            scheduled_s=scheduled_s,
            sent_s=sent_s - start_s,
            done_s=done_s - start_s,
            status=np.array([outcome.status for outcome in outcomes]),
            late_s=left_s - start_s - scheduled_s,
            handling_s=np.array([outcome.handling_s for outcome in outcomes]),
            parts_ms=np.array([parse_server_timing(outcome.server_timing) for outcome in outcomes]),
            cpu_share=cpu_share,
        )


def _complete(token: int) -> None:
    loadgen.QuerySamplesComplete([loadgen.QuerySampleResponse(token, 0, 0)])


def _compare_mean_latency(block: Block, loadgen_summary: str) -> str:
    """Return a fault if the block's mean latency is not the one in LoadGen's summary, else an empty text.

    They differ on a busy machine: if even the most punctual query is issued late, the block's start is taken to be
    later than it was, and every latency is too short.
    """
    found = re.search(r"Mean latency \(ns\)\s*:\s*(\d+)", loadgen_summary)
    loadgen_ms = float(found[1]) / 1e6 if found else np.nan
    block_ms = float((block.done_s - block.scheduled_s).mean() * 1000)
    if abs(block_ms - loadgen_ms) <= 0.5 + 0.02 * loadgen_ms:
        return ""
    return f"the measured mean latency is {block_ms:.3f} ms, but LoadGen's own record says {loadgen_ms:.3f} ms"


def _test_settings(plan: BlockPlan) -> loadgen.TestSettings:
    settings = loadgen.TestSettings()
    settings.scenario = LOADGEN_SCENARIOS[plan.scenario]
    settings.mode = loadgen.TestMode.PerformanceOnly
    settings.schedule_rng_seed = plan.seed
    settings.sample_index_rng_seed = plan.seed
    settings.qsl_rng_seed = plan.seed
    settings.min_duration_ms = 1
    settings.min_query_count = plan.queries
    if plan.scenario != "offline":  # offline has one query, which holds all samples
        settings.max_query_count = plan.queries
    if plan.scenario == "server":
        settings.server_target_qps = plan.target_qps
    return settings


def _log_settings(folder: str) -> loadgen.LogSettings:
    output = loadgen.LogOutputSettings()
    output.outdir = folder
    output.copy_summary_to_stdout = False
    settings = loadgen.LogSettings()
    settings.log_output = output
    settings.enable_trace = False
    return settings
