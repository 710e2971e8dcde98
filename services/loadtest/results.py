"""From blocks to figures: what a load test reports of each side at each rate, and of two beside each other."""

from collections import Counter
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.loadtest.generator import CONNECTION, CONNECTIONS, OK, TIMEOUT, UNSENT, Block
from services.loadtest.intervals import quantile, shift

LEVELS = {"p50_ms": 0.5, "p90_ms": 0.9, "p99_ms": 0.99}
P999_QUERIES = 6_636  # so many allow one late query at p99.9 with 99 % confidence, as LoadGen stops early
DRAWN = np.concatenate([np.arange(0, 99) / 100, np.arange(990, 1001) / 1000])  # levels of a drawn distribution
MIN_BLOCKS = 6  # fewer give no interval
LATE_MS, LATE_SHARE = 5.0, 0.1  # how late a generator may be, at its p99: the larger of this and of a tenth of the p99
CPU = 0.9  # and how much of its one core it may use
CONFIDENCE = 0.99  # of a test's claim, over all its pairs
ERRORS = {CONNECTION: "connection", TIMEOUT: "timeout", UNSENT: "not sent in time"}
UNITS = {"p99_ms": "ms", "achieved_qps": "/s", "largest_qps": "/s"}


@dataclass(frozen=True)
class Measured:
    """A block; when it began, in seconds since the test did; what the backend's predictor used meanwhile."""

    block: Block
    begun_s: float
    cpu_seconds: float | None
    peak_memory_bytes: int | None


def lateness(blocks: list[Block]) -> str | None:
    """Why the generator did not keep its schedule; None where it did."""
    late_ms = float(np.quantile(np.concatenate([block.late for block in blocks]), 0.99) * 1000)
    answered = np.concatenate([block.latency_ms for block in blocks])
    allowed = max(LATE_MS, LATE_SHARE * float(np.quantile(answered, 0.99))) if len(answered) else LATE_MS
    cpu = max(float(block.cpu[0]) for block in blocks)
    if late_ms > allowed:
        return f"the generator was {late_ms:.1f} ms late at its p99, more than {allowed:.1f} ms"
    if cpu > CPU:
        return f"the generator used {cpu:.0%} of the one core that it can use"
    return None


def result(measured: list[Measured], target_qps: float | None, latency_bound_ms: float) -> dict[str, Any]:
    """The figures of one side at one rate, over all its blocks."""
    blocks = [one.block for one in measured]
    latencies = [block.latency_ms for block in blocks]
    answered = sum(map(len, latencies))
    statuses = Counter(status for block in blocks for status in block.status.tolist() if status != OK)
    invalid = lateness(blocks) or (None if answered else "no request was answered")
    cpu = [one.cpu_seconds for one in measured]
    known = [value for value in cpu if value is not None]
    rates = np.array([block_rate(block) for block in blocks])
    found: dict[str, Any] = {
        "target_qps": target_qps,
        "achieved_qps": answered / sum(float(block.done.max()) for block in blocks),
        "queries": sum(len(block.done) for block in blocks),
        "blocks": len(blocks),
        "valid": invalid is None,
        "invalid_reason": invalid,
        "errors": {ERRORS.get(status, f"HTTP {status}"): count for status, count in sorted(statuses.items())},
        "late_p99_ms": float(np.quantile(np.concatenate([block.late for block in blocks]), 0.99) * 1000),
        "cpu_seconds_per_1000": 1000 * sum(known) / answered if answered and len(known) == len(cpu) else None,
        "peak_memory_bytes": max((one.peak_memory_bytes or 0 for one in measured), default=0) or None,
        "time_split_ms": _split(blocks) if answered else {},
        "distribution": None,
        "over_time": [point for one in measured for point in _over_time(one)],
        "intervals": {},
        **dict.fromkeys((*LEVELS, "p999_ms"), None),
    }
    if answered:
        wide = LEVELS | ({"p999_ms": 0.999} if answered >= P999_QUERIES else {})
        for name, level in wide.items():
            found[name], *interval = quantile(latencies, level)
            if len(blocks) >= MIN_BLOCKS:
                found["intervals"][name] = interval
        if len(blocks) >= MIN_BLOCKS:
            found["intervals"]["achieved_qps"] = shift(rates, 0.95)[1:]
        values = np.quantile(np.concatenate(latencies), DRAWN, method="inverted_cdf")
        found["distribution"] = {"levels": DRAWN.tolist(), "latency_ms": values.tolist()}
    found["meets_bound"] = bool(answered and found["p99_ms"] <= latency_bound_ms and not statuses)
    return found


