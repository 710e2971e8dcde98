"""The types of a release: the request with its gates, the job, and everything that a release reports.

A release checks a version of a model with gates, one after the other, and then moves the alias `stable` to it. The
gateway parses the request and shows the result; the pipelines' process carries the release out. This module does no
I/O.
"""

from typing import Annotated, Literal, Self

from pydantic import Field, JsonValue, model_validator

from shared.jobs.payloads import Backends, JobPayload, ModelName, RequestBody, ResponseBody, TrainingRequest
from shared.jobs.results import RunState
from shared.models.versions import Version

Fraction = Annotated[float, Field(strict=True, ge=0, le=1, allow_inf_nan=False)]
GateStatus = Literal["waiting", "running", "passed", "failed", "skipped"]
FormatName = Annotated[str, Field(pattern="^[a-z0-9-]{1,32}$")]


# The request ---------------------------------------------------------------


class DataGate(RequestBody):
    """Limits for the data that the version was trained and tested on."""

    min_examples_per_class: Annotated[
        int, Field(strict=True, ge=1, description="in the training split; the test split needs one of each class")
    ] = 10
    max_duplicate_share: Annotated[
        Fraction, Field(description="test pictures that are in the training split too, exactly or nearly")
    ] = 0.01
    max_label_drift: Annotated[
        Fraction, Field(description="how far the shares of the classes may be from those of the data of `stable`")
    ] = 0.1
    max_pixel_drift: Annotated[
        Fraction,
        Field(description="how far pixel values, and the mean picture, may be from the data of `stable`"),
    ] = 0.05
    max_label_noise: Annotated[Fraction, Field(description="labels that are wrong, as far as can be told")] = 0.02


class AccuracyGate(RequestBody):
    """How much worse than `stable` the version may be."""

    margin: Annotated[Fraction, Field(description="accuracy that the version may lose")] = 0.01
    confidence: Annotated[
        float,
        Field(strict=True, ge=0.5, lt=1, description="one-sided: how sure the gate is that a version is worse"),
    ] = 0.95


class ParityGate(RequestBody):
    """How far the backends' models may differ."""

    min_agreement: Annotated[
        Fraction,
        Field(description="test pictures for which two backends agree; the upper end of the 95 % interval counts"),
    ] = 0.95
    max_accuracy_difference: Annotated[
        Fraction, Field(description="between two backends; the nearer end of the 95 % interval counts")
    ] = 0.02


class GoldenGate(RequestBody):
    """Every backend serves the version that was published: its files are intact, and its answers are the same."""


class LatencyGate(RequestBody):
    """An upper bound of the latency under load."""

    rate: Annotated[float, Field(strict=True, gt=0, le=10_000, description="requests per second")] = 20
    bound_ms: Annotated[float, Field(strict=True, gt=0, le=60_000, description="upper bound of the p99")] = 100
    duration_s: Annotated[float, Field(strict=True, ge=1, le=600, description="of the load on each backend")] = 10


class Gates(RequestBody):
    """What is checked before `stable` moves, in this order. `null` leaves a gate out."""

    data: DataGate | None = DataGate()
    accuracy: AccuracyGate | None = AccuracyGate()
    parity: ParityGate | None = ParityGate()
    golden: GoldenGate | None = GoldenGate()
    exports: Annotated[
        list[FormatName] | None, Field(min_length=1, max_length=16, description="formats that must be accepted")
    ] = None
    latency: LatencyGate | None = LatencyGate()


class ReleaseRequest(RequestBody):
    """Release a version of a model, or train one and release it."""

    model: ModelName | None = None
    version: Annotated[Version | None, Field(description="null means the newest that all the backends have")] = None
    backends: Annotated[
        Backends | None, Field(description="whose models are checked; null means every backend that has the version")
    ] = None
    train: Annotated[TrainingRequest | None, Field(description="instead of `model`: a training to begin with")] = None
    gates: Gates = Gates()

    @model_validator(mode="after")
    def _check_subject(self) -> Self:
        if (self.model is None) == (self.train is None):
            raise ValueError("name either a `model` to release, or a training in `train`")
        if self.train and (self.version is not None or self.backends is not None):
            raise ValueError("`version` and `backends` belong to `model`; a training has its own `backends`")
        if self.train and not self.train.publish:
            raise ValueError("train.publish: a training that publishes no model cannot be released")
        return self


# The job, and what it reports ----------------------------------------------


class ReleaseJob(JobPayload):
    """The signed job of a release.

    Attributes:
        request: what the client asked for. A training's request has its name and its backends filled in.
        name: the model's name.
        version: the version to release; None if it has to be trained first.
        asked: the backends whose models are checked.
    """

    request: ReleaseRequest
    name: str
    version: int | None = None
    asked: list[str]

    def search_terms(self) -> list[str]:
        """Return the id and the model's name."""
        return [self.id, self.name]


class GatePicture(ResponseBody):
    """A picture of the version's dataset that shows why a gate failed, or nearly did."""

    split: Literal["train", "test"]
    index: int
    why: str


class GateResult(ResponseBody):
    """A gate of a release."""

    gate: str
    status: GateStatus = "waiting"
    summary: Annotated[str, Field(description="what the gate found, in one sentence")] = ""
    figures: dict[str, JsonValue] = Field(default_factory=dict)
    pictures: Annotated[list[GatePicture], Field(description="the first 20")] = []  # noqa: RUF012 - pydantic copies


class StableMove(ResponseBody):
    """The version that `stable` meant before a release, and the one after it."""

    before: Annotated[int | None, Field(description="null: `stable` did not exist")] = None
    after: Annotated[int | None, Field(description="null: the release has not moved `stable`")] = None


class ReleaseRun(RunState):
    """The single run of a release.

    Attributes:
        version: the version to release, once it is known.
        training: the id of the training that a release began with.
        dataset: the dataset of the version; the pictures of the gates are in it.
        gates: every gate, in order.
        stable: what the release knows about the alias; None until the release has begun.
        reverted_at: when the release was reverted, in ISO 8601.
    """

    version: int | None = None
    training: str | None = None
    dataset: str | None = None
    gates: list[GateResult] = Field(default_factory=list)
    stable: StableMove | None = None
    reverted_at: str | None = None


def first_results(gates: Gates) -> list[GateResult]:
    """Return the results that a release begins with: every gate waits, or is left out."""
    return [
        GateResult(gate=gate, status="skipped", summary="The request leaves this gate out.")
        if getattr(gates, gate) is None
        else GateResult(gate=gate)
        for gate in Gates.model_fields
    ]
