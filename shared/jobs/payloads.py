"""What clients submit, and what a signed job carries to its worker.

The request bodies refuse unknown fields and do not convert text to numbers. They check shapes and ranges only. The
gateway checks everything that needs a look at data or models, such as whether a dataset exists. This module does no
I/O.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag

from shared.data.augmentation import Augmentation
from shared.models.versions import Version
from shared.network.description import Network
from shared.network.optimizers import Optimizer, Schedule, Sgd

Status = Literal["queued", "running", "succeeded", "failed", "cancelled"]
Backends = Annotated[list[str], Field(min_length=1, max_length=16)]
Count = Annotated[int, Field(strict=True, ge=1)]
Seed = Annotated[int, Field(strict=True, ge=0, lt=2**32)]
ModelName = Annotated[str, Field(min_length=1, max_length=63)]

# With a discriminator, an error message is about the form that the client meant, not about both.
PresetOrNetwork = Annotated[
    Annotated[str, Field(max_length=63), Tag("preset")] | Annotated[Network, Tag("described")],
    Discriminator(lambda value: "preset" if isinstance(value, str) else "described"),
]


class RequestBody(BaseModel):
    """Base of the JSON bodies that clients send to `/v1`: an unknown field is an error."""

    model_config = ConfigDict(extra="forbid")


class ResponseBody(BaseModel):
    """Base of the JSON bodies that the gateway answers with, and of their parts."""

    model_config = ConfigDict(serialize_by_alias=True)


# Requests ------------------------------------------------------------------


DataVersion = Annotated[
    str,
    Field(
        pattern="^[0-9a-f]{32}$",
        description="the version of an uploaded dataset, from GET /v1/datasets; by default the newest. "
        "A version that was replaced stays as long as a job reads it",
    ),
]


class TrainingRequest(RequestBody):
    """One network, one dataset, one or more backends."""

    network: Annotated[PresetOrNetwork, Field(description="a preset's name, or the description of a network")] = (
        "article"
    )
    dataset: Annotated[str, Field(max_length=63)] = "mnist"
    data_version: DataVersion | None = None
    name: Annotated[ModelName | None, Field(description="by default {network}-{dataset}")] = None
    backends: Annotated[Backends | None, Field(description="by default all")] = None
    epochs: Annotated[Count, Field(le=1000)] = 10
    batch_size: Annotated[
        Count, Field(le=65_536, description="at most the size of the training split, and by default lowered to it")
    ] = 64
    optimizer: Optimizer = Sgd()
    schedule: Annotated[
        Schedule,
        Field(
            description="constant: every epoch has the optimizer's learning rate; "
            "cosine: the rate falls along half a cosine from epoch to epoch, almost to 0 in the last one"
        ),
    ] = "constant"
    precision: Annotated[
        Literal["float32", "float64"],
        Field(
            description="float64 is slower and leaves almost no difference between backends; "
            "the published weights are float32 in both cases"
        ),
    ] = "float32"
    augmentation: Annotated[Augmentation | None, Field(description="changes each picture anew in each epoch")] = None
    seed: Seed = 0
    pairing: Annotated[
        Literal["shared", "native"],
        Field(
            description="shared: all backends get the same initial weights and batches; "
            "native: each framework initialises and shuffles by itself"
        ),
    ] = "shared"
    validation: Annotated[
        float,
        Field(
            strict=True,
            ge=0,
            le=0.5,
            allow_inf_nan=False,
            description="the share of each class of the training split that is held out of training; its loss and "
            "accuracy are reported after each epoch",
        ),
    ] = 0.0
    publish: Annotated[
        bool,
        Field(
            strict=True,
            description="false: the training publishes no model, gets no version, and does not read the test split; "
            "backends are compared on the validation share",
        ),
    ] = True


class EvaluationRequest(RequestBody):
    """Models of one version, one per backend, to be measured on a split."""

    model: ModelName
    version: Version | None = None
    dataset: Annotated[
        str | None, Field(max_length=63, description="by default the dataset that the model was trained on")
    ] = None
    data_version: DataVersion | None = None
    split: Literal["train", "test"] = "test"
    backends: Annotated[Backends | None, Field(description="by default all")] = None


class CertificateRequest(RequestBody):
    """Training steps that every backend takes in double and in single precision, and that are then compared."""

    network: Annotated[PresetOrNetwork, Field(description="a preset's name, or the description of a network")] = (
        "article"
    )
    optimizer: Optimizer = Sgd()
    dataset: Annotated[str, Field(max_length=63)] = "mnist"
    steps: Annotated[Count, Field(le=1000)] = 20
    seed: Seed = 0
    batch_size: Annotated[
        Count, Field(le=1024, description="at most the size of the training split, and by default lowered to it")
    ] = 64


class TransplantRequest(RequestBody):
    """The backend that is to publish the weights of another backend's model."""

    to: Annotated[str, Field(max_length=63, description="the backend that is to have the same weights")]


