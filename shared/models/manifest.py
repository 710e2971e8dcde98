"""The manifest of a model: everything that is known about it besides its weights.

A publisher writes a `ModelDescription`. The registry adds the model's identity and the checksums of its files, and
stores both as `manifest.json`. Readers get it as a `Manifest`.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from shared.data.images import Preparation
from shared.data.profile import DataProfile
from shared.network.description import Network

FORMAT = 1


class FileSum(BaseModel):
    """The sha256 (hexadecimal) and the size of one file of a model."""

    model_config = ConfigDict(frozen=True)

    sha256: str
    size: Annotated[int, Field(description="bytes")]


class DataFingerprints(BaseModel):
    """The dataset that a model was trained and tested on, and the sha256 of each split's arrays."""

    model_config = ConfigDict(frozen=True)

    dataset: str
    train: str
    test: str


class FinalMetrics(BaseModel):
    """The metrics of a training's last epoch: losses are mean cross-entropies, accuracies are fractions."""

    model_config = ConfigDict(frozen=True)

    loss: float
    accuracy: float
    test_loss: float
    test_accuracy: float


class TransplantProof(BaseModel):
    """Where a transplanted model comes from, and how its predictions on the test split compare with the source's."""

    model_config = ConfigDict(frozen=True)

    backend: str
    version: int
    digest: Annotated[str, Field(description="the digest of the source's manifest")]
    split: Literal["test"]
    examples: int
    max_probability_difference: float
    same_class: Annotated[int, Field(description="examples for which both backends predict the same class")]


class ModelDescription(BaseModel):
    """What the publisher of a model knows about it.

    Members that are not listed here are kept: older and newer versions of Tandem may store other ones.
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    request: Annotated[dict[str, JsonValue], Field(description="the training request that produced the model")]
    network: Network
    classes: tuple[str, ...]
    prepare: Annotated[Preparation, Field(description="how a posted image is converted to the input shape")] = "resize"
    metrics: FinalMetrics
    data: DataFingerprints
    versions: Annotated[dict[str, str], Field(description="the versions of Python, NumPy and the framework")] = Field(
        default_factory=dict
    )
    golden: Annotated[
        list[list[float]] | None, Field(description="the model's probabilities on the fixed inputs of golden_check.py")
    ] = None
    transplanted_from: TransplantProof | None = None
    data_profile: Annotated[
        DataProfile | None, Field(description="what a release compares later data with; older models have none")
    ] = None

    def to_json(self) -> dict[str, JsonValue]:
        """Return the fields that were set. Fields that have only their default are left out."""
        return {name: value for name, value in self.model_dump(mode="json").items() if name in self.model_fields_set}


class Manifest(ModelDescription):
    """The verified content of a `manifest.json`."""

    format: Literal[1]
    name: str
    backend: str
    version: int
    writer: Annotated[str, Field(description="the id of the job that published the model")]
    files: Annotated[dict[str, FileSum], Field(description="the checksum of every other file in the model's folder")]
    digest: Annotated[str, Field(description="sha256 of the manifest without this field")]

    @classmethod
    def parse(cls, text: bytes) -> "Manifest":
        """Return the manifest in the bytes of a `manifest.json`.

        Raises:
            ValueError: the bytes are not JSON or have another format, or the file was changed after its
                publication: its digest differs.
        """
        stored = json.loads(text)
        if not isinstance(stored, dict) or stored.get("format") != FORMAT:
            raise ValueError(f"it is not a manifest of format {FORMAT}")
        if stored.get("digest") != digest_of(stored):
            raise ValueError("it was changed after its publication: its digest differs")
        return cls.model_validate(stored)


def encode_manifest(
    description: ModelDescription, name: str, backend: str, version: int, writer: str, files: Mapping[str, FileSum]
) -> bytes:
    """Return the bytes of a `manifest.json`, with its digest.

    Args:
        writer: the id of the job that publishes the model.
        files: the checksum of every other file, by file name.

    Raises:
        ValueError: a number is infinite or NaN: JSON has neither.
    """
    stored: dict[str, JsonValue] = {
        "format": FORMAT,
        "name": name,
        "backend": backend,
        "version": version,
        "writer": writer,
        **description.to_json(),
        "files": {file: found.model_dump() for file, found in files.items()},
    }
    stored["digest"] = digest_of(stored)
    return json.dumps(stored, indent=1, allow_nan=False).encode()


def digest_of(stored: Mapping[str, JsonValue]) -> str:
    """Return the sha256 of a manifest's JSON, with sorted keys and without its own `digest`."""
    rest = {key: value for key, value in stored.items() if key != "digest"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()
