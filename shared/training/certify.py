"""A certificate's run: take the same training steps in every backend, and measure how far the results differ.

Every backend trains a few steps from the same weights on the same batches, in double and in single precision, and
stores a trace. Each pair of backends is compared, and each backend's forward pass is compared with NumPy's. The verdict
depends on double precision only, where rounding (1e-16) and a mistake are orders of magnitude apart. Single precision
shows how much rounding adds up in training.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from itertools import groupby
from operator import attrgetter
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from shared.backend import Precision, Step
from shared.data import batches, datasets
from shared.data.datasets import Split
from shared.errors import InvalidRequestError, UnavailableError
from shared.jobs.payloads import CertificateJob, CertificateRequest
from shared.jobs.results import (
    DIFFERENT,
    IDENTICAL,
    ROUNDING,
    FirstDifference,
    PairParity,
    Parity,
    StepDifference,
)
from shared.jobs.run_state import SUCCEEDED, Run
from shared.network import reference
from shared.network.description import Network
from shared.network.layers import Dropout
from shared.network.weights import Arrays, initial_weights
from shared.object_store import ObjectStoreError
from shared.training.context import JobContext

PRECISIONS: tuple[Precision, ...] = ("float64", "float32")
Quantity = Literal["outputs", "gradients", "weights"]

TraceLimits = dict[Quantity, float]

# The largest difference in double precision that rounding explains, relative to a tensor's largest value.
LIMITS: TraceLimits = {"outputs": 1e-10, "gradients": 1e-10, "weights": 1e-8}
# The same if a GPU computed either side. A GPU adds in another order, with thousands of partial sums, and its
# libraries may transform a convolution before they multiply. That may lose one more digit. The smallest mistake that
# the tests know, a constant rounded to float32, is about 1e-8.
GPU_LIMITS: TraceLimits = {what: 10 * limit for what, limit in LIMITS.items()}
# Some tensors should be zero and contain rounding errors only, such as the gradient of a bias before batch norm.
# Their differences are relative to at least this share of the largest tensor of their kind.
LEAST_SCALE = 1e-3


@dataclass(frozen=True)
class TraceStep:
    """The arrays of one training step.

    Attributes:
        outputs: the outputs of the layers, by `layers.<index>`. From the second step on, only the logits.
        gradients: of the mean loss, by the names of the trained parameters; empty for NumPy.
        weights: all weights after the step; empty for NumPy.
    """

    outputs: Arrays = field(default_factory=dict)
    gradients: Arrays = field(default_factory=dict)
    weights: Arrays = field(default_factory=dict)


Trace = dict[Precision, list[TraceStep]]


@dataclass(frozen=True)
class TensorDifference:
    """How far one tensor differs between two traces: max |a - b| / max |a|.

    Attributes:
        step: counted from 1.
        layer: the layer's index and kind, such as `layers.1 (dense)`.
        what: what the tensor is.
    """

    precision: Precision
    step: int
    layer: str
    what: Quantity
    difference: float


def certify(context: JobContext, run: Run, job: CertificateJob) -> None:
    """Perform a certificate's job: take the steps, and compare with every backend that has taken them already.

    Raises:
        InvalidRequestError: a number is not finite after a step.
        UnavailableError: the trace cannot be stored.
        SupersededError: another execution has taken the run over, or it was cancelled.
    """
    request, network = job.request, _without_dropout(job.network)
    device = context.configure(run, request.seed)
    data = context.load(datasets.find(request.dataset, context.settings, job.data_version), "train")
    mine, expected = _take_steps(context, run, request, network, list(_batches(data, request)))
    try:
        context.checkpoints.write(run, flatten(mine), None)
    except ObjectStoreError:
        raise  # its message says what to change
    except OSError as error:
        raise UnavailableError(
            f"the trace could not be stored ({error.strerror}): free space on the model volume, then submit it again"
        ) from None
    for other in job.asked:
        found = other != run.backend and context.checkpoints.read(Run(context.redis, run.kind, run.identity, other))
        if found:
            pair = sorted((run.backend, other), key=job.asked.index)
            devices = [device, _device_of(run, other)]
            parity = compare_traces(network, mine, unflatten(found[0]), _limits_of(*devices))
            run.report_comparison(pair, PairParity(backends=pair, **dict(parity)))
    run.finish(SUCCEEDED, reference=compare_traces(network, mine, expected, _limits_of(device)))


def _device_of(run: Run, backend: str) -> str:
    """Return the device on which a backend takes the steps of this certificate."""
    return str(Run(run.redis, run.kind, run.identity, backend).read().get("device"))


def _limits_of(*devices: str) -> TraceLimits:
    """Return the limits of a comparison between these devices."""
    return GPU_LIMITS if "cuda" in devices else LIMITS


def _without_dropout(network: Network) -> Network:
    """Return the network with all dropout rates 0, because each framework draws its own dropout masks."""
    layers = tuple(Dropout(rate=0) if isinstance(layer, Dropout) else layer for layer in network.layers)
    return Network(input_shape=network.input_shape, layers=layers)


def _batches(data: Split, request: CertificateRequest) -> Iterator[Split]:
    """Yield the first batches that a training with this seed sees, epoch after epoch."""
    wanted, epoch = request.steps, 0
    while wanted:
        epoch += 1
        order = batches.draw_order(request.seed, epoch, len(data))
        for start in range(0, len(data), request.batch_size)[:wanted]:
            chosen = order[start : start + request.batch_size]
            yield Split(data.images[chosen], data.labels[chosen])
            wanted -= 1


def _take_steps(
    context: JobContext, run: Run, request: CertificateRequest, network: Network, batches: list[Split]
) -> tuple[Trace, Trace]:
    """Train on the batches in both precisions.

    Returns the backend's trace, and the trace that NumPy computes from the backend's own weights before each step.
    """
    mine: Trace = {}
    expected: Trace = {}
    for precision in PRECISIONS:
        mine[precision], expected[precision] = [], []
        weights: Arrays = initial_weights(network, request.seed)
        for number, (batch, step) in enumerate(_train_steps(context, request, network, batches, precision), start=1):
            forward = reference.forward(network, weights, batch.images)[1:]
            mine[precision].append(TraceStep(_traced_outputs(step.outputs, number), step.gradients, step.weights))
            expected[precision].append(TraceStep(_traced_outputs(forward, number)))
            weights = step.weights
            if not all(np.isfinite(array).all() for array in (step.outputs[-1], *weights.values())):
                raise InvalidRequestError(f"a number is not finite after step {number}: lower the learning rate")
            run.report(step=number, precision=precision)
    return mine, expected


def _train_steps(
    context: JobContext, request: CertificateRequest, network: Network, batches: list[Split], precision: Precision
) -> Iterator[tuple[Split, Step]]:
    """Yield each batch with what the backend computed in the training step on it."""
    backend = context.backend
    model = backend.define_network(network, initial_weights(network, request.seed), precision)
    optimizer = backend.define_optimizer(request.optimizer, model)
    yield from zip(batches, backend.trace(model, optimizer, backend.define_loss(), batches), strict=True)


def _traced_outputs(outputs: list[NDArray[Any]], step: int) -> Arrays:
    """Name the outputs of all layers in the first step, and only the logits in later ones, to save memory."""
    names = [f"layers.{index}" for index in range(len(outputs))]
    kept = slice(None) if step == 1 else slice(-1, None)
    return dict(zip(names[kept], outputs[kept], strict=True))


def compare_traces(network: Network, one: Trace, other: Trace, limits: TraceLimits = LIMITS) -> Parity:
    """Compare two traces of the same steps.

    Args:
        network: the network of both.
        one: a trace.
        other: a trace of the same steps.
        limits: the largest differences that rounding explains.

    Returns:
        A verdict, the first difference, and the largest differences at each step.
    """
    found = [difference for precision in PRECISIONS for difference in _differences(network, one, other, precision)]
    beyond = [d for d in found if d.precision == "float64" and d.difference > limits[d.what]]
    unequal = [d for d in found if d.difference > 0]
    first = next(iter(beyond or unequal), None)
    steps: dict[str, list[StepDifference]] = {precision: [] for precision in PRECISIONS}
    for (precision, step), differences in groupby(found, attrgetter("precision", "step")):
        steps[precision].append(_largest(step, list(differences)))
    return Parity(
        verdict=DIFFERENT if beyond else ROUNDING if unequal else IDENTICAL,
        first_difference=first and FirstDifference(**asdict(first)),
        limits={str(what): limit for what, limit in limits.items()},
        steps=steps,
    )


def _largest(step: int, differences: list[TensorDifference]) -> StepDifference:
    """Return the largest differences of one step; for the outputs that of the logits, which come last."""

    def values(what: Quantity) -> list[float]:
        return [d.difference for d in differences if d.what == what]

    return StepDifference(
        step=step,
        logits=values("outputs")[-1],
        gradients=max(values("gradients"), default=None),
        weights=max(values("weights"), default=None),
    )


def _differences(network: Network, one: Trace, other: Trace, precision: Precision) -> Iterator[TensorDifference]:
    """Yield every tensor's difference, in the order in which the step computes the tensors.

    Outputs come from the first layer to the last, gradients from the last to the first.
    """
    for number, (a, b) in enumerate(zip(one[precision], other[precision], strict=True), start=1):
        for what in LIMITS:
            distances = _distances(getattr(a, what), getattr(b, what))
            for name in reversed(distances) if what == "gradients" else distances:
                index = int(name.split(".")[1])
                layer = f"layers.{index} ({network.layers[index].kind})"
                yield TensorDifference(precision, number, layer, what, distances[name])


def _distances(one: Arrays, other: Arrays) -> dict[str, float]:
    """Return max |a - b| / max |a| of each tensor, by its name; nothing if one side has no tensors."""
    if not (one and other):
        return {}
    scales = {name: float(max(np.abs(one[name]).max(), np.abs(other[name]).max())) for name in one}
    least = LEAST_SCALE * max(scales.values()) or 1.0
    return {name: float(np.abs(one[name] - other[name]).max()) / max(scales[name], least) for name in one}


def flatten(trace: Trace) -> Arrays:
    """Return a trace as arrays named `<precision>/<step>/<quantity>/<tensor>`."""
    return {
        f"{precision}/{number:04}/{what}/{name}": np.ascontiguousarray(array)
        for precision, steps in trace.items()
        for number, step in enumerate(steps)
        for what in LIMITS
        for name, array in getattr(step, what).items()
    }


def unflatten(arrays: Arrays) -> Trace:
    """Return the trace that `flatten` made arrays of."""
    trace: Trace = {precision: [] for precision in PRECISIONS}
    for path in sorted(arrays):
        precision, number, what, name = path.split("/")
        steps = trace["float64" if precision == "float64" else "float32"]
        if len(steps) == int(number):
            steps.append(TraceStep())
        getattr(steps[-1], what)[name] = arrays[path]
    return trace
