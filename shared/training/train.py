"""A training's run: train epoch by epoch, write a checkpoint after each epoch, publish the model.

A training with a validation share is measured on that share after each epoch. A training that publishes no model, such
as a trial of a search, does not read the test split.

If the process of a run dies, the next execution resumes after the last finished epoch. Weights and optimiser state come
from the checkpoint. The data stream depends only on the seed and the number of the epoch. Therefore a resumed run ends
with the same weights as a run without interruption.
"""

import math
import statistics
import time
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import structlog

from shared.backend import Scores
from shared.data import datasets
from shared.data.batches import generate_epochs
from shared.data.datasets import Dataset, Split
from shared.data.profile import DataProfile, profile_split
from shared.data.validation import hold_out
from shared.errors import InvalidRequestError
from shared.jobs.payloads import TrainingJob, TrainingRequest
from shared.jobs.results import Epoch, ModelReference
from shared.jobs.run_state import SUCCEEDED, Run
from shared.models.manifest import DataFingerprints, FinalMetrics, ModelDescription
from shared.network.optimizers import scheduled_learning_rate
from shared.network.weights import Arrays, Weights, initial_weights
from shared.training.compare import compare
from shared.training.context import JobContext

log = structlog.get_logger()

WEIGHTS, OPTIMIZER = "weights:", "optimizer:"  # prefixes of the names of a checkpoint's arrays


def train(context: JobContext, run: Run, job: TrainingJob) -> None:
    """Perform a training's job: train a network, publish the model, compare it with the other backends' models.

    Raises:
        MissingDatasetError: the dataset is not on this machine.
        InvalidRequestError: the loss is not finite after an epoch.
        SupersededError: another execution has taken the run over, or it was cancelled.
    """
    training = _prepare(context, run, job)
    scores = _train_epochs(context, run, job, training)
    model = _publish(context, run, job, training) if job.request.publish else None
    _compare(context, run, job, training, scores)
    seconds = statistics.median(epoch.seconds for epoch in training.history)
    run.finish(SUCCEEDED, model=model, examples_per_second=len(training.train) / seconds)
    context.checkpoints.remove(run)


@dataclass
class _Training:
    """The state of a training in this process.

    Attributes:
        dataset: the description of the data.
        whole: its training split.
        train: the examples to train on: the training split without the validation share.
        validation: the validation share; None without one.
        test: the test split; None if the training publishes no model.
        model, optimizer, loss: the framework's own objects.
        history: the finished epochs, including those of earlier executions.
    """

    dataset: Dataset
    whole: Split
    train: Split
    validation: Split | None
    test: Split | None
    model: Any
    optimizer: Any
    loss: Any
    history: list[Epoch]


@dataclass(frozen=True)
class _Scores:
    """The evaluation of the same weights on the validation share and on the test split. Either may be missing."""

    validation: Scores | None
    test: Scores | None


@dataclass(frozen=True)
class _Start:
    """What a run begins with.

    Attributes:
        weights: the first weights; None lets the framework initialise them.
        optimizer: the state of the optimiser; empty for a new run.
        history: the epochs that are finished already.
    """

    weights: Arrays | None
    optimizer: Arrays = field(default_factory=dict)
    history: list[Epoch] = field(default_factory=list)


def _prepare(context: JobContext, run: Run, job: TrainingJob) -> _Training:
    """Configure the framework, load the data, and build model, optimiser and loss."""
    backend, request = context.backend, job.request
    context.configure(run, request.seed)
    dataset = datasets.find(request.dataset, context.settings, job.data_version)
    whole = context.load(dataset, "train")
    held_out = hold_out(whole, request.validation, request.seed) if request.validation else None
    test = context.load(dataset, "test") if request.publish else None
    start = _resume(context, run) or _Start(initial_weights(job.network, request.seed) if _is_shared(job) else None)
    model = backend.define_network(job.network, start.weights, request.precision)
    optimizer = backend.define_optimizer(request.optimizer, model, start.optimizer)
    train, validation = (held_out.train, held_out.validation) if held_out else (whole, None)
    loss = backend.define_loss()
    return _Training(dataset, whole, train, validation, test, model, optimizer, loss, start.history)


def _resume(context: JobContext, run: Run) -> _Start | None:
    """Return the state in the run's checkpoint and report its epochs again. Return None if there is no checkpoint."""
    checkpoint = context.checkpoints.read(run)
    if checkpoint is None:
        return None
    arrays, note = checkpoint
    history = [Epoch.model_validate(entry) for entry in note]
    run.report(resumed_after=len(history))
    for epoch in history:
        run.report_epoch(epoch)
    return _Start(_part(arrays, WEIGHTS), _part(arrays, OPTIMIZER), history)


def _train_epochs(context: JobContext, run: Run, job: TrainingJob, training: _Training) -> _Scores:
    """Train the remaining epochs. After each one: evaluate, report, and write a checkpoint.

    Returns the evaluation of the final weights.

    An epoch's `seconds` cover the epoch, its evaluations, and the previous epoch's progress report and checkpoint. They
    do not cover the framework's TensorBoard writer.
    """
    backend, request, history = context.backend, job.request, training.history
    count = len(training.train)
    events = str(context.registry.events_folder(job.name, backend.NAME, job.version))
    first = len(history) + 1
    epochs = generate_epochs(
        training.train,
        request.seed,
        first,
        request.epochs,
        _is_shared(job),
        request.augmentation,
        None if request.schedule == "constant" else partial(_learning_rate, request),
    )
    scores, begun = None, time.perf_counter()
    for loss, accuracy in backend.train(
        training.model, training.optimizer, training.loss, training.train, request.batch_size, epochs
    ):
        scores = _evaluate(context, training)
        seconds = time.perf_counter() - begun
        epoch = _describe_epoch(len(history) + 1, loss, accuracy, scores, seconds)
        history.append(epoch)
        if request.publish:
            _write_events(context, run, events, epoch, count / seconds)
        begun = time.perf_counter()  # the framework's TensorBoard writer is not measured
        run.report_epoch(epoch)
        run.report_throughput(count / seconds)
        _write_checkpoint(context, run, training)
    # If the last checkpoint held the last epoch, this execution has trained nothing and still has to evaluate.
    return scores or _evaluate(context, training)


