"""The manifest of a model: what is known of it besides its weights.

A publisher states a `ModelDescription`. The registry adds the model's identity and the sums of its files, and
stores both as `manifest.json`: this is the `Manifest` that readers get.
"""

import hashlib
import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from shared.data.images import Preparation
from shared.network.description import Network

FORMAT = 1


class FileSum(BaseModel):
    """The checksum and size of one file of a model."""

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
    """The figures of a training's last epoch: mean cross-entropy losses, accuracies as fractions."""

    model_config = ConfigDict(frozen=True)

    loss: float
    accuracy: float
    test_loss: float
    test_accuracy: float


class TransplantProof(BaseModel):
    """Where a transplanted model comes from, and how the two models' answers on the test split compare."""

    model_config = ConfigDict(frozen=True)

    backend: str
    version: int
    digest: Annotated[str, Field(description="of the source's manifest")]
    split: Literal["test"]
    examples: int
    max_probability_difference: float
    same_class: Annotated[int, Field(description="examples for which both backends predict the same class")]


class ModelDescription(BaseModel):
    """What the publisher of a model knows of it."""

    model_config = ConfigDict(frozen=True, extra="allow")

    request: Annotated[dict[str, JsonValue], Field(description="the training, as it was submitted")]
    network: Network
    classes: tuple[str, ...]
    prepare: Annotated[Preparation, Field(description="how a posted picture is brought to the model's size")] = "resize"
    metrics: FinalMetrics
    data: DataFingerprints
    versions: Annotated[dict[str, str], Field(description="of Python, NumPy and the framework")] = Field(
        default_factory=dict
    )
    golden: Annotated[
        list[list[float]] | None, Field(description="the model's probabilities on fixed inputs (golden_check.py)")
    ] = None
    transplanted_from: TransplantProof | None = None

    def to_json(self) -> dict[str, JsonValue]:
        """Return what is stored: every field that was set, and none that was left to its default."""
        return {name: value for name, value in self.model_dump(mode="json").items() if name in self.model_fields_set}


class Manifest(ModelDescription):
    """`manifest.json` as a reader gets it, verified."""

    format: Literal[1]
    name: str
    backend: str
    version: int
    writer: Annotated[str, Field(description="the id of the job that published the model")]
    files: Annotated[dict[str, FileSum], Field(description="of every other file in the model's folder")]
    digest: Annotated[str, Field(description="sha256 of the manifest without this field")]

    @classmethod
    def parse(cls, text: bytes) -> "Manifest":
        """Read the bytes of a `manifest.json`.

        Raises:
            ValueError: not JSON, another format, or the digest differs: the file is not as it was published.
        """
        stored = json.loads(text)
        if not isinstance(stored, dict) or stored.get("format") != FORMAT:
            raise ValueError(f"not a manifest of format {FORMAT}")
        if stored.get("digest") != digest_of(stored):
            raise ValueError("the manifest is not as it was published: its digest differs")
        return cls.model_validate(stored)


def digest_of(stored: dict[str, Any]) -> str:
    """Return the sha256 of a manifest's JSON without its own `digest`."""
    rest = {key: value for key, value in stored.items() if key != "digest"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()
