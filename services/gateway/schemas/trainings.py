"""Response bodies of /v1/trainings."""

from typing import Annotated, Any

from pydantic import Field

from services.gateway.schemas.listings import JobListing
from shared.jobs.kinds import JobRecord
from shared.jobs.payloads import ResponseBody, Status, TrainingJob
from shared.jobs.results import Comparison, TrainingRun


class Training(ResponseBody):
    """A training with one run per backend."""

    id: str
    status: Status
    name: str
    version: Annotated[int | None, Field(description="null if the training publishes no model")]
    request: dict[str, Any]
    created_at: str
    runs: dict[str, TrainingRun]
    comparisons: Annotated[
        list[Comparison],
        Field(description="of the finished runs, on the test split; on the validation share if nothing is published"),
    ]
    warnings: list[str] = []  # noqa: RUF012 - pydantic copies defaults

    @classmethod
    def of(cls, record: JobRecord[TrainingJob, TrainingRun, Comparison]) -> "Training":
        """Return the body for a record."""
        job = record.job
        return cls(
            id=job.id,
            status=record.status,
            name=job.name,
            version=job.version or None,
            request=job.request.model_dump(mode="json"),
            created_at=job.created_at,
            runs=record.runs,
            comparisons=record.comparisons,
            warnings=job.warnings,
        )


class Trainings(JobListing):
    """A part of the list of trainings, newest first."""

    trainings: list[Training]