def block_rate(block: Block) -> float:
    """Answered requests a second, until the last answer."""
    return float(np.sum(block.status == OK) / block.done.max())


def block_p99(block: Block) -> float:
    return float(np.quantile(block.latency_ms, 0.99, method="inverted_cdf"))


def comparisons(sides: list[str], paired: dict[str, NDArray[np.float64]], **about: Any) -> list[dict[str, Any]]:
    """One claim for each pair of sides: by how much the second exceeds the first, block by block.

    Args:
        paired: the figure of each block, float64 [blocks]; empty where there is nothing to compare.
        about: `metric`, and `target_qps` where the figure belongs to one rate.
    """
    pairs = list(combinations(sides, 2))
    return [_comparison(pair, paired, 1 - (1 - CONFIDENCE) / len(pairs), **about) for pair in pairs]


def _comparison(
    pair: tuple[str, str],
    paired: dict[str, NDArray[np.float64]],
    confidence: float,
    metric: str,
    target_qps: float | None = None,
) -> dict[str, Any]:
    found = {"backends": list(pair), "metric": metric, "target_qps": target_qps, "confidence": confidence}
    if not paired:
        claim = "nothing is claimed: there is no rate at which every side is valid and without errors"
        return {**found, "blocks": 0, "difference": None, "claim": claim}
    differences = paired[pair[1]] - paired[pair[0]]
    value, low, high = shift(differences, confidence)
    claim = "no difference shown"
    if low > 0 or high < 0:
        what = {"p99_ms": "p99", "achieved_qps": "rate", "largest_qps": "largest rate"}[metric]
        where = f" at {target_qps:g}/s" if target_qps else ""
        size = f"{abs(value):.2f} {UNITS[metric]} {'higher' if value > 0 else 'lower'}".replace(" /s", "/s")
        claim = f"{pair[1]}'s {what}{where} is {size} than {pair[0]}'s"
    # Three pairs or more leave a search too few passes for its confidence: then there are no ends.
    ends = {"low": low, "high": high} if np.isfinite(low) else {"low": None, "high": None}
    difference = {"value": value, **ends}
    return {**found, "blocks": len(differences), "difference": difference, "claim": claim}


def _split(blocks: list[Block]) -> dict[str, float]:
    """Where a request's time went, means in milliseconds; the parts add up to the mean latency.

    waiting: in the generator, for its schedule's thread or for a connection; network: sockets and HTTP;
    gateway: all it does but for decode, the file, and prepare, the picture; queue: for the call in flight
    to the same model; hop: from the gateway to the backend and back;
    compute: the backend alone.
    """
    good = [block.status == OK for block in blocks]
    scheduled, sent, done = (
        np.concatenate([getattr(block, name)[ok] for block, ok in zip(blocks, good, strict=True)]) * 1000
        for name in ("scheduled", "sent", "done")
    )
    parts = np.concatenate([block.parts[ok] for block, ok in zip(blocks, good, strict=True)])
    total, decode, prepare, queue, hop, compute = np.nan_to_num(parts).T
    split = {
        "waiting": sent - scheduled,
        "network": done - sent - total,
        "gateway": total - decode - prepare - queue - hop,
        "decode": decode,
        "prepare": prepare,
        "queue": queue,
        "hop": hop - compute,
        "compute": compute,
    }
    return {name: float(values.mean()) for name, values in split.items()}


def _over_time(one: Measured) -> list[dict[str, float]]:
    """Latencies by the second of the test in which they were to be sent."""
    good = one.block.status == OK
    seconds, latencies = (one.begun_s + one.block.scheduled[good]) // 1, one.block.latency_ms
    return [
        {
            "at_s": float(second),
            "p50_ms": float(np.median(latencies[seconds == second])),
            "max_ms": float(latencies[seconds == second].max()),
        }
        for second in np.unique(seconds)
    ]


GENERATOR = {"connections": CONNECTIONS, "allowed_late_ms": LATE_MS, "allowed_late_share": LATE_SHARE}
