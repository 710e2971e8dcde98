"""Request and response bodies of load tests. Beside `shared/messages.py`."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from shared.jobs.payloads import Backends, ModelName, RequestBody, ResponseBody, Seed, Status
from shared.models.versions import Version

Positive = Annotated[float, Field(strict=True, gt=0, allow_inf_nan=False)]
Rates = Annotated[list[Annotated[Positive, Field(le=10_000)]], Field(min_length=1, max_length=16)]


class LoadTestRequest(RequestBody):
    """The same arrivals and the same pictures for every backend; the same backend twice is an A/A test."""

    model: ModelName
    version: Version | None = None
    backends: Annotated[Backends | None, Field(description="by default all")] = None
    scenario: Annotated[
        Literal["server", "single_stream", "offline"],
        Field(description="Poisson arrivals; one after the other; all at once"),
    ] = "server"
    target_qps: Annotated[
        Rates | Literal["search"] | None,
        Field(description="of `server`: requests a second, or `search` for the largest that meets the bound"),
    ] = None
    latency_bound_ms: Annotated[Positive, Field(description="for the p99")] = 50.0
    duration_s: Annotated[
        Positive, Field(ge=1, le=3600, description="of each backend under load at each rate; in a search, at all")
    ] = 60.0
    seed: Seed = 0

    @model_validator(mode="after")
    def _rates_belong_to_server(self) -> Self:
        if self.scenario == "server" and self.target_qps is None:
            raise ValueError('target_qps: name rates, such as [50, 100], or "search"')
        if self.scenario != "server" and self.target_qps is not None:
            raise ValueError(f"target_qps: {self.scenario} goes as fast as it is answered: leave target_qps out")
        return self


class Interval(ResponseBody):
    value: float
    low: float | None
    high: float | None


class LoadResult(ResponseBody):
    """One backend at one rate. Latencies count from the scheduled time, and are of requests answered well."""

    target_qps: float | None
    achieved_qps: Annotated[float, Field(description="answered well, a second")]
    queries: int
    blocks: int
    valid: Annotated[bool, Field(description="whether the generator kept its schedule")]
    invalid_reason: str | None
    p50_ms: float | None
    p90_ms: float | None
    p99_ms: float | None
    p999_ms: Annotated[float | None, Field(description="of 6,636 requests or more")]
    intervals: Annotated[dict[str, tuple[float, float]], Field(description="95 %, over blocks; of 6 blocks or more")]
    meets_bound: Annotated[bool, Field(description="the p99 is within latency_bound_ms, and there are no errors")]
    errors: Annotated[dict[str, int], Field(description="requests not answered well, by kind")]
    late_p99_ms: Annotated[float, Field(description="how late the generator itself was")]
    cpu_seconds_per_1000: Annotated[float | None, Field(description="of the backend's predictor, a 1,000 predictions")]
    peak_memory_bytes: Annotated[int | None, Field(description="of the backend's predictor, since it began")]
    time_split_ms: Annotated[dict[str, float], Field(description="means, whose sum is the mean latency")]
    distribution: Annotated[dict[str, list[float]] | None, Field(description="`latency_ms` at `levels`")]
    over_time: Annotated[list[dict[str, float]], Field(description="by the second of the test")]


class LoadComparison(ResponseBody):
    """The one claim about a pair: the second less the first, block by block, with its interval."""

    backends: list[str]
    metric: Literal["p99_ms", "achieved_qps", "largest_qps"]
    target_qps: float | None
    confidence: Annotated[float, Field(description="0.99 over all pairs together")]
    blocks: int
    difference: Interval | None
    claim: str


class Progress(ResponseBody):
    done: Annotated[int, Field(description="blocks")]
    of: int
    doing: str


class LoadTest(ResponseBody):
    id: str
    status: Status
    model: str
    version: int
    request: dict[str, Any]
    created_at: str
    progress: Progress | None = None
    error: str | None = None
    valid: Annotated[bool | None, Field(description="whether the generator kept its schedule; null until the end")] = (
        None
    )
    invalid_reason: str | None = None
    results: Annotated[dict[str, list[LoadResult]], Field(default_factory=dict, description="by backend, then by rate")]
    largest_qps: Annotated[dict[str, Interval], Field(default_factory=dict, description="of a search: 95 % interval")]
    comparisons: list[LoadComparison] = Field(default_factory=list)
    conditions: dict[str, Any] = Field(default_factory=dict)
    note: Literal["Driven by LoadGen; not an MLPerf result"] = "Driven by LoadGen; not an MLPerf result"
