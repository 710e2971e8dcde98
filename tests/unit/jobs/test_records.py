"""Records that are read while their runs end, with a real Redis."""

from collections.abc import Callable
from typing import Any

import numpy as np
from redis import Redis
from redis.client import Pipeline

from shared.jobs.job_queue import JobQueue
from shared.jobs.kinds import TRAINING
from shared.jobs.payloads import TrainingJob, TrainingRequest
from shared.jobs.records import read_records
from shared.jobs.results import Epoch, TrainingRun
from shared.jobs.run_state import QUEUED, RUNNING, SUCCEEDED, Run
from shared.network.description import Network
from shared.network.layers import Dense, Flatten
from shared.settings import Settings
from shared.training.metrics import compare_predictions

NETWORK = Network(input_shape=(8, 8, 1), layers=(Flatten(), Dense(units=10)))
EPOCH = Epoch(epoch=1, loss=1, accuracy=0.5, test_loss=1, test_accuracy=0.5, seconds=1)
PROBABILITIES = np.array([[0.75, 0.25]], dtype=np.float32)
COMPARISON = compare_predictions(np.array([0]), dict.fromkeys(("toy", "other"), PROBABILITIES))


class InterruptedRedis(Redis):
    """A connection on which something happens after the first round trip of each pipeline."""

    def __init__(self, interrupt: Callable[[], None], **options: Any) -> None:
        super().__init__(**options)
        self._interrupt = interrupt

    def pipeline(self, transaction: bool = True, shard_hint: str | None = None) -> Pipeline:
        """Return a pipeline whose first `execute` is followed by the interruption."""
        pipeline = super().pipeline(transaction, shard_hint)
        execute = pipeline.execute

        def execute_first(raise_on_error: bool = True) -> list[Any]:
            replies = execute(raise_on_error)
            pipeline.execute = execute  # type: ignore[method-assign]
            self._interrupt()
            return replies

        pipeline.execute = execute_first  # type: ignore[method-assign]
        return pipeline


def test_a_training_that_ends_while_it_is_read_has_its_comparison_or_has_not_ended(
    redis: Redis, redis_port: int, settings: Settings
) -> None:
    """A record must never say that the training has ended and leave out what its last run has written before."""
    job = TrainingJob(name="m", request=TrainingRequest(), network=NETWORK)
    state = TrainingRun(status=QUEUED, epoch=0, epochs=1, history=[])
    identity = JobQueue(redis, settings, b"0" * 32).submit(TRAINING, job, {"toy": state, "other": state})
    runs = [Run(redis, "training", identity, backend, TrainingRun) for backend in ("toy", "other")]
    for run in runs:
        run.start()

    def end() -> None:
        for run in runs:
            run.report_epoch(EPOCH)
        runs[1].report_comparison(["toy", "other"], COMPARISON)
        for run in runs:
            run.finish(SUCCEEDED)

    (before,) = read_records(redis, TRAINING, [identity])
    assert (before.status, before.comparisons) == (RUNNING, [])
    with InterruptedRedis(end, port=redis_port) as interrupted:
        (record,) = read_records(interrupted, TRAINING, [identity])
    assert record.status == SUCCEEDED
    assert record.comparisons == [COMPARISON]
    assert [run.history for run in record.runs.values()] == [[EPOCH], [EPOCH]]
