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

from shared import dataset, evaluation
from shared.dataset import Split
from shared.errors import InvalidRequestError
from shared.messages import TrainingRequest
from shared.network import Network
from shared.runs import SUCCEEDED, THROUGHPUT_KEY, Run
from shared.stream import stream
from shared.weights import Arrays, initial_weights
from shared.workbench import Workbench

WEIGHTS, OPTIMIZER = "weights:", "optimizer:"


def train(bench: Workbench, run: Run, job: dict[str, Any]) -> None:
    """Train a network and publish the model."""
    backend = bench.backend
    request = TrainingRequest.model_validate(job["request"])
    network = Network.model_validate(job["network"])
    bench.configure(run, request.seed)
    found = dataset.find(request.dataset, bench.settings)
    data, test = bench.load(found, "train"), bench.load(found, "test")

    events = str(bench.store.events(job["name"], backend.NAME, job["version"]))
    shared = request.pairing == "shared"
    weights = initial_weights(network, request.seed) if shared else None
    checkpoint, history = bench.scratch.read(run) or ({}, [])
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
        bench.events(events, epoch, {**figures, "examples_per_second": speed})
        begun = time.perf_counter()  # the frameworks' writers are not what is timed
        run.report_epoch(history[-1])
        bench.redis.hset(THROUGHPUT_KEY, backend.NAME, str(speed))
        kept = {WEIGHTS: backend.save(model), OPTIMIZER: backend.save_optimizer(optimizer)}
        arrays = {part + name: array for part, of in kept.items() for name, array in of.items()}
        bench.scratch.write(run, arrays, history)

    weights = {name: array.astype(np.float32) for name, array in backend.save(model).items()}
    held = held or backend.evaluate(model, loss, test)
    manifest = {
        "request": job["request"],
        "network": network.model_dump(mode="json"),
        "classes": list(found.classes),
        "prepare": found.prepare,
        "metrics": {key: history[-1][key] for key in ("loss", "accuracy", "test_loss", "test_accuracy")},
        "data": _fingerprints(found.name, train=data, test=test),
    }
    published = bench.publish(run, job, manifest, weights)
    evaluation.compare(
        *(bench, run, job["request"]["backends"], test.labels, held.probabilities),
        network=network,
        weights=lambda other: bench.store.verify(job["name"], other, job["version"]).weights if shared else None,
    )
    run.finish(
        SUCCEEDED,
        model=published,
        examples_per_second=len(data) / statistics.median(entry["seconds"] for entry in history),
    )
    bench.scratch.remove(run)


def _part(arrays: Arrays, prefix: str) -> Arrays:
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}


def _fingerprints(name: str, **splits: Split) -> dict[str, str]:
    return {"dataset": name, **{split: dataset.fingerprint(data) for split, data in splits.items()}}
