"""LoadGen against a real HTTP server on loopback: schedule, latency, stalls, errors, and a slow generator."""

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from services.loadtest.arrivals import draw_arrivals
from services.loadtest.generator import Block, BlockPlan, _compare_mean_latency, run_block
from services.loadtest.results import MeasuredBlock, compute_result, find_generator_fault
from services.loadtest.sender import HTTP_OK
from shared.jobs.loadtests import LoadResult, Scenario
from tests.polling import wait_until

STALL_S = 0.5
SERVER_TIMING = (
    "decode;dur=0.25, prepare;dur=0.25, "
    'queue;dur=0.125;desc="x", hop;dur=2.0;desc="x", compute;dur=0.25;desc="x", total;dur=3.0'
)


class Service(ThreadingHTTPServer):
    """Answers at once, except during one stall of STALL_S seconds.

    Attributes:
        status: of every answer.
        stall_from: number of the request that begins the stall, counted from 1; 0 for no stall.
        held: how many requests arrived during the stall.
    """

    daemon_threads = True
    request_queue_size = 128
    status = 200
    stall_from = 0
    received = held = 0
    stall_end_s = 0.0
    lock = threading.Lock()

    def wait_for_end_of_stall(self) -> None:
        now_s = time.perf_counter()
        with self.lock:
            self.received += 1
            if self.received == self.stall_from:
                self.stall_end_s = now_s + STALL_S
            is_held = now_s < self.stall_end_s
            self.held += is_held
        if is_held:
            time.sleep(self.stall_end_s - now_s)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Service

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.wait_for_end_of_stall()
        head = f"HTTP/1.1 {self.server.status} x\r\nContent-Length: 2\r\nServer-Timing: {SERVER_TIMING}\r\n\r\n"
        self.wfile.write(head.encode() + b"{}")

    def log_message(self, *args: object) -> None:
        """Log nothing."""


@pytest.fixture
def service() -> Iterator[Service]:
    with Service(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def run(
    service: Service, scenario: Scenario, qps: float = 100, queries: int = 100, duration_s: float = 1, seed: int = 3
) -> Block:
    url = f"http://127.0.0.1:{service.server_address[1]}/v1/predictions?model=x"
    return run_block(BlockPlan(scenario, url, qps, queries, duration_s, seed), [b"image"] * 8)


def run_without_fault(service: Service, qps: float, queries: int) -> Block:
    """Return a block whose mean latency is LoadGen's own. On a busy machine this may take several attempts."""
    return wait_until(
        lambda: None if (block := run(service, "server", qps, queries)).fault else block,
        message="every block had a fault",
    )


def compute(block: Block) -> LoadResult:
    return compute_result([MeasuredBlock(block, 0, None, None)], target_qps=100, latency_bound_ms=50)


def test_the_drawn_schedule_is_loadgens_own(service: Service) -> None:
    """A block whose mean latency differs from LoadGen's has a fault; no request is sent early."""
    block = run_without_fault(service, qps=200, queries=200)
    assert len(block.done_s) == 200
    assert (block.status == HTTP_OK).all()
    assert np.array_equal(block.scheduled_s, draw_arrivals(3, 200, 200))
    assert (block.sent_s >= block.scheduled_s).all()
    assert (block.done_s > block.sent_s).all()


def test_a_stall_shows_in_the_p99_of_an_open_loop_but_not_of_a_closed_loop(service: Service) -> None:
    """Both loops meet the same stall. The closed loop sends one request during it; the open loop sends on schedule."""
    service.stall_from = 100
    open_loop = run(service, "server", qps=100, queries=300, duration_s=3)
    assert service.held > 0.01 * 300

    service.received = service.held = 0
    closed_loop = run(service, "single_stream", queries=3000, duration_s=3)
    assert service.held == 1
    assert open_loop.p99_ms > closed_loop.p99_ms


def test_offline_sends_all_requests_at_once(service: Service) -> None:
    block = run(service, "offline", queries=200)
    assert len(block.done_s) == 200
    assert (block.scheduled_s == 0).all()
    assert block.answered_qps > 0


def test_a_generator_that_cannot_keep_its_schedule_is_reported(service: Service) -> None:
    """The generator's process is stopped for a while, and sends late what was scheduled meanwhile."""
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(run, service, "server", qps=200, queries=200)
        wait_until(lambda: service.received > 0, message="the generator sent nothing")
        processes = multiprocessing.active_children()
        for process in processes:
            os.kill(process.pid or 0, signal.SIGSTOP)
        time.sleep(STALL_S)
        for process in processes:
            os.kill(process.pid or 0, signal.SIGCONT)
        block = running.result()
    reason = find_generator_fault([block])
    assert reason
    assert "generator" in reason or "LoadGen" in reason


def test_error_responses_are_counted_by_status(service: Service) -> None:
    service.status = 503
    result = compute(run(service, "server"))
    assert result.errors == {"HTTP 503": 100}
    assert result.p99_ms is None
    assert not result.valid
    assert not result.meets_bound


def test_a_generator_that_dies_leaves_a_block_with_a_fault_and_no_answers(service: Service) -> None:
    service.stall_from = 1
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(run, service, "server")
        wait_until(lambda: service.held > 0, message="the generator sent nothing")
        for process in multiprocessing.active_children():
            process.kill()
        block = running.result()
    assert block.is_lost
    result = compute(block)
    assert result.errors == {"load generator died": 100}
    assert not result.valid
    assert result.invalid_reason == "in 1 of 1 blocks, the load generator's process died with exit code -9"


def test_a_mean_latency_that_differs_from_loadgens_record_is_a_fault_of_the_block(service: Service) -> None:
    block = run(service, "server")
    mean_ns = (block.done_s - block.scheduled_s).mean() * 1e9
    assert _compare_mean_latency(block, f"Mean latency (ns) : {mean_ns:.0f}") == ""
    fault = _compare_mean_latency(block, f"Mean latency (ns) : {mean_ns + 5e6:.0f}")
    assert "LoadGen's own record says" in fault
    assert find_generator_fault([block, replace(block, fault=fault)]) == f"in 1 of 2 blocks, {fault}"


def test_refused_connections_are_counted_as_errors() -> None:
    plan = BlockPlan("server", "http://127.0.0.1:1/v1/predictions?model=x", 100, 50, 1, 0)
    assert compute(run_block(plan, [b"image"])).errors == {"connection": 50}


def test_the_time_split_adds_up_to_the_mean_latency(service: Service) -> None:
    block = run(service, "server")
    split = compute(block).time_split_ms
    assert sum(split.values()) == pytest.approx(block.latency_ms.mean())
    assert split["compute"] == pytest.approx(0.25)
    assert split["hop"] == pytest.approx(1.75)
    assert split["decode"] == pytest.approx(0.25)
    assert split["prepare"] == pytest.approx(0.25)
    assert split["queue"] == pytest.approx(0.125)
    assert split["gateway"] == pytest.approx(0.375)
    assert split["waiting"] == pytest.approx((block.sent_s - block.scheduled_s - block.late_s).mean() * 1000)
    assert split["generator"] == pytest.approx(block.generator_ms.mean())
    assert split["network"] == pytest.approx((block.done_s - block.sent_s - block.handling_s).mean() * 1000 - 3.0)
