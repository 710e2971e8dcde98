"""Bodies of the routes that list and describe: models, networks, datasets, the system's status."""

from typing import Annotated, Any, Literal

from pydantic import Field

from services.gateway.schemas.listings import JobListing
from services.gateway.schemas.tensorflow_serving import ModelStatus
from shared.jobs.kinds import JobRecord
from shared.jobs.payloads import Count, DeletionJob, PresetOrNetwork, RequestBody, ResponseBody, Status, TransplantJob
from shared.jobs.results import Comparison, ModelReference, RunState, TransplantRun
from shared.serving.health import ProcessUse


class ModelVersions(ResponseBody):
    """A model with the versions of each backend."""

    name: str
    versions: Annotated[dict[str, list[int]], Field(description="published versions of each backend")]


class ModelList(ResponseBody):
    """All models."""

    models: list[ModelVersions]


class Deletion(ResponseBody):
    """The deletion of one version of a backend's model."""

    id: str
    status: Status
    created_at: str
    model: ModelReference
    error: str | None

    @classmethod
    def of(cls, record: JobRecord[DeletionJob, RunState, Comparison]) -> "Deletion":
        """Return the body for a record."""
        job = record.job
        ((backend, run),) = record.runs.items()
        return cls(
            id=job.id,
            status=record.status,
            created_at=job.created_at,
            model=ModelReference(name=job.name, backend=backend, version=job.model_version),
            error=run.error,
        )


class Deletions(JobListing):
    """A part of the list of deletions, newest first."""

    deletions: list[Deletion]


class Proof(ResponseBody):
    """How the two backends' probabilities for the whole test split compare; the source's come from its predictor."""

    examples: int
    same_class: int
    max_probability_difference: float


class Transplant(ResponseBody):
    """The publication of one backend's weights as another backend's model."""

    id: str
    status: Status
    created_at: str
    source: ModelReference
    model: Annotated[ModelReference, Field(description="there once it has succeeded")]
    proof: Proof | None
    error: str | None

    @classmethod
    def of(cls, record: JobRecord[TransplantJob, TransplantRun, Comparison]) -> "Transplant":
        """Return the body for a record."""
        job = record.job
        ((backend, run),) = record.runs.items()
        return cls(
            id=job.id,
            status=record.status,
            created_at=job.created_at,
            source=ModelReference(name=job.name, backend=job.source.backend, version=job.source.version),
            model=ModelReference(name=job.name, backend=backend, version=job.version),
            proof=run.proof and Proof.model_validate(run.proof, from_attributes=True),
            error=run.error,
        )


class Transplants(JobListing):
    """A part of the list of transplants, newest first."""

    transplants: list[Transplant]


class AliasRequest(RequestBody):
    """The version that an alias is to mean."""

    version: Count
    expected: Annotated[
        Count | None,
        Field(
            description="move the alias only if it is this version now; null: only if it does not exist yet; by "
            "default it is moved in any case"
        ),
    ] = None


class Aliased(ResponseBody):
    """The version that an alias means now."""

    name: str
    alias: str
    version: int
    backends: Annotated[list[str], Field(description="those that have this version")]


class ModelDetail(ModelVersions, ModelStatus):
    """A model's versions, aliases and newest manifests, and its state for clients of TensorFlow Serving and KServe."""

    ready: Annotated[bool, Field(description="whether every backend of the model answers predictions")]
    aliases: Annotated[dict[str, int], Field(description="alias -> version; empty until `stable` is set")]
    manifests: Annotated[
        dict[str, dict[str, Any]], Field(description="of the newest version, or of the one asked for, by backend")
    ]


class NetworkPreset(ResponseBody):
    """A named network."""

    name: str
    description: str
    layers: list[dict[str, Any]]
    parameters_on_mnist: int


class Networks(ResponseBody):
    """All named networks."""

    networks: list[NetworkPreset]


class NetworkQuestion(RequestBody):
    """A network, and the dataset that it is meant for."""

    network: Annotated[PresetOrNetwork, Field(description="a preset's name, or the description of a network")]
    dataset: Annotated[str, Field(max_length=63)]


class DescribedLayer(ResponseBody):
    """One layer of a network."""

    layer: Annotated[dict[str, Any], Field(description="the layer with all its fields")]
    output_shape: list[int]
    parameters: int


