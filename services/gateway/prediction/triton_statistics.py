"""Counts and times of the predictions that other protocols requested, since the gateway's start.

They are kept in memory, with the parts that Triton's statistics extension names. Several processes of a gateway publish
their counters to each other, and each answers with the sums.
"""

import copy
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from threading import Lock

from shared.web.shared_figures import SharedRecords, key_of

PARTS = ("success", "fail", "queue", "compute_input", "compute_infer", "compute_output")
MAX_COUNTED_MODELS = 1024  # versions of models; those that were not requested for the longest time are dropped first
NUMBERS = 3 + 2 * len(PARTS)  # of one version


class RequestTimer:
    """Measures the parts of one request, in nanoseconds, until its context ends.

    Args:
        statistics: where the request is counted at the end: as a failure if the context raises.
        title: of the model.
        version: of the model.
        started_ns: when the request began (`time.perf_counter_ns`).

    Attributes:
        images: how many images were predicted.
        parts: nanoseconds by part.
    """

    __slots__ = ("_last", "_model", "_started", "_statistics", "images", "parts")

    def __init__(self, statistics: "TritonStatistics", title: str, version: int, started_ns: int) -> None:
        self.images = 0
        self.parts: dict[str, int] = {}
        self._statistics, self._model = statistics, (title, version)
        self._started = self._last = started_ns

    def __enter__(self) -> "RequestTimer":
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        now = time.perf_counter_ns()
        if error:
            self.parts = {"fail": now - self._started}
        else:
            self.parts["compute_output"], self.parts["success"] = now - self._last, now - self._started
        self._statistics.add(*self._model, self)

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
        now = time.perf_counter_ns()
        elapsed_ns, self._last = now - self._last, now
        compute_ns = min(round(compute_ms * 1e6), elapsed_ns)
        self.parts["compute_infer"], self.parts["queue"] = compute_ns, elapsed_ns - compute_ns


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

    @classmethod
    def of(cls, numbers: list[int]) -> "Counters":
        """Return the counters that `numbers` lists."""
        last_ms, images, requests, *parts = numbers
        counts, ns = parts[: len(PARTS)], parts[len(PARTS) :]
        return cls(last_ms, images, requests, dict(zip(PARTS, counts, strict=True)), dict(zip(PARTS, ns, strict=True)))

    def numbers(self) -> list[int]:
        """Return all counters as NUMBERS numbers."""
        return [self.last_ms, self.images, self.requests, *self.counts.values(), *self.ns.values()]

    def add(self, more: "Counters") -> None:
        """Add the counters of another process."""
        self.last_ms = max(self.last_ms, more.last_ms)
        self.images += more.images
        self.requests += more.requests
        for part in PARTS:
            self.counts[part] += more.counts[part]
            self.ns[part] += more.ns[part]


class TritonStatistics:
    """Counters by title and version. Any thread may use them.

    Args:
        shared: the counters of all processes of the gateway, if there are several.
    """

    def __init__(self, shared: SharedRecords | None = None) -> None:
        self._lock = Lock()
        self._counters: OrderedDict[int, Counters] = OrderedDict()  # by `key_of((title, version))`
        self._shared = shared
        self._rows: dict[int, int] = {}  # of `shared`, by the same key
        self._free_rows: list[int] = []
        if shared is not None:  # an earlier process with this process' slot has left its counters
            found = {key: (row, Counters.of(numbers)) for key, (row, numbers) in shared.read_own().items()}
            for key, (row, counters) in sorted(found.items(), key=lambda entry: entry[1][1].last_ms):
                self._rows[key], self._counters[key] = row, counters
            self._free_rows = list(set(range(MAX_COUNTED_MODELS)) - set(self._rows.values()))

    def measure(self, title: str, version: int, started_ns: int | None = None) -> RequestTimer:
        """Return a context whose work counts as one request, by default from now on."""
        return RequestTimer(self, title, version, started_ns or time.perf_counter_ns())

    def read(self, title: str, version: int) -> Counters:
        """Return a copy of the counters of all processes; zeros for a version that was never requested."""
        return self.read_all().get(key_of((title, version)), Counters())

    def read_all(self) -> dict[int, Counters]:
        """Return a copy of the counters of all processes, by `key_of((title, version))`, of the requested versions."""
        with self._lock:
            found = copy.deepcopy(dict(self._counters))
        for key, numbers in self._shared.read_all_elsewhere() if self._shared else ():
            found.setdefault(key, Counters()).add(Counters.of(numbers))
        return found

    def add(self, title: str, version: int, timed: RequestTimer) -> None:
        """Count a request that has ended."""
        key = key_of((title, version))
        with self._lock:
            counters = self._counters.setdefault(key, Counters())
            self._counters.move_to_end(key)
            if len(self._counters) > MAX_COUNTED_MODELS:
                dropped, _ = self._counters.popitem(last=False)
                if self._shared is not None:
                    self._free_rows.append(self._rows.pop(dropped))
            for part, ns in timed.parts.items():
                counters.counts[part] += 1
                counters.ns[part] += ns
            if "success" in timed.parts:
                counters.images += timed.images
                counters.requests += 1
                counters.last_ms = round(time.time() * 1000)
            if self._shared is not None:
                if key not in self._rows:
                    self._rows[key] = self._free_rows.pop()
                self._shared.write(self._rows[key], key, counters.numbers())
