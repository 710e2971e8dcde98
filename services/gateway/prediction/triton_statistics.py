"""Counts and times of the predictions that other protocols requested, since the gateway's start.

They are kept in memory, with the parts that Triton's statistics extension names.
"""

import copy
import time
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock

PARTS = ("success", "fail", "queue", "compute_input", "compute_infer", "compute_output")
MAX_COUNTED_MODELS = 1024  # versions of models; those that were not requested for the longest time are dropped first


class RequestTimer:
    """Measures the parts of one request, in nanoseconds.

    Args:
        started_ns: when the request began (`time.perf_counter_ns`); by default now.

    Attributes:
        images: how many images were predicted.
        parts: nanoseconds by part.
    """

    def __init__(self, started_ns: int | None = None) -> None:
        self.images = 0
        self.parts: dict[str, int] = {}
        self._started = self._last = started_ns or time.perf_counter_ns()

    def mark(self, part: str) -> None:
        """Record the time since the last mark as a part."""
        now = time.perf_counter_ns()
        self.parts[part], self._last = now - self._last, now

    def mark_answered(self, images: int, compute_ms: float) -> None:
        """Record that the backends answered. Queue time is elapsed time minus compute time.

        Args:
            compute_ms: of the backend that computed longest.
        """
        self.images = images
        self.mark("queue")
        compute_ns = min(round(compute_ms * 1e6), self.parts["queue"])
        self.parts |= {"compute_infer": compute_ns, "queue": self.parts["queue"] - compute_ns}

    def end(self, outcome: str) -> None:
        """Record the whole time as `success` or `fail`."""
        self.parts[outcome] = time.perf_counter_ns() - self._started


@dataclass
class Counters:
    """The counters of one version of a model.

    Attributes:
        last_ms: milliseconds since 1970 of the last success; 0 for none.
        counts: how often each part was recorded.
        ns: the nanoseconds of each part, added up.
    """

    last_ms: int = 0
    images: int = 0
    requests: int = 0
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(PARTS, 0))
    ns: dict[str, int] = field(default_factory=lambda: dict.fromkeys(PARTS, 0))


class TritonStatistics:
    """Counters by title and version. Any thread may use them."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._counters: OrderedDict[tuple[str, int], Counters] = OrderedDict()

    @contextmanager
    def measure(self, title: str, version: int, started_ns: int | None = None) -> Iterator[RequestTimer]:
        """Count the work within the context as one request. It is a failure if it raises."""
        timed, outcome = RequestTimer(started_ns), "fail"
        try:
            yield timed
            timed.mark("compute_output")
            outcome = "success"
        finally:
            timed.end(outcome)
            self._add(title, version, timed, outcome)

    def read(self, title: str, version: int) -> Counters:
        """Return a copy of the counters; zeros for a version that was never requested."""
        with self._lock:
            return copy.deepcopy(self._counters.get((title, version), Counters()))

    def _add(self, title: str, version: int, timed: RequestTimer, outcome: str) -> None:
        parts = timed.parts if outcome == "success" else {outcome: timed.parts[outcome]}
        with self._lock:
            counters = self._counters.setdefault((title, version), Counters())
            self._counters.move_to_end((title, version))
            if len(self._counters) > MAX_COUNTED_MODELS:
                self._counters.popitem(last=False)
            for part, ns in parts.items():
                counters.counts[part] += 1
                counters.ns[part] += ns
            if outcome == "success":
                counters.images += timed.images
                counters.requests += 1
                counters.last_ms = round(time.time() * 1000)