class DescribedNetwork(ResponseBody):
    """A network with the shapes and the sizes of its layers."""

    input_shape: Annotated[list[int], Field(description="[height, width, channels]")]
    layers: list[DescribedLayer]
    parameters: int


class DatasetInfo(ResponseBody):
    """A dataset, and whether it can be used."""

    name: str
    source: Annotated[
        Literal["built-in", "folder", "upload"],
        Field(description="folder: in the operator's data folder; upload: by PUT /v1/datasets/{name}"),
    ]
    ready: Annotated[bool, Field(description="whether a training can use it now")]
    shape: Annotated[list[int], Field(description="[height, width, channels]")]
    classes: list[str]
    sizes: Annotated[dict[str, int], Field(description="examples of each split")]
    prepare: Annotated[
        str | None,
        Field(description="how pictures of another kind are prepared: ink is cut out and centred, resize only scales"),
    ]
    problem: Annotated[str | None, Field(description="why a training would be refused, and what to do")]
    notes: Annotated[
        list[str], Field(description="how your own folder was read: what was skipped, or taken for a split")
    ]
    version: Annotated[str | None, Field(description="of an upload: the newest one; null for others")] = None
    stored_bytes: Annotated[int | None, Field(description="of an upload; null for others")] = None
    uploaded_at: Annotated[str | None, Field(description="of an upload, in ISO 8601; null for others")] = None


class Datasets(ResponseBody):
    """All datasets."""

    datasets: list[DatasetInfo]


class Index(ResponseBody):
    """The API's name and its most important addresses."""

    name: str
    page: str
    docs: str
    openapi: str
    status: str
    health: str


class Liveness(ResponseBody):
    """Whether the gateway runs."""

    live: bool


class Readiness(ResponseBody):
    """Whether the gateway can answer predictions."""

    ready: bool
    details: Annotated[dict[str, str] | None, Field(description="for each part, `up` or `down`")] = None


class JobReference(ResponseBody):
    """A job. GET /v1/{kind}s/{id} returns it; /v1/searches/{id} a search."""

    kind: Annotated[str, Field(description="such as training, evaluation, loadtest or search")]
    id: str


class TrainerStatus(ResponseBody):
    """A process that takes jobs from a queue."""

    state: Annotated[str, Field(description="idle, busy, started or suspended")]
    job: Annotated[str | None, Field(description="the current job: <kind>-<id>-<backend>")]
    running: Annotated[JobReference | None, Field(description="the same job as kind and id")]


class QueueStatus(ResponseBody):
    """A queue and its workers. What scales the workers reads `unfinished`: it falls to 0 when nothing is left to do."""

    trainers: Annotated[list[TrainerStatus], Field(description="processes that take jobs from the queue")]
    queued: Annotated[
        int | None,
        Field(description="waiting jobs, cancelled ones included until a trainer drops them; null when Redis is down"),
    ]
    running: Annotated[
        int | None,
        Field(description="jobs that a process performs, or performed when it died just now; null when Redis is down"),
    ]
    unfinished: Annotated[
        int | None,
        Field(description="`queued` and `running` together, read at the same moment; null when Redis is down"),
    ]
    waiting: Annotated[
        list[JobReference],
        Field(description="the jobs that wait, in the order in which they will begin; the first 50, none cancelled"),
    ]


class PredictorStatus(ResponseBody):
    """One predictor of a backend."""

    address: Annotated[str, Field(description="its IP address or the name of its host, and its port")]
    state: Literal["up", "down"]
    process: ProcessUse | None


class BackendStatus(QueueStatus):
    """A backend's queue, trainers and predictors."""

    predictor: Annotated[Literal["up", "down"], Field(description="up if at least one predictor answers")]
    process: Annotated[ProcessUse | None, Field(description="of the first predictor that answers")]
    predictors: Annotated[list[PredictorStatus], Field(description="each predictor, in the order of their addresses")]


class SystemStatus(ResponseBody):
    """What runs, what waits and what is down."""

    version: str
    redis: Literal["up", "down"]
    backends: dict[str, BackendStatus]
    loadtest: QueueStatus
    pipelines: Annotated[QueueStatus, Field(description="searches and releases")]
    threads_per_trainer: int
    models: list[str]
    datasets: list[str]


class Problem(ResponseBody):
    """RFC 9457 problem document. `error` repeats the detail on one line."""

    type: str
    title: str
    status: int
    detail: str
    error: str
