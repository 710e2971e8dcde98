"""The parts of the gateway's responses that the command line reads. Results are keyed by backend."""

from typing import TypedDict


class EpochJson(TypedDict):
    """One epoch of a run. `seconds` is its wall time, an accuracy a fraction. It is null without a test split."""

    loss: float
    test_accuracy: float | None
    seconds: float


class RunJson(TypedDict):
    """One backend's run of a training."""

    epoch: int
    epochs: int
    history: list[EpochJson]
    examples_per_second: float
    threads: int
    overlapped: bool


class TrainingJson(TypedDict):
    """`GET /v1/trainings/{id}`."""

    id: str
    name: str
    version: int | None
    runs: dict[str, RunJson]


class EvaluationResultJson(TypedDict):
    """One backend's figures on the test split: accuracy as a fraction, loss as the mean cross-entropy."""

    accuracy: float
    loss: float


class ComparisonJson(TypedDict):
    """How the predictions of two backends compare. `agreement` is the fraction of images with the same class."""

    backends: list[str]
    agreement: float
    max_probability_difference: float


class EvaluationJson(TypedDict):
    """`GET /v1/evaluations/{id}`."""

    id: str
    results: dict[str, EvaluationResultJson]
    comparisons: list[ComparisonJson]


# The member `class` is a keyword of Python, so this type needs the functional form.
PredictedJson = TypedDict("PredictedJson", {"class": str, "probability": float})
"""One backend's prediction for one image."""


class PredictedImageJson(TypedDict):
    """The predictions for one posted image."""

    results: dict[str, PredictedJson]


class PredictionJson(TypedDict):
    """`POST /v1/predictions`."""

    images: list[PredictedImageJson]


class TokenJson(TypedDict):
    """One token in `GET /v1/tokens`; times are ISO 8601."""

    id: str
    name: str
    scopes: list[str]
    created_at: str
    expires_at: str | None
    last_used_at: str | None


class TokenListJson(TypedDict):
    """`GET /v1/tokens`."""

    tokens: list[TokenJson]


class CreatedTokenJson(TypedDict):
    """`POST /v1/tokens`."""

    id: str
    scopes: list[str]
    token: str
