"""Query and response bodies of /v1/predictions."""

from typing import Annotated

from pydantic import Field

from shared.jobs.payloads import ModelName, RequestBody, ResponseBody
from shared.models.versions import VersionText


class PredictionQuery(RequestBody):
    model: ModelName
    backends: Annotated[str | None, Field(description="separated by commas; by default all")] = None
    version: VersionText | None = None
    prepared: Annotated[bool, Field(description="also answer what the model saw of each image")] = False


class Prediction(ResponseBody):
    label: int
    class_name: Annotated[str, Field(alias="class")]
    probability: float
    probabilities: list[float]
    version: int


class PredictedImage(ResponseBody):
    name: str
    agree: Annotated[bool | None, Field(description="null when fewer than two backends answered")]
    results: dict[str, Prediction]
    warnings: list[str]
    prepared: Annotated[str | None, Field(description="what the model saw, as a PNG data URI, if it was asked for")]


class Predictions(ResponseBody):
    model: str
    images: list[PredictedImage]
    errors: Annotated[dict[str, str], Field(description="backends that gave no answer, and why")]
