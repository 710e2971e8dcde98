"""Computes the figures of one side at one rate from its blocks, and decides whether they are valid."""

from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.loadtest.generator import Block
from services.loadtest.intervals import estimate_quantile, estimate_shift
from services.loadtest.sender import CONNECTION_FAILED, GENERATOR_DIED, HTTP_OK, NOT_SENT, TIMED_OUT
from shared.jobs.loadtests import LoadResult

QUANTILES = {"p50_ms": 0.5, "p90_ms": 0.9, "p99_ms": 0.99}
# The fewest requests that allow one latency above the p99.9 at 99 % confidence: LoadGen's rule for early stopping.
P999_MIN_REQUESTS = 6_636
# The quantiles that a report draws: every percent, and every tenth of a percent from 99 % on.
DRAWN_LEVELS = np.concatenate([np.arange(0, 99) / 100, np.arange(990, 1001) / 1000])
MIN_BLOCKS = 6  # with fewer blocks, results have no intervals
INTERVAL_CONFIDENCE = 0.95
# At its p99 the generator may be 5 ms late, or a tenth of the p99 latency if that is more.
ALLOWED_LATE_MS = 5.0
ALLOWED_LATE_SHARE = 0.1
ALLOWED_CPU_SHARE = 0.9  # of the one core that the generator's process can use
PREDICTORS_CHANGED = "a predictor was restarted, added or removed"
ERROR_KINDS = {
    CONNECTION_FAILED: "connection",
    TIMED_OUT: "timeout",
    NOT_SENT: "not sent in time",
    GENERATOR_DIED: "load generator died",
}


@dataclass(frozen=True)
class MeasuredBlock:
    """A block, and what the backend's predictors used meanwhile.

    Attributes:
        block: what happened to the queries.
        start_s: when the block began, in seconds since the start of the load test.
        cpu_seconds: CPU time that all predictors together used during the block; None if unknown.
        peak_memory_bytes: the predictors' peak resident memory since they started, added; None if unknown.
        have_predictors_changed: whether a predictor was restarted, added or removed during the block or since the last.
    """

    block: Block
    start_s: float
    cpu_seconds: float | None
    peak_memory_bytes: int | None
    have_predictors_changed: bool = False


def find_fault(measured: list[MeasuredBlock]) -> str | None:
    """Return why the figures of these blocks cannot be relied on, or None if they can."""
    blocks = [one.block for one in measured]
    if fault := find_generator_fault(blocks):
        return fault
    if changes := sum(one.have_predictors_changed for one in measured):
        return f"{PREDICTORS_CHANGED} in {changes} of {len(measured)} blocks"
    if silent := sum(not block.is_answered.any() for block in blocks):
        return f"no request was answered with 200 in {silent} of {len(measured)} blocks"
    return None


def find_generator_fault(blocks: list[Block]) -> str | None:
    """Return why the generator did not keep its schedule in these blocks, or None if it did."""
    if faults := [block.fault for block in blocks if block.fault]:
        return f"in {len(faults)} of {len(blocks)} blocks, {faults[0]}"
    late_ms = _late_p99_ms(blocks)
    latencies_ms = np.concatenate([block.latency_ms for block in blocks])
    allowed_ms = ALLOWED_LATE_MS
    if len(latencies_ms):
        allowed_ms = max(ALLOWED_LATE_MS, ALLOWED_LATE_SHARE * float(np.quantile(latencies_ms, 0.99)))
    cpu_share = max(block.cpu_share for block in blocks)
    if late_ms > allowed_ms:
        return f"the p99 of the load generator's own delay was {late_ms:.1f} ms, more than {allowed_ms:.1f} ms"
    if cpu_share > ALLOWED_CPU_SHARE:
        return f"the load generator used {cpu_share:.0%} of the one core that it can use"
    return None


def compute_result(measured: list[MeasuredBlock], target_qps: float | None, latency_bound_ms: float) -> LoadResult:
    """Return the figures of one side at one rate.

    Args:
        measured: all blocks of this side at this rate, at least one.
        target_qps: the rate in requests per second; None if the scenario has none.
        latency_bound_ms: the upper bound for the p99.
    """
    blocks = [one.block for one in measured]
    latencies_ms = [block.latency_ms for block in blocks]
    answered = sum(map(len, latencies_ms))
    statuses = Counter(status for block in blocks for status in block.status.tolist() if status != HTTP_OK)
    invalid_reason = find_fault(measured)
    quantiles, intervals = _estimate_figures(blocks) if answered else ({}, {})
    return LoadResult(
        target_qps=target_qps,
        achieved_qps=answered / sum(float(block.done_s.max()) for block in blocks),
        queries=sum(len(block.done_s) for block in blocks),
        blocks=len(blocks),
        valid=invalid_reason is None,
        invalid_reason=invalid_reason,
        p50_ms=quantiles.get("p50_ms"),
        p90_ms=quantiles.get("p90_ms"),
        p99_ms=quantiles.get("p99_ms"),
        p999_ms=quantiles.get("p999_ms"),
        intervals=intervals,
        meets_bound=bool(answered and quantiles["p99_ms"] <= latency_bound_ms and not statuses),
        errors={ERROR_KINDS.get(status, f"HTTP {status}"): count for status, count in sorted(statuses.items())},
        late_p99_ms=_late_p99_ms(blocks),
        generator_p50_ms=_generator_quantile(blocks, 0.5) if answered else None,
        generator_p99_ms=_generator_quantile(blocks, 0.99) if answered else None,
        cpu_seconds_per_1000=_cpu_seconds_per_1000(measured, answered),
        peak_memory_bytes=max((one.peak_memory_bytes or 0 for one in measured), default=0) or None,
        time_split_ms=_split_time(blocks) if answered else {},
        distribution=_describe_distribution(np.concatenate(latencies_ms)) if answered else None,
        over_time=[point for one in measured for point in _latency_by_second(one)],
    )