class ExportRequest(RequestBody):
    """The format of the file that is to be made of a model."""

    format: Annotated[
        str, Field(max_length=63, description="`GET .../exports` of the model lists the formats that its backend has")
    ]


# Jobs ----------------------------------------------------------------------


class JobPayload(BaseModel):
    """What a signed job carries to its worker. Each kind of job has its own subclass.

    The gateway makes a payload with the fields of its subclass. `JobQueue.submit` fills in the fields below, and
    enqueues one payload per backend.

    Attributes:
        kind: decides which function performs the job.
        id: the id of the work, which has one job per backend.
        backend: the backend whose run this job is; also the name of the queue.
        created_at: when the work was submitted, in ISO 8601.
        request_id: the id of the HTTP request that submitted the work; every log line of the job repeats it.
    """

    model_config = ConfigDict(frozen=True)

    kind: str = ""
    id: str = ""
    backend: str = ""
    created_at: str = ""
    request_id: str = ""

    def search_terms(self) -> list[str]:
        """Return the texts by which a person would look for this work. Its backends and its status are no part."""
        return [self.id]


class PublishingJob(JobPayload):
    """A job that publishes a model.

    Attributes:
        name: the model's name.
        version: the model's version. `JobQueue.submit` fills it in when it gives out a new version.
    """

    name: str
    version: int = 0

    def search_terms(self) -> list[str]:
        """Return the id and the model's name."""
        return [self.id, self.name]


class TrainingJob(PublishingJob):
    """Train a network and publish the model.

    Attributes:
        request: what the client asked for, with the model's name and the backends filled in. If it publishes no model,
            `version` is 0.
        network: the requested network, fitted to the dataset.
        warnings: what the client should know about the training's comparisons.
        data_version: the version of an uploaded dataset, so that all runs read the same pictures; None for others.
    """

    request: TrainingRequest
    network: Network
    data_version: str | None = None
    warnings: list[str] = Field(default_factory=list)

    def search_terms(self) -> list[str]:
        """Return the id, and the names of the model, the dataset and the network."""
        return [*super().search_terms(), self.request.dataset, _network_name(self.request.network)]


class EvaluationJob(JobPayload):
    """Measure a published model on a split.

    Attributes:
        data_version: as in `TrainingJob`.
        asked: the backends to compare, in the order of the settings.
    """

    model: str
    version: int
    dataset: str
    data_version: str | None = None
    split: Literal["train", "test"]
    asked: list[str]

    def search_terms(self) -> list[str]:
        """Return the id, the names of the model and the dataset, and the split."""
        return [self.id, self.model, self.dataset, self.split]


class CertificateJob(JobPayload):
    """Take training steps whose results are compared number by number.

    Attributes:
        network: the requested network, fitted to the dataset.
        asked: the backends to compare, in the order of the settings.
        notes: what the certificate leaves out.
        data_version: as in `TrainingJob`.
    """

    request: CertificateRequest
    network: Network
    data_version: str | None = None
    asked: list[str]
    notes: list[str] = Field(default_factory=list)

    def search_terms(self) -> list[str]:
        """Return the id, and the names of the dataset and the network."""
        return [self.id, self.request.dataset, _network_name(self.request.network)]


class TransplantSource(BaseModel):
    """The model whose weights are transplanted; its name is the job's."""

    model_config = ConfigDict(frozen=True)

    backend: str
    version: int


class TransplantJob(PublishingJob):
    """Publish the weights of another backend's model as this backend's model."""

    source: TransplantSource

    def search_terms(self) -> list[str]:
        """Return the id, the model's name, and the backend that the weights come from."""
        return [*super().search_terms(), self.source.backend]


class ExportJob(JobPayload):
    """Write one version of a backend's model as a file in another format, and check the file.

    Attributes:
        dataset: the dataset whose test split the file has to answer: the one that the model was trained on.
        data_version: as in `TrainingJob`.
    """

    name: str
    version: int
    format: str
    dataset: str
    data_version: str | None = None

    def search_terms(self) -> list[str]:
        """Return the id, the names of the model and the dataset, and the format."""
        return [self.id, self.name, self.dataset, self.format]


class DeletionJob(JobPayload):
    """Delete one version of a backend's model."""

    name: str
    model_version: int

    def search_terms(self) -> list[str]:
        """Return the id and the model's name."""
        return [self.id, self.name]


def _network_name(network: str | Network) -> str:
    """Return the name of a preset; a network that the client described is `custom`."""
    return network if isinstance(network, str) else "custom"
