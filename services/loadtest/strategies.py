"""What to ask of the sides: fixed rates, block by block, or a search for the largest that meets the bound."""

from typing import Any

import numpy as np

from services.loadtest import results
from services.loadtest.intervals import shift
from services.loadtest.sides import Bench

BLOCKS = 20  # for each side at each rate
PASSES = 8  # of a search, each in a bracket around what its first climb found
CLIMB = 8  # probes that the first climb takes, about
STEPS = 8  # in an octave of rates: each is 9 % above the one before
HALVES = (4, 2, 1)  # steps by which a bracket of an octave is halved
SLOWEST_QPS = 10.0
FASTEST = 9 * STEPS  # the fastest step: 5,120/s

Finding = dict[str, Any]


def fixed(bench: Bench, request: Finding, alone_qps: float) -> Finding:
    """Every rate in twenty blocks; one claim a pair: the p99 at the highest rate that all kept.

    Args:
        alone_qps: requests a second that every side answers one by one: how many there are where no rate is asked.
    """
    rates, duration_s = request["target_qps"] or [None], request["duration_s"] / BLOCKS
    bench.steps = len(rates) * BLOCKS * len(bench.sides)
    for place, rate in enumerate(rates):
        for number in range(BLOCKS):
            for side in bench.order(number):
                queries = max(1, round((rate or alone_qps) * duration_s))
                bench.measure(side, rate, queries, duration_s, place * BLOCKS + number)
    entries = _entries(bench, request)
    invalid = [
        f"{side}{' at {:g}/s'.format(entry['target_qps']) if entry['target_qps'] else ''}: {entry['invalid_reason']}"
        for side, found in entries.items()
        for entry in found
        if not entry["valid"]
    ]
    return {
        "valid": not invalid,
        "invalid_reason": "; ".join(invalid) or None,
        "results": entries,
        "largest_qps": {},
        "comparisons": _compare_rates(bench, request, entries),
    }


def _compare_rates(bench: Bench, request: Finding, entries: Finding) -> list[Finding]:
    flawless = [{e["target_qps"] for e in found if e["valid"] and not e["errors"]} for found in entries.values()]
    offline = request["scenario"] == "offline"
    figure = results.block_rate if offline else results.block_p99
    paired, rate = {}, None
    if common := set.intersection(*flawless):
        rate = max(common, key=lambda qps: qps or 0)
        paired = {side: np.array([figure(m.block) for m in found[rate]]) for side, found in bench.measured.items()}
    metric = "achieved_qps" if offline else "p99_ms"
    return results.comparisons(list(bench.sides), paired, metric=metric, target_qps=rate)


def search(bench: Bench, request: Finding) -> Finding:
    """The largest rate of each side whose p99 meets the bound: found by climbing, then again and again.

    Each pass halves a bracket of an octave three times, with arrivals of its own: the passes' answers
    are the blocks that the claim rests on.
    """
    bench.steps = len(bench.sides) * (CLIMB + PASSES * len(HALVES))
    probe = _Probe(bench, request)
    lowest = {side: max(0, _climb(probe, side) - HALVES[0]) for side in bench.sides}
    passes: dict[str, list[int]] = {side: [] for side in bench.sides}
    for number in range(PASSES):
        step = dict(lowest)
        for width in HALVES:
            for side in bench.order(number):
                if probe.meets(side, step[side] + width, number):
                    step[side] += width
        for side in bench.sides:
            passes[side].append(step[side])
    qps = {side: SLOWEST_QPS * 2.0 ** (np.array(steps) / STEPS) for side, steps in passes.items()}
    limited = [side for side in bench.sides if 2 * probe.not_kept[side] > probe.missed[side] > 0]
    return {
        "valid": not limited,
        "invalid_reason": f"the generator reached its own limit before {', '.join(limited)}" if limited else None,
        "results": _entries(bench, request),
        "largest_qps": {
            side: dict(zip(("value", "low", "high"), shift(found, 0.95), strict=True)) for side, found in qps.items()
        },
        "comparisons": results.comparisons(list(bench.sides), qps, metric="largest_qps"),
    }


class _Probe:
    """Asks whether a side meets the bound at a step; counts the misses, and those that the generator owes."""

    def __init__(self, bench: Bench, request: Finding) -> None:
        self._bench, self._bound_ms = bench, request["latency_bound_ms"]
        self._duration_s = request["duration_s"] / (CLIMB + PASSES * len(HALVES))
        self.missed = dict.fromkeys(bench.sides, 0)
        self.not_kept = dict.fromkeys(bench.sides, 0)

    def meets(self, side: str, step: int, seed: int) -> bool:
        qps = SLOWEST_QPS * 2 ** (step / STEPS)
        block = self._bench.measure(side, qps, max(1, round(qps * self._duration_s)), self._duration_s, seed)
        latencies = block.latency_ms
        if len(latencies) == len(block.done) and results.block_p99(block) <= self._bound_ms:
            return True
        self.missed[side] += 1
        self.not_kept[side] += results.lateness([block]) is not None
        return False


def _climb(probe: _Probe, side: str) -> int:
    """The largest step that meets the bound, to a quarter of an octave."""
    step = 0
    while step < FASTEST and probe.meets(side, step + STEPS, PASSES):
        step += STEPS
    for width in HALVES[:2]:
        if step < FASTEST and probe.meets(side, step + width, PASSES):
            step += width
    return step


def _entries(bench: Bench, request: Finding) -> Finding:
    bound_ms = request["latency_bound_ms"]
    return {
        side: [results.result(found[qps], qps, bound_ms) for qps in sorted(found, key=lambda qps: qps or 0)]
        for side, found in bench.measured.items()
    }
