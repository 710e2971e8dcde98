"""Two ways to load the sides: at fixed rates, or in a search for the largest rate that meets the latency bound."""

import numpy as np
from numpy.typing import NDArray

from services.loadtest.comparisons import compare_sides, to_interval
from services.loadtest.intervals import estimate_shift
from services.loadtest.results import (
    INTERVAL_CONFIDENCE,
    PREDICTORS_CHANGED,
    MeasuredBlock,
    compute_result,
    find_generator_fault,
)
from services.loadtest.sides import Sides
from shared.jobs.loadtests import LoadComparison, LoadFindings, LoadResult, LoadTestRequest, Metric

BLOCKS = 20  # per side and rate

# A search tries rates on a logarithmic scale: step s stands for SLOWEST_QPS * 2 ** (s / STEPS_PER_OCTAVE).
SLOWEST_QPS = 10.0
STEPS_PER_OCTAVE = 8  # each rate is 9 % above the one before
LAST_STEP = 9 * STEPS_PER_OCTAVE  # 5,120/s
HALVINGS = (4, 2, 1)  # steps by which a pass halves its bracket of one octave
PASSES = 8  # each halves the bracket that the climb found, with arrivals of its own
CLIMB_PROBES = 8  # about how many probes the climb takes

Results = dict[str, list[LoadResult]]


def measure_rates(sides: Sides, request: LoadTestRequest, sequential_qps: float) -> LoadFindings:
    """Measure every side at every rate in BLOCKS blocks, and compare the sides.

    Args:
        sides: the sides to measure.
        request: the rates, or a scenario without rates.
        sequential_qps: requests per second that the slowest side answers one after the other. It decides how many
            requests are sent if the scenario has no rate.
    """
    rates: list[float | None] = list(request.target_qps) if isinstance(request.target_qps, list) else [None]
    duration_s = request.duration_s / BLOCKS
    sides.planned_blocks = len(rates) * BLOCKS * len(sides.names)
    for place, rate in enumerate(rates):
        for number in range(BLOCKS):
            for side in sides.order_in_round(number):
                queries = max(1, round((rate or sequential_qps) * duration_s))
                sides.measure(side, rate, queries, duration_s, seed=place * BLOCKS + number)
    results = _compute_results(sides, request)
    reasons = [_state_reason(side, result) for side, found in results.items() for result in found if not result.valid]
    return LoadFindings(
        valid=not reasons,
        invalid_reason="; ".join(reasons) or None,
        results=results,
        largest_qps={},
        comparisons=_compare_at_highest_rate(sides, request, results),
    )


def _state_reason(side: str, result: LoadResult) -> str:
    at_rate = f" at {result.target_qps:g}/s" if result.target_qps else ""
    return f"{side}{at_rate}: {result.invalid_reason}"


def _compare_at_highest_rate(sides: Sides, request: LoadTestRequest, results: Results) -> list[LoadComparison]:
    """Compare the sides at the highest rate at which all of them are valid and have no errors."""
    flawless = [
        {result.target_qps for result in found if result.valid and not result.errors} for found in results.values()
    ]
    metric: Metric = "achieved_qps" if request.scenario == "offline" else "p99_ms"
    figures: dict[str, NDArray[np.float64]] = {}
    rate = None
    if common := set.intersection(*flawless):
        rate = max(common, key=lambda qps: qps or 0)
        for side, measured in sides.measured.items():
            blocks = [one.block for one in measured[rate]]
            figures[side] = np.array(
                [block.answered_qps if metric == "achieved_qps" else block.p99_ms for block in blocks]
            )
    return compare_sides(sides.names, figures, metric, rate)


