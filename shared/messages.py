"""Request and response bodies of the public API: the OpenAPI document is made of these.

Unknown fields are refused, numbers are not guessed from strings, and every
field of a training has a default. Only shapes and ranges are checked here;
what needs to look at the world (does the dataset exist?) is the gateway's.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag

from shared.network import Network
from shared.optimizer import Optimizer, Sgd
from shared.stream import Augmentation
from shared.versions import Version, VersionText

Status = Literal["queued", "running", "succeeded", "failed", "cancelled"]
Backends = Annotated[list[str], Field(min_length=1, max_length=16)]
Count = Annotated[int, Field(strict=True, ge=1)]
Seed = Annotated[int, Field(strict=True, ge=0, lt=2**32)]
ModelName = Annotated[str, Field(min_length=1, max_length=63)]


# Told apart by hand, so that an error speaks only of the one that was meant.
PresetOrNetwork = Annotated[
    Annotated[str, Field(max_length=63), Tag("preset")] | Annotated[Network, Tag("described")],
    Discriminator(lambda value: "preset" if isinstance(value, str) else "described"),
]


class Request(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Response(BaseModel):
    model_config = ConfigDict(serialize_by_alias=True)


class Problem(Response):
    """RFC 9457 problem document; `error` is the detail on one line."""

    type: str
    title: str
    status: int
    detail: str
    error: str


# Comparisons ---------------------------------------------------------------


class McNemar(Response):
    """McNemar's exact test of two backends on the same examples."""

    only: Annotated[dict[str, int], Field(description="examples that only this backend got right")]
    p_value: Annotated[float, Field(description="two-sided; 1 when neither was right alone more often")]


class AccuracyDifference(Response):
    value: Annotated[float, Field(description="the first backend's accuracy less the second's")]
    low: Annotated[float, Field(description="of a 95 % interval, by a paired bootstrap")]
    high: float


class Comparison(Response):
    """Two backends' answers to the same examples; a disagreement also holds each backend's label."""

    backends: list[str]
    agreement: Annotated[float, Field(description="fraction of examples with the same predicted class")]
    mcnemar: McNemar
    accuracy_difference: AccuracyDifference
    max_probability_difference: float
    max_weight_difference: Annotated[
        float | None, Field(description="of trainings with shared pairing: how far rounding has taken them apart")
    ] = None
    disagreements: Annotated[list[dict[str, int]], Field(description="the first 100")]
    notes: Annotated[list[str], Field(description="what keeps them apart besides rounding")] = []


# Trainings -----------------------------------------------------------------


class TrainingRequest(Request):
    """One network, one dataset, one or more backends."""

    network: Annotated[PresetOrNetwork, Field(description="a preset's name, or a network described")] = "article"
    dataset: Annotated[str, Field(max_length=63)] = "mnist"
    name: Annotated[ModelName | None, Field(description="by default {network}-{dataset}")] = None
    backends: Annotated[Backends | None, Field(description="by default all")] = None
    epochs: Annotated[Count, Field(le=1000)] = 10
    batch_size: Annotated[Count, Field(le=65_536, description="at most the training split")] = 64
    optimizer: Optimizer = Sgd()
    precision: Annotated[
        Literal["float32", "float64"],
        Field(description="float64 leaves next to nothing between backends, slowly; published are float32 weights"),
    ] = "float32"
    augmentation: Annotated[Augmentation | None, Field(description="changes each picture anew in each epoch")] = None
    seed: Seed = 0
    pairing: Annotated[
        Literal["shared", "native"],
        Field(description="shared: same initial weights, same batches; native: as each framework does by itself"),
    ] = "shared"


class Epoch(Response):
    epoch: int
    loss: Annotated[float, Field(description="example-weighted mean over the epoch's batches")]
    accuracy: float
    test_loss: float
    test_accuracy: float
    seconds: Annotated[float, Field(description="wall time, test evaluation and progress included")]


class ModelReference(Response):
    name: str
    backend: str
    version: int


class TrainingRun(Response):
    status: Status
    epoch: Annotated[int, Field(description="epochs finished")]
    epochs: int
    history: list[Epoch]
    examples_per_second: Annotated[float | None, Field(description="training examples over the median epoch")] = None
    threads: int | None = None
    device: str | None = None
    overlapped: Annotated[bool, Field(description="another run was at work on the machine meanwhile")] = False
    resumed_after: Annotated[int | None, Field(description="the epoch it went on after, its process having died")] = (
        None
    )
    model: ModelReference | None = None
    error: str | None = None


