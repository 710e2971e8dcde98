"""The types of a load test: the request, the job, and everything that the load tester reports.

The gateway parses the request and shows the results; the load tester carries out the job and writes the results.
Both use these classes, so that each field is defined once.
"""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from shared.jobs.payloads import Backends, JobPayload, ModelName, RequestBody, ResponseBody, Seed
from shared.models.manifest import FileSum
from shared.models.versions import Version

Positive = Annotated[float, Field(strict=True, gt=0, allow_inf_nan=False)]
Rates = Annotated[list[Annotated[Positive, Field(le=10_000)]], Field(min_length=1, max_length=16)]
Scenario = Literal["server", "single_stream", "offline"]
Metric = Literal["p99_ms", "achieved_qps", "largest_qps"]


class LoadTestRequest(RequestBody):
    """Send the same requests at the same times to every backend. The same backend twice makes an A/A test."""

    model: ModelName
    version: Version | None = None
    backends: Annotated[Backends | None, Field(description="null means all")] = None
    scenario: Annotated[
        Scenario,
        Field(
            description="server: Poisson arrivals at a rate; single_stream: the next request after the last answer; "
            "offline: all requests at once"
        ),
    ] = "server"
    target_qps: Annotated[
        Rates | Literal["search"] | None,
        Field(
            description="only for `server`: requests per second, or `search` for the largest rate whose p99 is "
            "within latency_bound_ms"
        ),
    ] = None
    latency_bound_ms: Annotated[Positive, Field(description="upper bound for the p99")] = 50.0
    duration_s: Annotated[
        Positive,
        Field(ge=1, le=3600, description="time under load of each backend at each rate; in a search, of each backend"),
    ] = 60.0
    seed: Seed = 0

    @model_validator(mode="after")
    def _check_rates_against_scenario(self) -> Self:
        if self.scenario == "server" and self.target_qps is None:
            raise ValueError('target_qps: the scenario server needs rates, such as [50, 100], or "search"')
        if self.scenario != "server" and self.target_qps is not None:
            raise ValueError(f"target_qps: the scenario {self.scenario} has no rate: leave target_qps out")
        return self


class LoadTestJob(JobPayload):
    """The signed job of a load test. One job measures all sides.

    Attributes:
        request: the request; its `backends` are listed.
        model: name of the model.
        version: number of the version that every side serves.
        dataset: name of the dataset whose test images are sent.
        sides: name of each side and its backend. The two sides of an A/A test have the same backend.
        models: checksum and size of the files of each backend's model, by file name.
    """

    kind: Literal["loadtest"]
    request: LoadTestRequest
    model: str
    version: int
    dataset: str
    sides: dict[str, str]
    models: dict[str, dict[str, FileSum]]

    def search_terms(self) -> list[str]:
        """Return the id, the names of the model and the dataset, the scenario, and the backends that are measured."""
        return [self.id, self.model, self.dataset, self.request.scenario, *self.sides]


class Progress(ResponseBody):
    """How many blocks a load test has measured, and what it measures now."""

    done: Annotated[int, Field(description="finished blocks")]
    of: Annotated[int, Field(description="all blocks; an estimate in a search")]
    doing: Annotated[str, Field(description="backend, scenario and rate of the current block")]


class Interval(ResponseBody):
    """An estimate and the ends of its interval; both ends are null if there are too few blocks for an interval."""

    value: float
    low: float | None
    high: float | None


