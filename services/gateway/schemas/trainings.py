"""Response bodies of /v1/trainings."""

from typing import Annotated, Any

from pydantic import Field

from shared.jobs.payloads import Comparison, Epoch, ModelReference, ResponseBody, Status


class TrainingRun(ResponseBody):
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


class Training(ResponseBody):
    id: str
    status: Status
    name: str
    version: int
    request: dict[str, Any]
    created_at: str
    runs: dict[str, TrainingRun]
    comparisons: Annotated[list[Comparison], Field(description="of the finished runs, on the test split")]
    warnings: list[str] = []  # noqa: RUF012 - pydantic copies defaults


class Trainings(ResponseBody):
    trainings: list[Training]
