"""Bodies of TensorFlow Serving's REST API, whose clients work with Tandem unchanged.

Sources: tensorflow.org/tfx/serving/api_rest; tensorflow/serving, get_model_metadata.proto.
"""

from typing import Annotated, Any, Literal

from pydantic import Field

from services.gateway.schemas.protocols import ProtocolRequest
from shared.jobs.payloads import ResponseBody

MODEL_SIGNATURE = "serving_default"  # the protocol's name of what a model computes by default


class PredictRequest(ProtocolRequest):
    """Pictures to predict: `instances` in rows, or `inputs` in columns."""

    signature_name: Literal["serving_default", ""] | None = None
    instances: Annotated[
        list[Any] | None, Field(description='pictures as nested lists, or {"image": picture} for each')
    ] = None
    inputs: Annotated[
        list[Any] | dict[str, Any] | None, Field(description='all pictures as one nested list, or {"image": list}')
    ] = None


class PredictResponse(ResponseBody):
    """`predictions` for a request with `instances`, `outputs` for one with `inputs`."""

    predictions: Annotated[
        list[Any] | None,
        Field(description="per picture: a list, or an object with one list per output if the model has several"),
    ] = None
    outputs: Annotated[
        list[Any] | dict[str, list[Any]] | None,
        Field(description="a list per picture, or an object of such lists if the model has several outputs"),
    ] = None


class SignatureAxis(ResponseBody):
    """One dimension of a tensor. The protocol writes 64-bit numbers as texts."""

    size: Annotated[str, Field(description="-1 is the number of pictures")]
    name: str = ""


class SignatureShape(ResponseBody):
    """The shape of a tensor."""

    dim: list[SignatureAxis]
    unknown_rank: bool = False


class SignatureTensor(ResponseBody):
    """An input or output of a model."""

    dtype: Literal["DT_UINT8", "DT_FLOAT"]
    tensor_shape: SignatureShape
    name: str


class Signature(ResponseBody):
    """What a model takes and returns."""

    inputs: dict[str, SignatureTensor]
    outputs: dict[str, SignatureTensor]
    method_name: Literal["tensorflow/serving/predict"] = "tensorflow/serving/predict"


class Signatures(ResponseBody):
    """The signatures of a model by name."""

    signature_def: dict[str, Signature]


class SignatureMetadata(ResponseBody):
    """The only kind of metadata. The protocol nests it twice under the same name."""

    signature_def: Signatures


class ModelSpec(ResponseBody):
    """The version of a model that is described."""

    name: str
    signature_name: str = ""
    version: str


class ServingMetadata(ResponseBody):
    """A model's inputs and outputs, as TensorFlow Serving describes them."""

    model_spec: ModelSpec
    metadata: SignatureMetadata


class VersionError(ResponseBody):
    """No error: Tandem lists only versions that are available."""

    error_code: Literal["OK"]
    error_message: str


class VersionStatus(ResponseBody):
    """A version that can be requested."""

    version: str
    state: Literal["AVAILABLE"]
    status: VersionError


class ModelStatus(ResponseBody):
    """The versions of a model."""

    model_version_status: list[VersionStatus]
