"""The response body of /v1/loadtests."""

from typing import Annotated, Any, Literal

from pydantic import Field

from services.gateway.schemas.listings import JobListing
from shared.jobs.kinds import JobRecord
from shared.jobs.loadtests import Interval, LoadComparison, LoadResult, LoadTestJob, Progress
from shared.jobs.payloads import ResponseBody, Status
from shared.jobs.results import LoadTestRun


class LoadTest(ResponseBody):
    """A load test: its progress while it runs, its results when it has succeeded."""

    id: str
    status: Status
    model: str
    version: int
    request: dict[str, Any]
    created_at: str
    progress: Progress | None = None
    error: str | None = None
    valid: Annotated[bool | None, Field(description="whether the figures can be relied on; null until the end")] = None
    invalid_reason: str | None = None
    results: Annotated[dict[str, list[LoadResult]], Field(default_factory=dict, description="by backend, then by rate")]
    largest_qps: Annotated[
        dict[str, Interval], Field(default_factory=dict, description="only of a search: with a 95 % interval")
    ]
    comparisons: list[LoadComparison] = Field(default_factory=list)
    conditions: Annotated[
        dict[str, Any],
        Field(default_factory=dict, description="what was measured with, and on which machine; empty until the end"),
    ]
    note: Literal["Driven by LoadGen; not an MLPerf result"] = "Driven by LoadGen; not an MLPerf result"

    @classmethod
    def of(cls, record: JobRecord[LoadTestJob, LoadTestRun, LoadComparison]) -> "LoadTest":
        """Return the body for a record: the job, its only run, and the status of the whole."""
        (run,) = record.runs.values()
        conditions = {**run.conditions, "overlapped": run.overlapped} if run.conditions else {}
        fields = {**record.job.model_dump(mode="json"), **run.model_dump(mode="json")}
        return cls.model_validate({**fields, "conditions": conditions, "status": record.status})


class LoadTests(JobListing):
    """A part of the list of load tests, newest first."""

    loadtests: list[LoadTest]
