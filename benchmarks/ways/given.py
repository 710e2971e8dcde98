"""What all programs share: the data, the batch sizes, the parameters of SGD, and a clock."""

import json
import resource
import sys
import time

from shared.data import datasets
from shared.data.datasets import Split
from shared.settings import Settings

BATCH = 64
EVALUATION_BATCH = 1000
SEED = 0
LEARNING_RATE = 0.01
MOMENTUM = {"article": 0.0, "lenet5": 0.9, "cnn": 0.9}
WITHOUT_END = 1_000_000  # epochs

settings = Settings.from_env()


def mnist() -> tuple[Split, Split]:
    """Return MNIST's training split and test split as NumPy arrays."""
    dataset = datasets.find("mnist", settings)
    return datasets.read(dataset, "train", settings), datasets.read(dataset, "test", settings)


class Clock:
    """Measures epochs: waits for a line on standard input before each, and prints its measurements after it."""

    def __init__(self) -> None:
        self._answers = sys.stdout
        sys.stdout = sys.stderr  # other output goes to the log

    def answer(self, **figures: object) -> None:
        """Print a JSON object on one line of the original standard output."""
        print(json.dumps(figures), file=self._answers, flush=True)

    def begin(self) -> None:
        """Wait for a line on standard input, then start the clock. Exit at the end of the input."""
        if not sys.stdin.readline():
            raise SystemExit
        self._begun = time.perf_counter(), time.process_time()

    def end(self, test_accuracy: float) -> None:
        """Stop the clock and print seconds, CPU seconds, accuracy and peak memory in MiB."""
        begun, cpu_begun = self._begun
        seconds, cpu_seconds = time.perf_counter() - begun, time.process_time() - cpu_begun
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # Linux counts in KiB
        self.answer(seconds=seconds, cpu_seconds=cpu_seconds, test_accuracy=test_accuracy, peak_memory_mb=peak)
