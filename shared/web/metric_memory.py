"""The memory of metrics that several processes share. The parent makes it, so this module imports nothing large."""

import json
import mmap
from collections.abc import Iterable

from shared.web.process_slots import WORD_BYTES, ProcessSlots
from shared.web.shared_figures import SharedRecords

MAX_VALUES = 16_384  # of one process; a histogram of 14 buckets has 15 for each combination of labels
SERIES_BYTES = 256 * 2**10  # for the labels of one process
GARBAGE_FIGURES = ("collected", "uncollectable", "collections")


class MetricMemory:
    """The values of all processes' counters and histograms. The parent makes it before it forks.

    Args:
        slots: of the processes.
    """

    def __init__(self, slots: ProcessSlots) -> None:
        self.slots = slots
        # The part of a slot: how many values and how many bytes of labels there are, keys, values, labels.
        self._slot_words = 2 + 2 * MAX_VALUES + SERIES_BYTES // WORD_BYTES
        self._memory = mmap.mmap(-1, slots.count * self._slot_words * WORD_BYTES)
        self._words = memoryview(self._memory).cast("q")
        self.numbers = memoryview(self._memory).cast("d")
        self.garbage = SharedRecords(slots, 1, 3 * len(GARBAGE_FIGURES))

    def read_places(self, slot: int) -> dict[int, int]:
        """Return key -> place in `numbers` of a slot's values."""
        first = slot * self._slot_words
        keys = self._words[first + 2 : first + 2 + self._words[first]].tolist()
        return {key: first + 2 + MAX_VALUES + index for index, key in enumerate(keys)}

    def add_value(self, key: int) -> int | None:
        """Return a new place in `numbers` for a value of this process; None if there is no more room."""
        first = self.slots.own * self._slot_words
        used = self._words[first]
        if used == MAX_VALUES:
            return None
        self._words[first + 2 + used] = key
        self._words[first] = used + 1
        return first + 2 + MAX_VALUES + used

    def sum_elsewhere(self) -> dict[int, float]:
        """Return key -> sum of all other slots' values, also of those whose process has ended."""
        sums: dict[int, float] = {}
        for slot in range(self.slots.count):
            if slot != self.slots.own:
                first = slot * self._slot_words
                used, keys, numbers = self._words[first], first + 2, first + 2 + MAX_VALUES
                for key, number in zip(
                    self._words[keys : keys + used].tolist(),
                    self.numbers[numbers : numbers + used].tolist(),
                    strict=True,
                ):
                    sums[key] = sums.get(key, 0.0) + number
        return sums

    def add_series(self, series: tuple[str, tuple[str, ...], float]) -> None:
        """Tell the other processes of a metric's labels: (name of the metric, values of the labels, time)."""
        text = f"{json.dumps(series)}\n".encode()
        first = self.slots.own * self._slot_words
        used = self._words[first + 1]
        if used + len(text) <= SERIES_BYTES:
            start = self._first_byte_of_series(self.slots.own) + used
            self._memory[start : start + len(text)] = text
            self._words[first + 1] = used + len(text)

    def read_series(self) -> Iterable[tuple[str, tuple[str, ...], float]]:
        """Yield what all processes have added: (name of the metric, values of the labels, time)."""
        for slot in range(self.slots.count):
            start = self._first_byte_of_series(slot)
            used = self._words[slot * self._slot_words + 1]
            for line in self._memory[start : start + used].splitlines():
                name, labels, time_s = json.loads(line)
                yield name, tuple(labels), time_s

    def _first_byte_of_series(self, slot: int) -> int:
        return (slot * self._slot_words + 2 + 2 * MAX_VALUES) * WORD_BYTES