def _evaluate(context: JobContext, training: _Training) -> _Scores:
    """Measure the model on the validation share and on the test split, as far as the training has them."""

    def measure(split: Split | None) -> Scores | None:
        return None if split is None else context.backend.evaluate(training.model, training.loss, split)

    return _Scores(measure(training.validation), measure(training.test))


def _learning_rate(request: TrainingRequest, epoch: int) -> float:
    return scheduled_learning_rate(request.optimizer, request.schedule, epoch, request.epochs)


def _describe_epoch(number: int, loss: float, accuracy: float, scores: _Scores, seconds: float) -> Epoch:
    """Return the figures of a finished epoch.

    Raises:
        InvalidRequestError: a loss is not finite.
    """
    validation, test = scores.validation, scores.test
    losses = [loss, *(found.loss for found in (validation, test) if found)]
    if not all(map(math.isfinite, losses)):
        raise InvalidRequestError(f"the loss is not finite after epoch {number}: lower the learning rate")
    return Epoch(
        epoch=number,
        loss=loss,
        accuracy=accuracy,
        test_loss=test.loss if test else None,
        test_accuracy=test.accuracy if test else None,
        validation_loss=validation.loss if validation else None,
        validation_accuracy=validation.accuracy if validation else None,
        seconds=seconds,
    )


def _final_metrics(epoch: Epoch) -> FinalMetrics:
    """Return an epoch's figures without its number and duration."""
    return FinalMetrics.model_validate(epoch, from_attributes=True)


def _write_events(context: JobContext, run: Run, folder: str, epoch: Epoch, examples_per_second: float) -> None:
    """Write the figures of an epoch for TensorBoard. If that fails, the run gets a warning and goes on."""
    figures = epoch.model_dump(exclude={"epoch", "seconds"}, exclude_none=True)
    try:
        context.events(folder, epoch.epoch, {**figures, "examples_per_second": examples_per_second})
    except Exception as error:  # each framework's writer has errors of its own
        log.warning("no event file was written", epoch=epoch.epoch, reason=str(error))
        run.warn("figures of some epochs could not be written for TensorBoard")


def _write_checkpoint(context: JobContext, run: Run, training: _Training) -> None:
    """Store the weights, the optimiser's state and the history of the finished epochs, to resume from.

    If the disk refuses, the run gets a warning and goes on. The next epoch writes the next checkpoint.
    """
    backend = context.backend
    parts = {WEIGHTS: backend.save(training.model), OPTIMIZER: backend.save_optimizer(training.optimizer)}
    arrays = {prefix + name: array for prefix, part in parts.items() for name, array in part.items()}
    try:
        context.checkpoints.write(run, arrays, [epoch.model_dump() for epoch in training.history])
    except OSError as error:
        log.warning("no checkpoint was written", epoch=len(training.history), reason=str(error))
        run.warn(
            f"some checkpoints could not be written ({error.strerror}): "
            "if the trainer dies, the run repeats the epochs since the last one"
        )


def _publish(context: JobContext, run: Run, job: TrainingJob, training: _Training) -> ModelReference:
    """Publish the trained weights as float32, whatever the training's precision."""
    assert training.test is not None, "a training that publishes its model reads the test split"
    weights = {name: array.astype(np.float32) for name, array in context.backend.save(training.model).items()}
    classes = training.dataset.classes
    description = ModelDescription(
        request=job.request.model_dump(mode="json"),
        network=job.network,
        classes=classes,
        prepare=training.dataset.preparation,
        metrics=_final_metrics(training.history[-1]),
        data=DataFingerprints(
            dataset=training.dataset.name,
            train=datasets.fingerprint(training.whole),
            test=datasets.fingerprint(training.test),
        ),
        data_profile=DataProfile(
            train=profile_split(training.whole.images, training.whole.labels, len(classes)),
            test=profile_split(training.test.images, training.test.labels, len(classes)),
        ),
    )
    return context.publish(run, job, description, weights)


def _compare(context: JobContext, run: Run, job: TrainingJob, training: _Training, scores: _Scores) -> None:
    """Compare with the models of the backends that have finished already.

    The models are compared on the test split. Models that are not published are compared on the validation share, and
    without their weights. Without a validation share they are not compared.
    """

    def weights(backend: str) -> Weights | None:
        if not (job.request.publish and _is_shared(job)):
            return None
        return context.registry.verify(job.name, backend, job.version).weights

    split, found = (training.test, scores.test) if training.test else (training.validation, scores.validation)
    if split and found:
        asked = job.request.backends or [run.backend]
        compare(context, run, asked, split.labels, found.probabilities, job.network, weights)


def _is_shared(job: TrainingJob) -> bool:
    """Return whether all backends get the same initial weights and the same batches."""
    return job.request.pairing == "shared"


def _part(arrays: Arrays, prefix: str) -> Arrays:
    """Return the arrays whose names begin with a prefix, without the prefix."""
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
