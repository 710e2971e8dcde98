"""The space of a search: which values each field of a training may take.

A space is a JSON object. Its keys are paths of fields, such as `optimizer.learning_rate`; its values are domains. The
key `network` may also hold a network family, whose numbers are searched over. `SearchSpace` is the space as clients
send it. `shared/jobs/search_points.py` lists its parameters and turns their values into trainings. This module does no
I/O.
"""

import json
from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Discriminator, Field, JsonValue, Tag, model_serializer, model_validator

from shared.jobs.payloads import PresetOrNetwork, RequestBody

MAX_CHOICES = 64
MAX_PATHS = 32
GRID_STEPS = 3  # values that a grid takes of a range, unless it is a short range of integers
SHORT_RANGE = 5  # a range of so many integers gives a grid all of them

LARGEST = 2**53


def _tag_of_number(value: Any) -> str:
    return "whole" if isinstance(value, int) and not isinstance(value, bool) else "number"


Number = Annotated[
    Annotated[int, Field(strict=True, ge=-LARGEST, le=LARGEST), Tag("whole")]
    | Annotated[float, Field(strict=True, ge=-LARGEST, le=LARGEST, allow_inf_nan=False), Tag("number")],
    Discriminator(_tag_of_number),
]
Limits = Annotated[tuple[Number, Number], Field(description="[lowest, highest], both included")]
Scalar = bool | int | float | str


class Domain(RequestBody):
    """The values that a field may take: exactly one of the three.

    Raises:
        ValueError: not exactly one is given, a range has no values, or a choice is given twice.
    """

    choice: Annotated[list[JsonValue] | None, Field(min_length=1, max_length=MAX_CHOICES)] = None
    range: Annotated[
        Limits | None,
        Field(description="two whole numbers give whole numbers, others give any number between them"),
    ] = None
    log_range: Annotated[
        Limits | None,
        Field(description="as `range`, but each order of magnitude is equally likely; above 0"),
    ] = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if len(self._given()) != 1:
            raise ValueError('a domain is one of {"choice": [...]}, {"range": [low, high]}, {"log_range": [low, high]}')
        if self.choice is not None:
            texts = [json.dumps(value, sort_keys=True) for value in self.choice]
            if len(set(texts)) != len(texts):
                raise ValueError("a value is listed twice")
        elif self.limits[0] >= self.limits[1]:
            raise ValueError(f"the range {list(self.limits)} has no values: give the lower number first")
        elif self.log_range and self.limits[0] <= 0:
            raise ValueError("a log_range begins above 0")
        return self

    @model_serializer
    def _given(self) -> dict[str, JsonValue]:
        """Return the given one of the three, as a client writes it. Whole numbers stay whole."""
        kinds = {"choice": self.choice, "range": self.range, "log_range": self.log_range}
        return {kind: list(value) for kind, value in kinds.items() if value is not None}

    @property
    def limits(self) -> tuple[int | float, int | float]:
        """The lowest and the highest value of a range. A choice has none."""
        limits = self.range or self.log_range
        assert limits is not None, "a choice has no limits"
        return limits

    @property
    def is_whole(self) -> bool:
        """Whether a range has whole numbers only."""
        return all(isinstance(limit, int) for limit in self.limits)

    @property
    def extremes(self) -> list[JsonValue]:
        """Every value of a choice, or both ends of a range."""
        return self.choice if self.choice is not None else list(self.limits)

    @property
    def grid(self) -> list[JsonValue]:
        """The values that a grid takes.

        They are every value of a choice, all numbers of a range of at most five whole numbers, and else both ends of
        the range and its middle.
        """
        if self.choice is not None:
            return self.choice
        low, high = self.limits
        if self.is_whole and high - low < SHORT_RANGE:
            return list(range(int(low), int(high) + 1))
        middle = (low * high) ** 0.5 if self.log_range else (low + high) / 2
        return [low, round(middle) if self.is_whole else middle, high]


def _tag_of_value(value: Any) -> str:
    return "domain" if isinstance(value, dict | Domain) else "value"