class Training(Response):
    id: str
    status: Status
    name: str
    version: int
    request: dict[str, Any]
    created_at: str
    runs: dict[str, TrainingRun]
    comparisons: Annotated[list[Comparison], Field(description="of the finished runs, on the test split")]
    warnings: list[str] = []


class Trainings(Response):
    trainings: list[Training]


# Parity certificates -------------------------------------------------------

Verdict = Literal["identical", "rounding", "different"]


class CertificateRequest(Request):
    """Training steps in every backend, in double and in single precision, to be held against each other."""

    network: Annotated[PresetOrNetwork, Field(description="a preset's name, or a network described")] = "article"
    optimizer: Optimizer = Sgd()
    dataset: Annotated[str, Field(max_length=63)] = "mnist"
    steps: Annotated[Count, Field(le=1000)] = 20
    seed: Seed = 0
    batch_size: Annotated[Count, Field(le=1024, description="at most the training split")] = 64


class StepDifference(Response):
    """The largest relative difference of any tensor, max |a - b| / max |a|."""

    step: int
    logits: float
    gradients: Annotated[float | None, Field(description="null against NumPy, which only goes forward")]
    weights: Annotated[float | None, Field(description="after the step")]


class FirstDifference(Response):
    precision: Literal["float64", "float32"]
    step: int
    layer: str
    what: Literal["outputs", "gradients", "weights"]
    difference: float


class Parity(Response):
    """identical: every bit in both precisions; rounding: in double precision, nothing beyond it."""

    verdict: Verdict
    first_difference: Annotated[
        FirstDifference | None, Field(description="the first layer that shows one: beyond rounding, else any")
    ]
    steps: Annotated[dict[str, list[StepDifference]], Field(description="by precision")]


class PairParity(Parity):
    backends: list[str]


class CertificateRun(Response):
    status: Status
    precision: str | None = None
    step: Annotated[int, Field(description="the last one taken in this precision")] = 0
    reference: Annotated[Parity | None, Field(description="its forward pass against NumPy's")] = None
    error: str | None = None


class Certificate(Response):
    id: str
    status: Status
    verdict: Annotated[Verdict | None, Field(description="the worst of all; null until the end")]
    request: dict[str, Any]
    created_at: str
    runs: dict[str, CertificateRun]
    comparisons: list[PairParity]
    notes: list[str]


# Evaluations ---------------------------------------------------------------


class EvaluationRequest(Request):
    """Models of one version, one per backend, held against a split."""

    model: ModelName
    version: Version | None = None
    dataset: Annotated[str | None, Field(max_length=63, description="by default the one it was trained on")] = None
    split: Literal["train", "test"] = "test"
    backends: Annotated[Backends | None, Field(description="by default all")] = None


class ClassFigures(Response):
    name: Annotated[str, Field(alias="class")]
    precision: float
    recall: float
    f1: float


class EvaluationResult(Response):
    status: Status
    accuracy: float | None = None
    loss: float | None = None
    confusion: Annotated[list[list[int]] | None, Field(description="confusion[true][predicted]")] = None
    per_class: list[ClassFigures] | None = None
    error: str | None = None


class Evaluation(Response):
    id: str
    status: Status
    model: str
    version: int
    dataset: str
    split: str
    created_at: str
    results: dict[str, EvaluationResult]
    comparisons: list[Comparison]


# Predictions ---------------------------------------------------------------


class PredictionQuery(Request):
    model: ModelName
    backends: Annotated[str | None, Field(description="separated by commas; by default all")] = None
    version: VersionText | None = None
    prepared: Annotated[bool, Field(description="also answer what the model saw of each image")] = False


class Prediction(Response):
    label: int
    class_name: Annotated[str, Field(alias="class")]
    probability: float
    probabilities: list[float]
    version: int


class PredictedImage(Response):
    name: str
    agree: Annotated[bool | None, Field(description="null when fewer than two backends answered")]
    results: dict[str, Prediction]
    warnings: list[str]
    prepared: Annotated[str | None, Field(description="what the model saw, as a PNG data URI, if it was asked for")]


class Predictions(Response):
    model: str
    images: list[PredictedImage]
    errors: Annotated[dict[str, str], Field(description="backends that gave no answer, and why")]