class LoadResult(ResponseBody):
    """One backend at one rate. Latencies count from the scheduled time and include only requests answered with 200."""

    target_qps: Annotated[float | None, Field(description="requests per second; null unless the scenario is server")]
    achieved_qps: Annotated[float, Field(description="requests answered with 200, per second")]
    queries: Annotated[int, Field(description="all requests, answered or not")]
    blocks: int
    valid: Annotated[bool, Field(description="whether the figures can be relied on")]
    invalid_reason: str | None
    p50_ms: float | None
    p90_ms: float | None
    p99_ms: float | None
    p999_ms: Annotated[float | None, Field(description="only for 6,636 answered requests or more")]
    intervals: Annotated[
        dict[str, tuple[float, float]], Field(description="95 % intervals over blocks; only for 6 blocks or more")
    ]
    meets_bound: Annotated[bool, Field(description="the p99 is within latency_bound_ms, and there are no errors")]
    errors: Annotated[dict[str, int], Field(description="number of requests not answered with 200, by kind")]
    late_p99_ms: Annotated[float, Field(description="p99 of how late the load generator itself was")]
    generator_p50_ms: Annotated[
        float | None,
        Field(
            description="median of the load generator's own time in a latency: it sends late, and reads an answer some "
            "time after its last byte has arrived; null if nothing was answered or this was not measured"
        ),
    ] = None
    generator_p99_ms: Annotated[float | None, Field(description="p99 of the same")] = None
    cpu_seconds_per_1000: Annotated[
        float | None, Field(description="CPU seconds of all the backend's predictors per 1,000 answered requests")
    ]
    peak_memory_bytes: Annotated[
        int | None, Field(description="peak resident memory of the backend's predictors since they started, added")
    ]
    time_split_ms: Annotated[dict[str, float], Field(description="mean of each part; the sum is the mean latency")]
    distribution: Annotated[
        dict[str, list[float]] | None, Field(description="`latency_ms` at the quantiles `levels`, which are fractions")
    ]
    over_time: Annotated[
        list[dict[str, float]],
        Field(description="`p50_ms` and `max_ms` of each second of each block; `at_s` counts from the test's start"),
    ]


class LoadComparison(ResponseBody):
    """The claim about a pair of backends: the second's figure minus the first's, with its interval."""

    backends: list[str]
    metric: Metric
    target_qps: Annotated[float | None, Field(description="the rate that is compared; null if there is none")]
    confidence: Annotated[float, Field(description="of this interval; 0.99 for all pairs together")]
    blocks: Annotated[int, Field(description="how many block differences were used; in a search, passes")]
    difference: Interval | None
    claim: Annotated[str, Field(description="the result as a sentence")]


class LoadFindings(ResponseBody):
    """What the measurements of a load test show."""

    valid: Annotated[bool, Field(description="whether the figures can be relied on")]
    invalid_reason: str | None
    results: Annotated[dict[str, list[LoadResult]], Field(description="by backend, then by rate")]
    largest_qps: Annotated[dict[str, Interval], Field(description="only of a search: with a 95 % interval")]
    comparisons: list[LoadComparison]


class LoadConditions(BaseModel):
    """What a load test was measured with, and on which machine.

    Attributes:
        backends: all backends of this Tandem, in order.
        cpu: model name of the load tester's processor.
        cores: number of the load tester's cores.
        predictors: how many predictors of each side answered. Older results have none.
        threads: threads that each side's first predictor computes with; None if all were down.
        devices: the device of each side's first predictor, "cpu" or "cuda"; None if all were down. Older results have
            none.
        versions: framework versions of each side's first predictor.
        python: Python version of the load tester.
        commit: source commit, from TANDEM_COMMIT.
        models: checksum and size of the files of each backend's model.
        generator: name and version of the load generator.
        connections: how many HTTP connections the generator uses at most.
        allowed_late_ms: at its p99, the generator may be this late, or `allowed_late_share` of the p99 latency if that
            is more.
        allowed_late_share: a fraction.
        shared_machine: whether the generator ran on the same machine as every predictor.
    """

    model_config = ConfigDict(frozen=True)

    backends: list[str]
    cpu: str
    cores: int | None
    predictors: dict[str, int] = Field(default_factory=dict)
    threads: dict[str, int | None]
    devices: dict[str, str | None] = Field(default_factory=dict)
    versions: dict[str, dict[str, str]]
    python: str
    commit: str
    models: dict[str, dict[str, FileSum]]
    generator: str
    connections: int
    allowed_late_ms: float
    allowed_late_share: float
    shared_machine: bool
