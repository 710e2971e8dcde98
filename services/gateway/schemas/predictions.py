"""Query and response body of POST /v1/predictions."""

from typing import Annotated, Literal

from pydantic import Field

from shared.jobs.payloads import ModelName, RequestBody, ResponseBody
from shared.models.versions import VersionText


class PredictionQuery(RequestBody):
    """The query of a prediction: which model, backends and version."""

    model: ModelName
    backends: Annotated[str | None, Field(description="separated by commas; by default all")] = None
    version: VersionText | None = None
    prepared: Annotated[bool, Field(description="also return what the model saw of each picture")] = False
    wait: Annotated[
        Literal["all", "any"],
        Field(
            description="all: wait for every backend, at most TANDEM_JOINT_TIMEOUT_S once one has answered; "
            "any: return the first answer"
        ),
    ] = "all"


class Prediction(ResponseBody):
    """One backend's prediction of one picture."""

    label: Annotated[int, Field(description="index of the most probable class")]
    class_name: Annotated[str, Field(alias="class")]
    probability: Annotated[float, Field(description="of that class")]
    probabilities: Annotated[list[float], Field(description="of every class, in the order of the dataset's classes")]
    version: int


class PredictedImage(ResponseBody):
    """The predictions of one picture, by backend."""

    name: Annotated[str, Field(description="the posted file's name")]
    agree: Annotated[bool | None, Field(description="null when fewer than two backends answered")]
    results: dict[str, Prediction]
    warnings: Annotated[list[str], Field(description="what was done to the picture that may change the answer")]
    prepared: Annotated[str | None, Field(description="what the model saw, as a PNG data URI, if it was requested")]


class Predictions(ResponseBody):
    """The predictions of all posted pictures, in their order."""

    model: str
    images: list[PredictedImage]
    errors: Annotated[dict[str, str], Field(description="backends that gave no answer, and why")]
