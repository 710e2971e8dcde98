"""A training's run: train epoch by epoch, keep a checkpoint of each, publish the model.

A run whose process died goes on after its last finished epoch: the weights
and the optimiser come from the checkpoint, and the data stream is drawn from
the seed and the epoch's number alone, so that it ends where it would have.
"""

import math
import statistics
import time
from typing import Any

import numpy as np

from shared.data import datasets
from shared.data.batches import stream
from shared.errors import InvalidRequestError
from shared.jobs.payloads import TrainingRequest
from shared.jobs.run_state import SUCCEEDED, THROUGHPUT_KEY, Run
from shared.models.manifest import DataFingerprints, FinalMetrics, ModelDescription
from shared.network.description import Network
from shared.network.weights import Arrays, initial_weights
from shared.training import compare
from shared.training.context import JobContext

WEIGHTS, OPTIMIZER = "weights:", "optimizer:"


def train(context: JobContext, run: Run, job: dict[str, Any]) -> None:
    """Train a network and publish the model."""
    backend = context.backend
    request = TrainingRequest.model_validate(job["request"])
    network = Network.model_validate(job["network"])
    context.configure(run, request.seed)
    found = datasets.find(request.dataset, context.settings)
    data, test = context.load(found, "train"), context.load(found, "test")

    events = str(context.registry.events_folder(job["name"], backend.NAME, job["version"]))
    shared = request.pairing == "shared"
    weights = initial_weights(network, request.seed) if shared else None
    checkpoint, history = context.checkpoints.read(run) or ({}, [])
    if checkpoint:
        weights = _part(checkpoint, WEIGHTS)
        run.report(resumed_after=len(history))
        for entry in history:
            run.report_epoch(entry)
    model = backend.define_network(network, weights, request.precision)
    optimizer = backend.define_optimizer(request.optimizer, model, _part(checkpoint, OPTIMIZER))
    loss = backend.define_loss()
    epochs = stream(data, request.seed, len(history) + 1, request.epochs, shared, request.augmentation)

    held, begun = None, time.perf_counter()
    for epoch_loss, accuracy in backend.train(model, optimizer, loss, data, request.batch_size, epochs):
        held, epoch = backend.evaluate(model, loss, test), len(history) + 1
        if not (math.isfinite(epoch_loss) and math.isfinite(held.loss)):
            raise InvalidRequestError(f"the loss is not finite after epoch {epoch}: lower the learning rate")
        now = time.perf_counter()
        figures = {"loss": epoch_loss, "accuracy": accuracy, "test_loss": held.loss, "test_accuracy": held.accuracy}
        history.append({"epoch": epoch, **figures, "seconds": now - begun})
        speed = len(data) / (now - begun)
        context.events(events, epoch, {**figures, "examples_per_second": speed})
        begun = time.perf_counter()  # the frameworks' writers are not what is timed
        run.report_epoch(history[-1])
        context.redis.hset(THROUGHPUT_KEY, backend.NAME, str(speed))
        kept = {WEIGHTS: backend.save(model), OPTIMIZER: backend.save_optimizer(optimizer)}
        arrays = {part + name: array for part, of in kept.items() for name, array in of.items()}
        context.checkpoints.write(run, arrays, history)

    weights = {name: array.astype(np.float32) for name, array in backend.save(model).items()}
    held = held or backend.evaluate(model, loss, test)
    description = ModelDescription(
        request=job["request"],
        network=network,
        classes=found.classes,
        prepare=found.preparation,
        metrics=FinalMetrics.model_validate({name: history[-1][name] for name in FinalMetrics.model_fields}),
        data=DataFingerprints(dataset=found.name, train=datasets.fingerprint(data), test=datasets.fingerprint(test)),
    )
    published = context.publish(run, job, description, weights)
    compare.compare(
        *(context, run, job["request"]["backends"], test.labels, held.probabilities),
        network=network,
        weights=lambda other: context.registry.verify(job["name"], other, job["version"]).weights if shared else None,
    )
    run.finish(
        SUCCEEDED,
        model=published,
        examples_per_second=len(data) / statistics.median(entry["seconds"] for entry in history),
    )
    context.checkpoints.remove(run)


def _part(arrays: Arrays, prefix: str) -> Arrays:
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
