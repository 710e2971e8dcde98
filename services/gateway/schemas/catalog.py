"""What there is, and how it stands: response bodies that list and describe. Beside `shared/messages.py`."""

from typing import Annotated, Any, Literal

from pydantic import Field

from services.gateway.schemas.protocols import ModelStatus
from shared.jobs.payloads import Count, ModelReference, RequestBody, ResponseBody, Status
from shared.serving.health import ProcessUse


class ModelVersions(ResponseBody):
    name: str
    versions: Annotated[dict[str, list[int]], Field(description="published versions of each backend")]


class ModelList(ResponseBody):
    models: list[ModelVersions]


class Deletion(ResponseBody):
    id: str
    status: Status
    created_at: str
    model: ModelReference
    error: str | None


class TransplantRequest(RequestBody):
    to: Annotated[str, Field(max_length=63, description="the backend that is to have the same weights")]


class Proof(ResponseBody):
    """Both backends' answers to the whole test split, the source's through its predictor."""

    examples: int
    same_class: int
    max_probability_difference: float


class Transplant(ResponseBody):
    id: str
    status: Status
    created_at: str
    source: ModelReference
    model: Annotated[ModelReference, Field(description="there once it has succeeded")]
    proof: Proof | None
    error: str | None


class AliasRequest(RequestBody):
    version: Count


class Aliased(ResponseBody):
    name: str
    alias: str
    version: int
    backends: Annotated[list[str], Field(description="those that have it")]


class ModelDetail(ModelVersions, ModelStatus):
    aliases: Annotated[dict[str, int], Field(description="`stable`, once it was set")]
    manifests: Annotated[dict[str, dict[str, Any]], Field(description="the newest version's, for each backend")]


class NetworkPreset(ResponseBody):
    name: str
    description: str
    layers: list[dict[str, Any]]
    parameters_on_mnist: int


class Networks(ResponseBody):
    networks: list[NetworkPreset]


class DatasetInfo(ResponseBody):
    name: str
    ready: bool
    shape: Annotated[list[int], Field(description="[height, width, channels]")]
    classes: list[str]
    sizes: Annotated[dict[str, int], Field(description="examples of each split")]
    prepare: Annotated[
        str | None, Field(description="of other pictures: ink is cut out and centred, resize only scales")
    ]
    problem: Annotated[str | None, Field(description="why one's own folder cannot be used as it is")]


class Datasets(ResponseBody):
    datasets: list[DatasetInfo]


class Index(ResponseBody):
    name: str
    docs: str
    openapi: str
    status: str
    health: str


class Health(ResponseBody):
    live: bool | None = None
    ready: bool | None = None
    details: dict[str, str] = Field(default_factory=dict)


class TrainerStatus(ResponseBody):
    state: Annotated[str, Field(description="idle, busy, started or suspended")]
    job: Annotated[str | None, Field(description="the job at hand: <kind>-<id>-<backend>")]


class QueueStatus(ResponseBody):
    trainers: Annotated[list[TrainerStatus], Field(description="processes that take jobs from the queue")]
    queued: Annotated[int | None, Field(description="jobs that wait; null when Redis is down")]


class BackendStatus(QueueStatus):
    predictor: Literal["up", "down"]
    process: ProcessUse | None


class SystemStatus(ResponseBody):
    version: str
    redis: Literal["up", "down"]
    backends: dict[str, BackendStatus]
    loadtest: QueueStatus
    threads_per_trainer: int
    models: list[str]
    datasets: list[str]


class Problem(ResponseBody):
    """RFC 9457 problem document; `error` is the detail on one line."""

    type: str
    title: str
    status: int
    detail: str
    error: str
