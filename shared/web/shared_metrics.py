"""Prometheus metrics of several processes as those of one server: any process returns the sum of all.

prometheus_client has its own way: files, one or more per process. It costs three times as much per observation, needs a
folder that somebody has to remove, and leaves out the metrics of Python and of the process. Here each value is a number
in memory that all processes share, so counters also keep what processes that have ended have counted.
"""

import gc
import time
from collections.abc import Callable, Iterable, Sequence
from threading import Lock
from typing import cast

from prometheus_client import GC_COLLECTOR, PROCESS_COLLECTOR, REGISTRY, values
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.metrics_core import CounterMetricFamily, Metric
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector
from prometheus_client.values import MutexValue

from shared.web.metric_memory import GARBAGE_FIGURES, MetricMemory
from shared.web.shared_figures import key_of


class SharedMetrics:
    """Makes the metrics of a new process part of its server's. Create it before any metric is created.

    Args:
        memory: of all processes.
    """

    def __init__(self, memory: MetricMemory) -> None:
        self._memory = memory
        self._places = memory.read_places(memory.slots.own)  # an earlier process of this slot has left its values
        self._own_series = {(name, labels) for name, labels, _ in memory.read_series()}
        self._elsewhere: dict[int, float] = {}
        self._lock = Lock()
        self._garbage_before = [0] * (3 * len(GARBAGE_FIGURES))
        for _, numbers in memory.garbage.read_own().values():
            self._garbage_before = numbers
        values.ValueClass = self._value_of
        REGISTRY.unregister(GC_COLLECTOR)
        REGISTRY.unregister(PROCESS_COLLECTOR)
        REGISTRY.register(_ProcessesCollector(memory, self._read_elsewhere, self.publish_garbage))

    def _read_elsewhere(self) -> None:
        """Read what the other processes have counted, and make the series that only they have."""
        earliest_s: dict[tuple[str, tuple[str, ...]], float] = {}
        for name, labels, time_s in self._memory.read_series():
            earliest_s[name, labels] = min(time_s, earliest_s.get((name, labels), time_s))
        for (name, labels), time_s in earliest_s.items():
            metric = cast(MetricWrapperBase | None, REGISTRY._names_to_collectors.get(name))
            if metric is not None:
                child = metric.labels(*labels) if labels else metric
                child._created = time_s  # type: ignore[attr-defined]
        self._elsewhere = self._memory.sum_elsewhere()

    def publish_garbage(self) -> None:
        """Publish how much garbage this process has collected. Call it every few seconds."""
        counts = [stat[figure] for stat in gc.get_stats() for figure in GARBAGE_FIGURES]
        sums = [before + count for before, count in zip(self._garbage_before, counts, strict=True)]
        self._memory.garbage.write(0, key_of("garbage"), sums)

    def _value_of(
        self,
        typ: str,
        metric_name: str,
        name: str,
        labelnames: Sequence[str],
        labelvalues: Sequence[str],
        help_text: str,
        **options: str,
    ) -> "MutexValue | _SharedValue":
        """Make a value of a metric. prometheus_client calls this."""
        # Gauges are made for each scrape, from what all processes share.
        private = _make_private(typ, metric_name, name, labelnames, labelvalues, help_text, **options)
        if typ == "gauge":
            return private
        key = key_of((name, *zip(labelnames, labelvalues, strict=True)))
        with self._lock:
            place = self._places.get(key)
            if place is None:
                place = self._memory.add_value(key)
                if place is None:
                    return private
                self._places[key] = place
            series = (metric_name, tuple(labelvalues))
            if "le" not in labelnames and series not in self._own_series:
                self._own_series.add(series)
                self._memory.add_series((*series, time.time()))
        return _SharedValue(self._memory.numbers, place, self._lock, lambda: self._elsewhere.get(key, 0.0))


_make_private = cast(Callable[..., MutexValue], MutexValue)  # it has no types


class _SharedValue:
    """A number of a metric, as prometheus_client uses it.

    Args:
        numbers: of all processes.
        place: of this number.
        lock: of this process' numbers.
        elsewhere: returns the sum of the other processes' numbers.
    """

    def __init__(self, numbers: "memoryview[float]", place: int, lock: Lock, elsewhere: Callable[[], float]) -> None:
        self._numbers, self._place, self._lock, self._elsewhere = numbers, place, lock, elsewhere

    def inc(self, amount: float) -> None:
        with self._lock:
            self._numbers[self._place] += amount

    def set(self, value: float, timestamp: float | None = None) -> None:  # noqa: ARG002 - prometheus_client passes it
        with self._lock:
            self._numbers[self._place] = value

    def get(self) -> float:
        return self._numbers[self._place] + self._elsewhere()

    def set_exemplar(self, exemplar: object) -> None:
        """Exemplars are not kept."""

    def get_exemplar(self) -> None:
        """Exemplars are not kept."""


class _ProcessesCollector(Collector):
    """The metrics of Python and of the process, added up over all processes of the server."""

    def __init__(self, memory: MetricMemory, refresh: Callable[[], None], publish_garbage: Callable[[], None]) -> None:
        self._memory, self._refresh, self._publish_garbage = memory, refresh, publish_garbage

    def describe(self) -> Iterable[Metric]:
        return self.collect()

    def collect(self) -> Iterable[Metric]:
        self._refresh()  # it was registered before the metrics were, so they are collected after it
        yield from self._garbage()
        yield from self._processes()

    def _garbage(self) -> Iterable[Metric]:
        self._publish_garbage()
        garbage = self._memory.garbage
        rows = [numbers for _, numbers in garbage.read_own().values()] + garbage.read_elsewhere(key_of("garbage"))
        sums = [sum(column) for column in zip(*rows, strict=True)]
        for offset, family in enumerate(GC_COLLECTOR.collect()):
            total = CounterMetricFamily(family.name, family.documentation, labels=["generation"])
            for generation, number in enumerate(sums[offset :: len(GARBAGE_FIGURES)]):
                total.add_metric([str(generation)], number)
            yield total

    def _processes(self) -> Iterable[Metric]:
        totals: dict[str, Metric] = {}
        for pid in self._memory.slots.running():
            for family in ProcessCollector(pid=lambda pid=pid: pid, registry=None).collect():  # type: ignore[misc]
                total = totals.setdefault(family.name, family)
                if total is not family:
                    numbers = [total.samples[0].value, family.samples[0].value]
                    value = min(numbers) if family.name == "process_start_time_seconds" else sum(numbers)
                    total.samples = [total.samples[0]._replace(value=value)]
        if cpu := totals.get("process_cpu_seconds"):
            ended_s = self._memory.slots.ended_cpu_s
            cpu.samples = [cpu.samples[0]._replace(value=cpu.samples[0].value + ended_s)]
        yield from totals.values()
