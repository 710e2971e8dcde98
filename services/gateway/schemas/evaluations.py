"""Response bodies of /v1/evaluations."""

from typing import Annotated

from pydantic import Field

from shared.jobs.payloads import Comparison, ResponseBody, Status


class ClassFigures(ResponseBody):
    name: Annotated[str, Field(alias="class")]
    precision: float
    recall: float
    f1: float


class EvaluationResult(ResponseBody):
    status: Status
    accuracy: float | None = None
    loss: float | None = None
    confusion: Annotated[list[list[int]] | None, Field(description="confusion[true][predicted]")] = None
    per_class: list[ClassFigures] | None = None
    error: str | None = None


class Evaluation(ResponseBody):
    id: str
    status: Status
    model: str
    version: int
    dataset: str
    split: str
    created_at: str
    results: dict[str, EvaluationResult]
    comparisons: list[Comparison]