# A number of a network family: a domain, or one value.
DomainOrValue = Annotated[
    Annotated[Domain, Tag("domain")] | Annotated[Scalar, Tag("value")], Discriminator(_tag_of_value)
]


def _range(low: float, high: float) -> Domain:
    return Domain(range=(low, high))


def _choice(*values: Scalar) -> Domain:
    return Domain(choice=list(values))


class MlpSpace(RequestBody):
    """Which networks of the family `mlp` a search may take: dense layers of equal width."""

    family: Literal["mlp"]
    depth: Annotated[DomainOrValue, Field(description="hidden layers")] = _range(1, 3)
    width: Annotated[DomainOrValue, Field(description="units of each")] = _choice(32, 64, 128, 256)
    activation: DomainOrValue = _choice("relu", "tanh")
    dropout: DomainOrValue = _range(0.0, 0.5)


class CnnSpace(RequestBody):
    """Which networks of the family `cnn` a search may take: blocks of a convolution and a pooling layer."""

    family: Literal["cnn"]
    blocks: DomainOrValue = _range(1, 3)
    filters: Annotated[DomainOrValue, Field(description="of the first block; each block doubles them")] = _choice(
        8, 16, 32
    )
    kernel: Annotated[DomainOrValue, Field(description="side in pixels")] = _choice(3, 5)
    batch_norm: DomainOrValue = _choice(True, False)
    pooling: DomainOrValue = _choice("max", "average")
    dense_layers: Annotated[DomainOrValue, Field(description="before the logits")] = _range(0, 1)
    dense_width: DomainOrValue = _choice(32, 64, 128)
    activation: DomainOrValue = "relu"
    dropout: DomainOrValue = _range(0.0, 0.5)


FamilySpace = Annotated[MlpSpace | CnnSpace, Field(discriminator="family")]


def _tag_of_network(value: Any) -> str:
    is_family = isinstance(value, MlpSpace | CnnSpace) or (isinstance(value, dict) and "family" in value)
    return "families" if is_family else "networks"


NetworkOrFamily = Annotated[
    Annotated[FamilySpace, Tag("families")] | Annotated[PresetOrNetwork, Tag("networks")],
    Discriminator(_tag_of_network),
]


class NetworkChoice(RequestBody):
    """Several networks to choose from: presets, described networks, and each family at most once."""

    choice: Annotated[list[NetworkOrFamily], Field(min_length=1, max_length=MAX_CHOICES)]

    @model_validator(mode="after")
    def _check(self) -> Self:
        texts = [value.family if isinstance(value, MlpSpace | CnnSpace) else repr(value) for value in self.choice]
        if len(set(texts)) != len(texts):
            raise ValueError("a network or a family is listed twice")
        return self


NetworkDomain = Annotated[
    Annotated[FamilySpace, Tag("families")] | Annotated[NetworkChoice, Tag("choices")],
    Discriminator(lambda value: "choices" if _tag_of_network(value) == "networks" else "families"),
]


class SearchSpace(RequestBody):
    """Paths of fields of a training, and the values that each may take."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[Annotated[str, Field(min_length=1, max_length=80)], Domain]

    network: Annotated[
        NetworkDomain | None, Field(description="a family whose numbers are searched over, or a choice of networks")
    ] = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        count = len(self.domains) + (self.network is not None)
        if not 1 <= count <= MAX_PATHS:
            raise ValueError(f"a space has 1 to {MAX_PATHS} paths of fields")
        return self

    @property
    def domains(self) -> dict[str, Domain]:
        """The domain of each path, without the path `network`."""
        return self.__pydantic_extra__


# Chosen on digits: a few epochs suffice, and 20 trials find settings that beat the preset `mlp` with its defaults.
QUICK = {
    "network": {"family": "mlp", "depth": {"range": [1, 2]}, "width": {"choice": [32, 64, 128, 256]}, "dropout": 0.0},
    "optimizer": {"choice": [{"name": "sgd", "momentum": 0.9}, {"name": "adam"}]},
    "optimizer.learning_rate": {"log_range": [0.001, 0.1]},
    "batch_size": {"choice": [16, 32, 64]},
}
SPACES = {"quick": SearchSpace.model_validate(QUICK)}
