"""How often each model was asked by other protocols, and where the time went, since the gateway's start.

In memory, and in the shape of Triton's statistics extension.
"""

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Any

PARTS = ("success", "fail", "queue", "compute_input", "compute_infer", "compute_output")


class Timed:
    """One request on its way: nanoseconds of each of its parts."""

    def __init__(self, begun_ns: int | None) -> None:
        self.images = 0
        self.parts: dict[str, int] = {}
        self._begun = self._last = begun_ns or time.perf_counter_ns()

    def done(self, part: str) -> None:
        """What went by since the last part was this one."""
        now = time.perf_counter_ns()
        self.parts[part], self._last = now - self._last, now

    def asked(self, images: int, compute_ms: float) -> None:
        """The backends have answered; what they did not spend computing was the way and the wait."""
        self.images = images
        self.done("queue")
        compute = min(round(compute_ms * 1e6), self.parts["queue"])
        self.parts |= {"compute_infer": compute, "queue": self.parts["queue"] - compute}

    def end(self, part: str) -> None:
        """success or fail, with the whole time."""
        self.parts[part] = time.perf_counter_ns() - self._begun


class _Counters:
    def __init__(self) -> None:
        self.last_ms = self.images = self.requests = 0
        self.counts = dict.fromkeys(PARTS, 0)
        self.ns = dict.fromkeys(PARTS, 0)


class Statistics:
    """Counters by title and version; any thread may add to them."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._counters: dict[tuple[str, int], _Counters] = defaultdict(_Counters)

    @contextmanager
    def measure(self, title: str, version: int, begun_ns: int | None = None) -> Iterator[Timed]:
        """Count what happens within, and since `begun_ns`, as one request, a failure if it raises."""
        timed, outcome = Timed(begun_ns), "fail"
        try:
            yield timed
            timed.done("compute_output")
            outcome = "success"
        finally:
            timed.end(outcome)
            self._add(title, version, timed, outcome)

    def read(self, title: str, version: int) -> dict[str, Any]:
        """One entry of Triton's `model_stats`; zeros for what was never asked."""
        with self._lock:
            counters = self._counters.get((title, version), _Counters())
            durations = {part: {"count": counters.counts[part], "ns": counters.ns[part]} for part in PARTS}
            return {
                "name": title,
                "version": str(version),
                "last_inference": counters.last_ms,
                "inference_count": counters.images,
                "execution_count": counters.requests,
                "inference_stats": durations,
                "batch_stats": [],
            }

    def _add(self, title: str, version: int, timed: Timed, outcome: str) -> None:
        parts = timed.parts if outcome == "success" else {outcome: timed.parts[outcome]}
        with self._lock:
            counters = self._counters[title, version]
            for part, ns in parts.items():
                counters.counts[part] += 1
                counters.ns[part] += ns
            if outcome == "success":
                counters.images += timed.images
                counters.requests += 1
                counters.last_ms = round(time.time() * 1000)
