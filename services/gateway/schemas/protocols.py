"""Bodies of two protocols that other servers speak: their clients work unchanged.

Open Inference Protocol v2 with Triton's extensions (binary tensors, statistics, index),
as triton-inference-server/server describes them in docs/protocol; TensorFlow
Serving's REST API, tensorflow.org/tfx/serving/api_rest.
The numbers of a tensor are `Any` here: `services/gateway/tensors.py` reads them.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, RootModel

from shared.jobs.payloads import RequestBody, ResponseBody

Flag = Annotated[bool, Field(strict=True)]
Size = Annotated[int, Field(strict=True)]
Datatype = Literal["UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64", "FP16", "FP32", "FP64"]


# Open Inference Protocol: infer ----------------------------------------------


class TensorParameters(BaseModel):
    """Of an input or an output; what is not offered here is named, so that it can be refused."""

    binary_data_size: Annotated[Size, Field(ge=0)] | None = None
    binary_data: Flag | None = None
    classification: Any = None
    shared_memory_region: Any = None


class RequestParameters(BaseModel):
    binary_data_output: Annotated[Flag | None, Field(description="all outputs in binary")] = None


class InferInput(RequestBody):
    name: str
    shape: Annotated[list[Size], Field(description="[pictures, height, width, channels]")]
    datatype: Datatype
    parameters: TensorParameters | None = None
    data: Annotated[list[Any] | None, Field(description="whole numbers from 0 to 255, flat or nested")] = None


class InferRequestedOutput(RequestBody):
    name: str
    parameters: TensorParameters | None = None


class InferRequest(RequestBody):
    """One input, `image`; by default every output of the model."""

    id: str | None = None
    parameters: RequestParameters | None = None
    inputs: list[InferInput]
    outputs: list[InferRequestedOutput] | None = None


class InferOutput(ResponseBody):
    name: str
    datatype: Literal["FP32"]
    shape: list[int]
    data: Annotated[list[float] | None, Field(description="in row-major order; not there in binary")] = None
    parameters: Annotated[dict[str, int] | None, Field(description="binary_data_size, in binary")] = None


class InferResponse(ResponseBody):
    model_name: str
    model_version: str
    id: str = ""
    outputs: list[InferOutput]


# Open Inference Protocol: what there is --------------------------------------


class ServerMetadata(ResponseBody):
    name: str
    version: str
    extensions: list[str]


class TensorMetadata(ResponseBody):
    name: str
    datatype: str
    shape: Annotated[list[int], Field(description="-1 is the number of pictures")]


class ModelMetadata(ResponseBody):
    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]


class ModelReady(ResponseBody):
    name: str
    ready: bool


class IndexRequest(RequestBody):
    ready: Annotated[Flag | None, Field(description="only models that are ready")] = None


class IndexEntry(ResponseBody):
    name: str
    version: str
    state: Literal["READY", "UNAVAILABLE"]
    reason: str


class RepositoryIndex(RootModel[list[IndexEntry]]):
    pass


class Duration(ResponseBody):
    count: int
    ns: Annotated[int, Field(description="altogether")]


class InferenceDurations(ResponseBody):
    """queue: what a prediction spent on its way to the backends, waiting included."""

    success: Duration
    fail: Duration
    queue: Duration
    compute_input: Duration
    compute_infer: Duration
    compute_output: Duration


class ModelStatistics(ResponseBody):
    name: str
    version: str
    last_inference: Annotated[int, Field(description="milliseconds since 1970; 0 for never")]
    inference_count: Annotated[int, Field(description="pictures")]
    execution_count: Annotated[int, Field(description="requests")]
    inference_stats: InferenceDurations
    batch_stats: list[Any]


class StatisticsList(ResponseBody):
    model_stats: list[ModelStatistics]


# TensorFlow Serving ------------------------------------------------------------


class PredictRequest(RequestBody):
    signature_name: Literal["serving_default", ""] | None = None
    instances: Annotated[list[Any], Field(description='pictures as nested lists, or {"image": picture}')]


class PredictResponse(ResponseBody):
    """Keyed by output where the model has several."""

    predictions: list[Any]


class VersionError(ResponseBody):
    error_code: Literal["OK"]
    error_message: str


class VersionStatus(ResponseBody):
    version: str
    state: Literal["AVAILABLE"]
    status: VersionError


class ModelStatus(ResponseBody):
    model_version_status: list[VersionStatus]
