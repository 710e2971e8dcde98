"""What a load test's job carries, and what its run reports. This module does no I/O."""

from pydantic import ConfigDict, JsonValue

from shared.jobs.kinds import Kind
from shared.jobs.payloads import JobPayload
from shared.jobs.results import Comparison, RunState


class LoadTestJob(JobPayload):
    """Replay the same request arrivals against each backend."""

    request: dict[str, JsonValue]
    model: str
    version: int
    dataset: str
    sides: dict[str, str]
    models: dict[str, dict[str, JsonValue]]


class LoadTestRun(RunState):
    """The single run of a load test."""

    model_config = ConfigDict(extra="allow")


LOAD_TEST = Kind("loadtest", LoadTestJob, LoadTestRun, Comparison)
