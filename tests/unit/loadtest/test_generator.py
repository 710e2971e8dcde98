"""LoadGen against a real HTTP server on loopback: its schedule, its clock, a stall, a generator that cannot keep up."""

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from services.loadtest import generator, results
from services.loadtest.generator import OK, Block, Plan, arrivals

STALL_S = 0.5
SPLIT = (
    "decode;dur=0.25, prepare;dur=0.25, "
    'queue;dur=0.125;desc="x", hop;dur=2.0;desc="x", compute;dur=0.25;desc="x", total;dur=3.0'
)


class Service(ThreadingHTTPServer):
    """Answers at once, but for a stall of half a second that begins when it is told to."""

    daemon_threads = True
    request_queue_size = 128
    stall_at = float("inf")
    status = 200


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Service

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        now = time.perf_counter()
        if self.server.stall_at <= now < self.server.stall_at + STALL_S:
            time.sleep(self.server.stall_at + STALL_S - now)
        head = f"HTTP/1.1 {self.server.status} x\r\nContent-Length: 2\r\nServer-Timing: {SPLIT}\r\n\r\n"
        self.wfile.write(head.encode() + b"{}")

    def log_message(self, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def service() -> Iterator[Service]:
    with Service(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def run(
    service: Service, scenario: str, qps: float = 100, queries: int = 100, seconds: float = 1, seed: int = 3
) -> Block:
    url = f"http://127.0.0.1:{service.server_address[1]}/v1/predictions?model=x"
    return generator.run(Plan(scenario, url, qps, queries, seconds, seed), [b"picture"] * 8)


def test_the_schedule_drawn_here_is_loadgens_own(service: Service) -> None:
    """`run` refuses a test whose mean latency is not LoadGen's; and nobody is sent before the time."""
    block = run(service, "server", qps=200, queries=200)
    assert len(block.done) == 200
    assert (block.status == OK).all()
    assert np.array_equal(block.scheduled, arrivals(3, 200, 200))
    assert (block.sent >= block.scheduled).all()
    assert (block.done > block.sent).all()


def test_arrivals_are_poisson_and_each_seed_has_its_own() -> None:
    gaps = np.diff(arrivals(1, 50, 20_001))
    assert gaps.mean() == pytest.approx(1 / 50, rel=0.03)
    assert gaps.std() == pytest.approx(1 / 50, rel=0.03)
    assert not np.array_equal(arrivals(1, 50, 10), arrivals(2, 50, 10))


def test_an_open_loop_shows_a_stall_that_a_closed_loop_hides(service: Service) -> None:
    """Both meet the same half second: the one that waits for answers asks once in it, users keep coming."""
    service.stall_at = time.perf_counter() + 1
    open_loop = run(service, "server", qps=100, queries=300, seconds=3)
    service.stall_at = time.perf_counter() + 0.3
    closed_loop = run(service, "single_stream", queries=3000, seconds=3)
    assert open_loop.latency_ms.max() > 400
    assert closed_loop.latency_ms.max() > 400  # it was there for both
    assert np.quantile(open_loop.latency_ms, 0.99) > 400
    assert np.quantile(closed_loop.latency_ms, 0.99) < 100


def test_offline_sends_all_at_once(service: Service) -> None:
    block = run(service, "offline", queries=200)
    assert len(block.done) == 200
    assert (block.scheduled == 0).all()
    assert results.block_rate(block) > 0


def test_a_generator_that_cannot_keep_its_schedule_says_so(service: Service) -> None:
    block = run(service, "server", qps=100_000, queries=20_000, seconds=0.2)
    reason = results.lateness([block])
    assert reason
    assert "generator" in reason


def test_answers_that_are_no_answers_are_counted_by_kind(service: Service) -> None:
    service.status = 503
    found = results.result([results.Measured(run(service, "server"), 0, None, None)], 100, 50)
    assert found["errors"] == {"HTTP 503": 100}
    assert found["p99_ms"] is None
    assert not found["valid"]
    assert not found["meets_bound"]


def test_nobody_there_is_an_error_too(service: Service) -> None:
    plan = Plan("server", "http://127.0.0.1:1/v1/predictions?model=x", 100, 50, 1, 0)
    found = results.result([results.Measured(generator.run(plan, [b"picture"]), 0, None, None)], 100, 50)
    assert found["errors"] == {"connection": 50}


def test_the_time_split_adds_up_to_the_latency(service: Service) -> None:
    block = run(service, "server")
    split = results.result([results.Measured(block, 0, 0.5, 1000)], 100, 50)["time_split_ms"]
    assert sum(split.values()) == pytest.approx(block.latency_ms.mean())
    assert split["compute"] == pytest.approx(0.25)
    assert split["hop"] == pytest.approx(1.75)
    assert split["decode"] == pytest.approx(0.25)
    assert split["prepare"] == pytest.approx(0.25)
    assert split["queue"] == pytest.approx(0.125)
    assert split["gateway"] == pytest.approx(0.375)


def test_three_pairs_leave_eight_passes_no_ends_and_no_claim() -> None:
    sides = {"a": np.full(8, 100.0), "b": np.full(8, 110.0), "c": np.full(8, 90.0)}
    pairs = results.comparisons(list(sides), sides, metric="largest_qps")
    assert [pair["difference"]["value"] for pair in pairs] == [10, -10, -20]
    assert all(pair["difference"]["low"] is None and pair["claim"] == "no difference shown" for pair in pairs)
