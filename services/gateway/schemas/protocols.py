"""Bodies of the Open Inference Protocol v2, whose clients work with Tandem unchanged.

Triton's extensions for binary tensors, model configuration, statistics and the index are included. Sources:
triton-inference-server/server, docs/protocol; triton-inference-server/common, model_config.proto.

Clients of other protocols send members that other servers know, such as `model_name`. Requests may have them, and
Tandem ignores them.

The numbers of a tensor are `Any` here, because `services/gateway/prediction/tensors.py` checks them faster.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, RootModel

from shared.jobs.payloads import ResponseBody

Flag = Annotated[bool, Field(strict=True)]
StrictInt = Annotated[int, Field(strict=True)]
Datatype = Literal["UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64", "FP16", "FP32", "FP64"]


class ProtocolRequest(BaseModel):
    """Base of the JSON bodies of other protocols, and of their parts: an unknown member is ignored."""

    model_config = ConfigDict(extra="ignore")


# Open Inference Protocol: infer ----------------------------------------------


class TensorParameters(ProtocolRequest):
    """Parameters of an input or output. Those that Tandem does not support are listed, so that it can refuse them."""

    binary_data_size: Annotated[StrictInt, Field(ge=0)] | None = None
    binary_data: Flag | None = None
    classification: Any = None
    shared_memory_region: Any = None


class RequestParameters(ProtocolRequest):
    """Parameters of a whole request."""

    binary_data_output: Annotated[Flag | None, Field(description="all outputs in binary")] = None


class InferInput(ProtocolRequest):
    """An input tensor: pictures as numbers in JSON, or as bytes after the JSON."""

    name: str
    shape: Annotated[list[StrictInt], Field(description="[pictures, height, width, channels]")]
    datatype: Datatype
    parameters: TensorParameters | None = None
    data: Annotated[list[Any] | None, Field(description="whole numbers from 0 to 255, flat or nested")] = None


class InferRequestedOutput(ProtocolRequest):
    """An output that the client wants."""

    name: str
    parameters: TensorParameters | None = None


class InferRequest(ProtocolRequest):
    """One input, `image`; by default every output of the model."""

    id: str | None = None
    parameters: RequestParameters | None = None
    inputs: list[InferInput]
    outputs: list[InferRequestedOutput] | None = None


class InferOutput(ResponseBody):
    """An output tensor: the probabilities of one backend."""

    name: str
    datatype: Literal["FP32"]
    shape: list[int]
    data: Annotated[list[float] | None, Field(description="in row-major order; absent if the output is binary")] = None
    parameters: Annotated[dict[str, int] | None, Field(description="binary_data_size, if the output is binary")] = None


class InferResponse(ResponseBody):
    """The requested outputs of one version of a model."""

    model_name: str
    model_version: str
    id: str = ""
    outputs: list[InferOutput]


# Open Inference Protocol: what there is --------------------------------------


class ServerMetadata(ResponseBody):
    """The server and the protocol extensions that it supports."""

    name: str
    version: str
    extensions: list[str]


class TensorMetadata(ResponseBody):
    """The name, datatype and shape of an input or output."""

    name: str
    datatype: str
    shape: Annotated[list[int], Field(description="-1 is the number of pictures")]


class ModelMetadata(ResponseBody):
    """The versions, inputs and outputs of a model."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]


class ConfigTensor(ResponseBody):
    """An input or output in Triton's configuration of a model."""

    name: str
    data_type: Literal["TYPE_UINT8", "TYPE_FP32"]
    format: Literal["FORMAT_NHWC", "FORMAT_NONE"] = "FORMAT_NONE"
    dims: Annotated[list[int], Field(description="without the number of pictures")]


class AllVersions(ResponseBody):
    """Triton's policy that serves every version. It has no settings."""


class VersionPolicy(ResponseBody):
    """Which versions of a model are served."""

    all: AllVersions = AllVersions()


class ModelConfiguration(ResponseBody):
    """The members of Triton's configuration of a model that mean something for Tandem."""

    name: str
    platform: str
    backend: str
    version_policy: VersionPolicy = VersionPolicy()
    max_batch_size: Annotated[int, Field(description="pictures in one request")]
    input: list[ConfigTensor]
    output: list[ConfigTensor]


class ModelReady(ResponseBody):
    """Whether a model can predict."""

    name: str
    ready: bool


class IndexRequest(ProtocolRequest):
    """Which models the index should list."""

    ready: Annotated[Flag | None, Field(description="only models that are ready")] = None


class IndexEntry(ResponseBody):
    """One version of a model, and why it cannot predict, if so."""

    name: str
    version: str
    state: Literal["READY", "UNAVAILABLE"]
    reason: str


class RepositoryIndex(RootModel[list[IndexEntry]]):
    """Every version of every model."""


class Duration(ResponseBody):
    """How often something happened, and how long it took in all."""

    count: int
    ns: Annotated[int, Field(description="nanoseconds in all")]


class InferenceDurations(ResponseBody):
    """The parts of predictions. `queue` is the elapsed time of the calls to the backends minus their compute time."""

    success: Duration
    fail: Duration
    queue: Duration
    compute_input: Duration
    compute_infer: Duration
    compute_output: Duration


class ModelStatistics(ResponseBody):
    """The predictions of one version of a model since the gateway's start."""

    name: str
    version: str
    last_inference: Annotated[int, Field(description="milliseconds since 1970; 0 for never")]
    inference_count: Annotated[int, Field(description="pictures")]
    execution_count: Annotated[int, Field(description="requests")]
    inference_stats: InferenceDurations
    batch_stats: list[Any]


class StatisticsList(ResponseBody):
    """The statistics of several versions."""

    model_stats: list[ModelStatistics]
