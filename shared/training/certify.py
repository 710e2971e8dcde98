"""A parity certificate: the same steps in every backend, and how far apart they come.

Every backend trains a few steps from the same weights on the same batches, in
double and in single precision, and leaves a trace. Backends are compared with
each other, and each one's forward pass with NumPy's. The verdict rests on
double precision, where rounding (1e-16) and a mistake are far apart; single
precision shows what rounding makes of it in training.
"""

from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter
from typing import Any

import numpy as np

from shared.backend import Precision
from shared.data import batches, datasets
from shared.data.datasets import Split
from shared.errors import InvalidRequestError
from shared.jobs.payloads import CertificateRequest
from shared.jobs.run_state import SUCCEEDED, Run
from shared.network import reference
from shared.network.description import Network
from shared.network.layers import Dropout
from shared.network.weights import Arrays, initial_weights
from shared.training.context import JobContext

PRECISIONS: tuple[Precision, ...] = ("float64", "float32")
IDENTICAL, ROUNDING, DIFFERENT = VERDICTS = ("identical", "rounding", "different")
# What each may differ by in double precision and still be rounding, relative to a tensor's largest value.
LIMITS = {"outputs": 1e-10, "gradients": 1e-10, "weights": 1e-8}
# Some tensors should be zero and hold rounding alone, such as the gradient of a bias before batch norm:
# what they are relative to is at least this share of the largest tensor of their kind.
LEAST_SCALE = 1e-3

# precision -> for each step: "outputs", "gradients", "weights" -> name -> array
Trace = dict[str, list[dict[str, Arrays]]]


def certify(context: JobContext, run: Run, job: dict[str, Any]) -> None:
    """Take the steps in both precisions, and compare with every backend that has taken them already."""
    request = CertificateRequest.model_validate(job["request"])
    network = _without_dropout(Network.model_validate(job["network"]))
    context.configure(run, request.seed)
    data = context.load(datasets.find(request.dataset, context.settings), "train")
    mine, expected = _trace(context, run, request, network, list(_batches(data, request)))
    context.checkpoints.write(run, _flat(mine), None)
    for other in job["asked"]:
        found = other != run.backend and context.checkpoints.read(Run(context.redis, run.kind, run.identity, other))
        if found:
            pair = sorted((run.backend, other), key=job["asked"].index)
            run.report_comparison(pair, {"backends": pair, **compared(network, mine, _nested(found[0]))})
    run.finish(SUCCEEDED, reference=compared(network, mine, expected))


def _without_dropout(network: Network) -> Network:
    """Dropout's masks are each framework's own: at rate 0 there are none."""
    layers = tuple(Dropout(rate=0) if isinstance(layer, Dropout) else layer for layer in network.layers)
    return Network(input_shape=network.input_shape, layers=layers)


def _batches(data: Split, request: CertificateRequest) -> Iterator[Split]:
    """The first batches of the stream that a training with this seed sees, epoch after epoch."""
    wanted, epoch = request.steps, 0
    while wanted:
        epoch += 1
        order = batches.order(request.seed, epoch, len(data))
        for start in range(0, len(data), request.batch_size)[:wanted]:
            chosen = order[start : start + request.batch_size]
            yield Split(data.images[chosen], data.labels[chosen])
            wanted -= 1


