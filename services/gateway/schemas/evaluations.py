"""Response bodies of /v1/evaluations."""

from services.gateway.schemas.listings import JobListing
from shared.jobs.kinds import JobRecord
from shared.jobs.payloads import EvaluationJob, ResponseBody, Status
from shared.jobs.results import Comparison, EvaluationResult


class Evaluation(ResponseBody):
    """An evaluation with one result per backend, and one comparison per pair of backends."""

    id: str
    status: Status
    model: str
    version: int
    dataset: str
    split: str
    created_at: str
    results: dict[str, EvaluationResult]
    comparisons: list[Comparison]

    @classmethod
    def of(cls, record: JobRecord[EvaluationJob, EvaluationResult, Comparison]) -> "Evaluation":
        """Return the body for a record."""
        job = record.job
        return cls(
            id=job.id,
            status=record.status,
            model=job.model,
            version=job.version,
            dataset=job.dataset,
            split=job.split,
            created_at=job.created_at,
            results=record.runs,
            comparisons=record.comparisons,
        )


class Evaluations(JobListing):
    """A part of the list of evaluations, newest first."""

    evaluations: list[Evaluation]
