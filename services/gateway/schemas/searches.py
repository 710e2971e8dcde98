"""Response bodies of /v1/searches."""

from typing import Annotated, Any

from pydantic import Field

from services.gateway.schemas.listings import JobListing
from shared.jobs.kinds import JobRecord
from shared.jobs.payloads import ResponseBody, Status
from shared.jobs.searches import BackendAgreement, SearchJob, SearchProgress, SearchRun, SearchTrial, SearchWinner


class Search(ResponseBody):
    """A search: its trials while it runs, and its winner when it has succeeded."""

    id: str
    status: Status
    name: Annotated[str, Field(description="of the winner's model")]
    request: dict[str, Any]
    created_at: str
    error: str | None
    warnings: list[str]
    progress: Annotated[SearchProgress | None, Field(description="null until the search begins")]
    trials: Annotated[list[SearchTrial], Field(description="in order; in a list of searches always empty")]
    best: Annotated[int | None, Field(description="number of the finished trial with the smallest value")]
    importance: Annotated[
        dict[str, float] | None,
        Field(
            description="each path's share in the differences between finished trials (PED-ANOVA); null for fewer "
            "than 4 of them"
        ),
    ]
    agreement: Annotated[list[BackendAgreement], Field(description="one for each pair of backends")]
    winner: Annotated[SearchWinner | None, Field(description="null until the last trial has ended")]

    @classmethod
    def of(cls, record: JobRecord[SearchJob, SearchRun, BackendAgreement], *, has_trials: bool = True) -> "Search":
        """Return the body for a record: the job, its only run, and the status of the whole.

        Args:
            record: as read from Redis.
            has_trials: whether the body lists the trials.
        """
        (run,) = record.runs.values()
        job = record.job
        return cls(
            id=job.id,
            status=record.status,
            name=job.name,
            request=job.request.model_dump(mode="json"),
            created_at=job.created_at,
            error=run.error,
            warnings=[*job.warnings, *run.warnings],
            progress=run.progress,
            trials=run.trials if has_trials else [],
            best=run.best,
            importance=run.importance,
            agreement=run.agreement,
            winner=run.winner,
        )


class Searches(JobListing):
    """A part of the list of searches, newest first. The trials are left out."""

    searches: list[Search]