def search_largest_rates(sides: Sides, request: LoadTestRequest) -> LoadFindings:
    """Find the largest rate of each side whose p99 meets the bound, and compare the sides.

    A climb finds a bracket of one octave. Each of PASSES passes then halves this bracket three times, with arrivals
    of its own. The rates that the passes find are compared like the figures of blocks.

    Args:
        sides: the sides to measure.
        request: the latency bound, and how long the search may load each side.
    """
    sides.planned_blocks = len(sides.names) * (CLIMB_PROBES + PASSES * len(HALVINGS))
    probe = _Probe(sides, request)
    bracket_starts = {side: max(0, _climb(probe, side) - HALVINGS[0]) for side in sides.names}
    steps: dict[str, list[int]] = {side: [] for side in sides.names}
    for number in range(PASSES):
        current = dict(bracket_starts)
        for width in HALVINGS:
            for side in sides.order_in_round(number):
                if probe.meets_bound(side, current[side] + width, seed=number):
                    current[side] += width
        for side in sides.names:
            steps[side].append(current[side])
    qps = {side: SLOWEST_QPS * 2.0 ** (np.array(found) / STEPS_PER_OCTAVE) for side, found in steps.items()}
    limited = [side for side in sides.names if probe.is_generator_limit(side)]
    reasons = [f"{side}: {fault}" for side, fault in probe.faults.items()]
    if limited:
        reasons.append(f"the load generator reached its own limit before the limit of {', '.join(limited)}")
    return LoadFindings(
        valid=not reasons,
        invalid_reason="; ".join(reasons) or None,
        results=_compute_results(sides, request),
        largest_qps={side: to_interval(estimate_shift(found, INTERVAL_CONFIDENCE)) for side, found in qps.items()},
        comparisons=compare_sides(sides.names, qps, "largest_qps"),
    )


class _Probe:
    """Measures single blocks of a search, and counts missed bounds and the generator's faults.

    Attributes:
        faults: why the largest rate of a side cannot be relied on, by side.
    """

    def __init__(self, sides: Sides, request: LoadTestRequest) -> None:
        self._sides = sides
        self._bound_ms = request.latency_bound_ms
        self._duration_s = request.duration_s / (CLIMB_PROBES + PASSES * len(HALVINGS))
        self.faults: dict[str, str] = {}
        self._misses = dict.fromkeys(sides.names, 0)
        self._generator_faults = dict.fromkeys(sides.names, 0)

    def meets_bound(self, side: str, step: int, seed: int) -> bool:
        """Measure a block; return whether all requests are answered and the p99 is within the bound."""
        qps = SLOWEST_QPS * 2 ** (step / STEPS_PER_OCTAVE)
        measured = self._sides.measure(side, qps, max(1, round(qps * self._duration_s)), self._duration_s, seed)
        block = measured.block
        is_met = bool(block.is_answered.all() and block.p99_ms <= self._bound_ms)
        if fault := _find_search_fault(measured, is_met):
            self.faults.setdefault(side, f"at {qps:.0f}/s, {fault}")
        if is_met:
            return True
        self._misses[side] += 1
        self._generator_faults[side] += find_generator_fault([block]) is not None
        return False

    def is_generator_limit(self, side: str) -> bool:
        """Return whether the generator was at fault in more than half of a side's misses."""
        return 2 * self._generator_faults[side] > self._misses[side] > 0


def _find_search_fault(measured: MeasuredBlock, is_met: bool) -> str | None:
    """Return why a block says nothing about the side's rate, or None.

    A generator that is late in a block that misses the bound is no fault: `is_generator_limit` counts such blocks.
    """
    if measured.have_predictors_changed:
        return PREDICTORS_CHANGED
    if measured.block.fault and (is_met or measured.block.is_lost):
        return measured.block.fault
    return None if measured.block.is_answered.any() else "no request was answered with 200"


def _climb(probe: _Probe, side: str) -> int:
    """Return the largest step that meets the bound, to within a quarter of an octave."""
    step = 0
    while step < LAST_STEP and probe.meets_bound(side, step + STEPS_PER_OCTAVE, seed=PASSES):
        step += STEPS_PER_OCTAVE
    for width in HALVINGS[:2]:
        if step < LAST_STEP and probe.meets_bound(side, step + width, seed=PASSES):
            step += width
    return step


def _compute_results(sides: Sides, request: LoadTestRequest) -> Results:
    return {
        side: [
            compute_result(measured[qps], qps, request.latency_bound_ms)
            for qps in sorted(measured, key=lambda qps: qps or 0)
        ]
        for side, measured in sides.measured.items()
    }