def _late_p99_ms(blocks: list[Block]) -> float:
    return float(np.quantile(np.concatenate([block.late_s for block in blocks]), 0.99) * 1000)


def _generator_quantile(blocks: list[Block], level: float) -> float:
    return float(np.quantile(np.concatenate([block.generator_ms for block in blocks]), level))


def _cpu_seconds_per_1000(measured: list[MeasuredBlock], answered: int) -> float | None:
    """Return the predictors' CPU seconds per 1,000 answered requests; None if one block's are unknown."""
    known = [one.cpu_seconds for one in measured if one.cpu_seconds is not None]
    return 1000 * sum(known) / answered if answered and len(known) == len(measured) else None


def _estimate_figures(blocks: list[Block]) -> tuple[dict[str, float], dict[str, tuple[float, float]]]:
    """Return the latency quantiles, and the intervals of these and of the achieved rate."""
    latencies_ms = [block.latency_ms for block in blocks]
    levels = dict(QUANTILES)
    if sum(map(len, latencies_ms)) >= P999_MIN_REQUESTS:
        levels["p999_ms"] = 0.999
    estimates = {name: estimate_quantile(latencies_ms, level) for name, level in levels.items()}
    quantiles = {name: estimate.value for name, estimate in estimates.items()}
    if len(blocks) < MIN_BLOCKS:
        return quantiles, {}
    rates = np.array([block.answered_qps for block in blocks])
    estimates["achieved_qps"] = estimate_shift(rates, INTERVAL_CONFIDENCE)
    return quantiles, {name: (estimate.low, estimate.high) for name, estimate in estimates.items()}


def _describe_distribution(latencies_ms: NDArray[np.float64]) -> dict[str, list[float]]:
    quantiles = np.quantile(latencies_ms, DRAWN_LEVELS, method="inverted_cdf")
    return {"levels": DRAWN_LEVELS.tolist(), "latency_ms": quantiles.tolist()}


def _split_time(blocks: list[Block]) -> dict[str, float]:
    """Return where the time of answered requests was spent: means in milliseconds, whose sum is the mean latency.

    waiting: for a free connection; generator: in the generator, which sends late and reads the answer some time after
    its last byte has arrived; network: sockets and HTTP; decode: decoding the PNG; prepare: bringing the image to the
    model's size; queue: waiting for another call to the same model; hop: between gateway and predictor; compute: in
    the predictor; gateway: everything else in the gateway.
    """
    answered = [block.is_answered for block in blocks]
    scheduled_ms, sent_ms, done_ms, late_ms, handling_ms = (
        np.concatenate([getattr(block, name)[good] for block, good in zip(blocks, answered, strict=True)]) * 1000
        for name in ("scheduled_s", "sent_s", "done_s", "late_s", "handling_s")
    )
    parts_ms = np.concatenate([block.parts_ms[good] for block, good in zip(blocks, answered, strict=True)])
    total, decode, prepare, queue, hop, compute = np.nan_to_num(parts_ms).T
    split = {
        "waiting": np.maximum(sent_ms - scheduled_ms - late_ms, 0),  # rounding can make it a little less than 0
        "generator": late_ms + handling_ms,
        "network": done_ms - handling_ms - sent_ms - total,
        "gateway": total - decode - prepare - queue - hop,
        "decode": decode,
        "prepare": prepare,
        "queue": queue,
        "hop": hop - compute,
        "compute": compute,
    }
    return {name: float(values.mean()) for name, values in split.items()}


def _latency_by_second(one: MeasuredBlock) -> list[dict[str, float]]:
    """Return the median and the largest latency of the requests that were scheduled in each second of the test."""
    latencies_ms = one.block.latency_ms
    seconds = (one.start_s + one.block.scheduled_s[one.block.is_answered]) // 1
    return [
        {
            "at_s": float(second),
            "p50_ms": float(np.median(latencies_ms[seconds == second])),
            "max_ms": float(latencies_ms[seconds == second].max()),
        }
        for second in np.unique(seconds)
    ]
