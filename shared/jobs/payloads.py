"""Request and response bodies of the public API: the OpenAPI document is made of these.

Unknown fields are refused, numbers are not guessed from strings, and every
field of a training has a default. Only shapes and ranges are checked here;
what needs to look at the world (does the dataset exist?) is the gateway's.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag

from shared.data.augmentation import Augmentation
from shared.models.versions import Version
from shared.network.description import Network
from shared.network.optimizers import Optimizer, Sgd

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


class JobPayload(BaseModel):
    """What a signed job carries to its worker. Each kind of job has its own subclass.

    Attributes:
        kind: decides which function performs the job.
        id: of the work, which has one job per backend.
        backend: whose share of the work this is; also the name of the queue.
        request_id: of the HTTP request that submitted the work; it is repeated in every log line.
    """

    model_config = ConfigDict(frozen=True)

    kind: str
    id: str
    backend: str
    created_at: str
    request_id: str = ""


class RequestBody(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ResponseBody(BaseModel):
    model_config = ConfigDict(serialize_by_alias=True)


# Comparisons ---------------------------------------------------------------


class McNemar(ResponseBody):
    """McNemar's exact test of two backends on the same examples."""

    only: Annotated[dict[str, int], Field(description="examples that only this backend got right")]
    p_value: Annotated[float, Field(description="two-sided; 1 when neither was right alone more often")]


class AccuracyDifference(ResponseBody):
    value: Annotated[float, Field(description="the first backend's accuracy less the second's")]
    low: Annotated[float, Field(description="of a 95 % interval, by a paired bootstrap")]
    high: float


class Comparison(ResponseBody):
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


class TrainingRequest(RequestBody):
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


class Epoch(ResponseBody):
    epoch: int
    loss: Annotated[float, Field(description="example-weighted mean over the epoch's batches")]
    accuracy: float
    test_loss: float
    test_accuracy: float
    seconds: Annotated[float, Field(description="wall time, test evaluation and progress included")]


class ModelReference(ResponseBody):
    name: str
    backend: str
    version: int


# Parity certificates -------------------------------------------------------

Verdict = Literal["identical", "rounding", "different"]


class CertificateRequest(RequestBody):
    """Training steps in every backend, in double and in single precision, to be held against each other."""

    network: Annotated[PresetOrNetwork, Field(description="a preset's name, or a network described")] = "article"
    optimizer: Optimizer = Sgd()
    dataset: Annotated[str, Field(max_length=63)] = "mnist"
    steps: Annotated[Count, Field(le=1000)] = 20
    seed: Seed = 0
    batch_size: Annotated[Count, Field(le=1024, description="at most the training split")] = 64


class StepDifference(ResponseBody):
    """The largest relative difference of any tensor, max |a - b| / max |a|."""

    step: int
    logits: float
    gradients: Annotated[float | None, Field(description="null against NumPy, which only goes forward")]
    weights: Annotated[float | None, Field(description="after the step")]


class FirstDifference(ResponseBody):
    precision: Literal["float64", "float32"]
    step: int
    layer: str
    what: Literal["outputs", "gradients", "weights"]
    difference: float


class Parity(ResponseBody):
    """identical: every bit in both precisions; rounding: in double precision, nothing beyond it."""

    verdict: Verdict
    first_difference: Annotated[
        FirstDifference | None, Field(description="the first layer that shows one: beyond rounding, else any")
    ]
    steps: Annotated[dict[str, list[StepDifference]], Field(description="by precision")]


class PairParity(Parity):
    backends: list[str]


# Evaluations ---------------------------------------------------------------


class EvaluationRequest(RequestBody):
    """Models of one version, one per backend, held against a split."""

    model: ModelName
    version: Version | None = None
    dataset: Annotated[str | None, Field(max_length=63, description="by default the one it was trained on")] = None
    split: Literal["train", "test"] = "test"
    backends: Annotated[Backends | None, Field(description="by default all")] = None


# Predictions ---------------------------------------------------------------
