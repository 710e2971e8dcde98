"""What there is, and how it stands: response bodies that list and describe. Beside `shared/messages.py`."""

from typing import Annotated, Any, Literal

from pydantic import Field

from shared.messages import Count, ModelReference, Request, Response, Status
from shared.protocols import ModelStatus


class ModelVersions(Response):
    name: str
    versions: Annotated[dict[str, list[int]], Field(description="published versions of each backend")]


class ModelList(Response):
    models: list[ModelVersions]


class Deletion(Response):
    id: str
    status: Status
    created_at: str
    model: ModelReference
    error: str | None


class TransplantRequest(Request):
    to: Annotated[str, Field(max_length=63, description="the backend that is to have the same weights")]


class Proof(Response):
    """Both backends' answers to the whole test split, the source's through its predictor."""

    examples: int
    same_class: int
    max_probability_difference: float


class Transplant(Response):
    id: str
    status: Status
    created_at: str
    source: ModelReference
    model: Annotated[ModelReference, Field(description="there once it has succeeded")]
    proof: Proof | None
    error: str | None


class AliasRequest(Request):
    version: Count


class Aliased(Response):
    name: str
    alias: str
    version: int
    backends: Annotated[list[str], Field(description="those that have it")]


class ModelDetail(ModelVersions, ModelStatus):
    aliases: Annotated[dict[str, int], Field(description="`stable`, once it was set")]
    manifests: Annotated[dict[str, dict[str, Any]], Field(description="the newest version's, for each backend")]


class NetworkPreset(Response):
    name: str
    description: str
    layers: list[dict[str, Any]]
    parameters_on_mnist: int


class Networks(Response):
    networks: list[NetworkPreset]


class DatasetInfo(Response):
    name: str
    ready: bool
    shape: Annotated[list[int], Field(description="[height, width, channels]")]
    classes: list[str]
    sizes: Annotated[dict[str, int], Field(description="examples of each split")]
    prepare: Annotated[
        str | None, Field(description="of other pictures: ink is cut out and centred, resize only scales")
    ]
    problem: Annotated[str | None, Field(description="why one's own folder cannot be used as it is")]


class Datasets(Response):
    datasets: list[DatasetInfo]


class Index(Response):
    name: str
    docs: str
    openapi: str
    status: str
    health: str


class Health(Response):
    live: bool | None = None
    ready: bool | None = None
    details: dict[str, str] = Field(default_factory=dict)


class TrainerStatus(Response):
    state: Annotated[str, Field(description="idle, busy, started or suspended")]
    job: Annotated[str | None, Field(description="the job at hand: <kind>-<id>-<backend>")]


class ProcessUse(Response):
    """What a predictor says of its process; used since it began."""

    versions: dict[str, str]
    threads: Annotated[int, Field(description="for one prediction")]
    pid: int
    machine: Annotated[str, Field(description="the same text, the same machine, and the same since it started")]
    cpu_seconds: float
    peak_memory_bytes: Annotated[int, Field(description="resident, the largest ever")]


class QueueStatus(Response):
    trainers: Annotated[list[TrainerStatus], Field(description="processes that take jobs from the queue")]
    queued: Annotated[int | None, Field(description="jobs that wait; null when Redis is down")]


class BackendStatus(QueueStatus):
    predictor: Literal["up", "down"]
    process: ProcessUse | None


class SystemStatus(Response):
    version: str
    redis: Literal["up", "down"]
    backends: dict[str, BackendStatus]
    loadtest: QueueStatus
    threads_per_trainer: int
    models: list[str]
    datasets: list[str]
