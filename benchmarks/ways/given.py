"""What every way is given: the data, the batches, the numbers of SGD, and a clock."""

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
WITHOUT_END = 1_000_000

settings = Settings.from_env()


def mnist() -> tuple[Split, Split]:
    """MNIST as NumPy arrays, the training split and the test split."""
    found = datasets.find("mnist", settings)
    return datasets.read(found, "train", settings), datasets.read(found, "test", settings)


class Clock:
    """Lets a way run one epoch for each line that comes in, and answers each with what the epoch took."""

    def __init__(self) -> None:
        self._answers = sys.stdout
        sys.stdout = sys.stderr  # what the way prints goes to its log

    def answer(self, **what: object) -> None:
        print(json.dumps(what), file=self._answers, flush=True)

    def begin(self) -> None:
        """Wait to be asked for an epoch; leave when nobody asks any more."""
        if not sys.stdin.readline():
            raise SystemExit
        self._begun = time.perf_counter(), time.process_time()

    def end(self, test_accuracy: float) -> None:
        begun, cpu_begun = self._begun
        seconds, cpu_seconds = time.perf_counter() - begun, time.process_time() - cpu_begun
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # Linux counts in KiB
        self.answer(seconds=seconds, cpu_seconds=cpu_seconds, test_accuracy=test_accuracy, peak_memory_mb=peak)
