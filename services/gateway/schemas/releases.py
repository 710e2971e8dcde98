"""Response bodies of /v1/releases."""

from typing import Annotated, Any

from pydantic import Field

from services.gateway.schemas.listings import JobListing
from shared.jobs.kinds import JobRecord
from shared.jobs.payloads import ResponseBody, Status
from shared.jobs.releases import GateResult, ReleaseJob, ReleaseRun, StableMove
from shared.jobs.results import Comparison


class Release(ResponseBody):
    """A release: its gates in their order, and what it did to `stable`."""

    id: str
    status: Annotated[Status, Field(description="succeeded: `stable` was moved; failed: it was not")]
    name: str
    version: Annotated[int | None, Field(description="null until the training that comes first has succeeded")]
    request: dict[str, Any]
    created_at: str
    error: Annotated[str | None, Field(description="why `stable` was not moved; begins with the gate that failed")]
    warnings: list[str]
    training: Annotated[str | None, Field(description="the id of the training, if the request has one")]
    dataset: Annotated[str | None, Field(description="the dataset of the gates' pictures; null at the beginning")]
    gates: list[GateResult]
    stable: StableMove
    reverted_at: str | None

    @classmethod
    def of(cls, record: JobRecord[ReleaseJob, ReleaseRun, Comparison]) -> "Release":
        """Return the body for a record."""
        job = record.job
        (run,) = record.runs.values()
        return cls(
            id=job.id,
            status=record.status,
            name=job.name,
            version=run.version or job.version,
            request=job.request.model_dump(mode="json"),
            created_at=job.created_at,
            error=run.error,
            warnings=run.warnings,
            training=run.training,
            dataset=run.dataset,
            gates=run.gates,
            stable=run.stable or StableMove(),
            reverted_at=run.reverted_at,
        )


class Releases(JobListing):
    """A part of the list of releases, newest first."""

    releases: list[Release]