def _trace(
    context: JobContext, run: Run, request: CertificateRequest, network: Network, batches: list[Split]
) -> tuple[Trace, Trace]:
    """What the backend computed, and what NumPy makes of the backend's own weights before each step.

    The outputs of all layers are kept of the first step, of later ones the logits alone.
    """
    backend, names = context.backend, [f"layers.{index}" for index in range(len(network.layers))]
    mine: Trace = {precision: [] for precision in PRECISIONS}
    expected: Trace = {precision: [] for precision in PRECISIONS}
    for precision in PRECISIONS:
        weights: Arrays = initial_weights(network, request.seed)
        model = backend.define_network(network, weights, precision)
        optimizer = backend.define_optimizer(request.optimizer, model)
        steps = backend.trace(model, optimizer, backend.define_loss(), batches)
        for number, (batch, step) in enumerate(zip(batches, steps, strict=True), start=1):
            kept = slice(None) if number == 1 else slice(-1, None)
            forward = reference.forward(network, weights, batch.images)
            outputs = dict(zip(names[kept], step.outputs[kept], strict=True))
            mine[precision].append({"outputs": outputs, "gradients": step.gradients, "weights": step.weights})
            expected[precision].append({"outputs": dict(zip(names[kept], forward[1:][kept], strict=True))})
            weights = step.weights
            if not all(np.isfinite(array).all() for array in (step.outputs[-1], *weights.values())):
                raise InvalidRequestError(f"step {number} is not finite any more: lower the learning rate")
            run.report(step=number, precision=precision)
    return mine, expected


def compared(network: Network, one: Trace, other: Trace) -> dict[str, Any]:
    """Two traces: a verdict, where a difference first shows, and the largest differences at each step."""
    found = [difference for precision in PRECISIONS for difference in _differences(network, one, other, precision)]
    beyond = [d for d in found if d["precision"] == "float64" and d["difference"] > LIMITS[d["what"]]]
    unequal = [d for d in found if d["difference"] > 0]
    steps: dict[str, list[dict[str, Any]]] = {precision: [] for precision in PRECISIONS}
    for (precision, step), here in groupby(found, itemgetter("precision", "step")):
        largest: dict[str, Any] = {"step": step, "logits": None, "gradients": None, "weights": None}
        for d in here:
            if d["what"] == "outputs":
                largest["logits"] = d["difference"]  # the last layer's comes last
            else:
                largest[d["what"]] = max(largest[d["what"]] or 0.0, d["difference"])
        steps[precision].append(largest)
    return {
        "verdict": DIFFERENT if beyond else ROUNDING if unequal else IDENTICAL,
        "first_difference": next(iter(beyond or unequal), None),
        "steps": steps,
    }


def _differences(network: Network, one: Trace, other: Trace, precision: Precision) -> Iterator[dict[str, Any]]:
    """Every tensor's difference, in the order in which one would show.

    Outputs come from the first layer to the last, gradients from the last to the first.
    """
    for number, (a, b) in enumerate(zip(one[precision], other[precision], strict=True), start=1):
        for what in LIMITS:
            if not (what in a and what in b):
                continue
            distances = _distances(a[what], b[what])
            for name in reversed(distances) if what == "gradients" else distances:
                index = int(name.split(".")[1])
                layer = f"layers.{index} ({network.layers[index].kind})"
                yield {
                    "precision": precision,
                    "step": number,
                    "layer": layer,
                    "what": what,
                    "difference": distances[name],
                }


def _distances(one: Arrays, other: Arrays) -> dict[str, float]:
    """max |a - b| / max |a| of each tensor, by its name."""
    scales = {name: float(max(np.abs(one[name]).max(), np.abs(other[name]).max())) for name in one}
    least = LEAST_SCALE * max(scales.values()) or 1.0
    return {name: float(np.abs(one[name] - other[name]).max()) / max(scales[name], least) for name in one}


def _flat(trace: Trace) -> Arrays:
    return {
        f"{precision}/{number:04}/{what}/{name}": np.ascontiguousarray(array)
        for precision, steps in trace.items()
        for number, step in enumerate(steps)
        for what, arrays in step.items()
        for name, array in arrays.items()
    }


def _nested(arrays: Arrays) -> Trace:
    """The inverse of `_flat`."""
    trace: Trace = {}
    for path in sorted(arrays):
        precision, number, what, name = path.split("/")
        steps = trace.setdefault(precision, [])
        if len(steps) == int(number):
            steps.append({})
        steps[-1].setdefault(what, {})[name] = arrays[path]
    return trace
