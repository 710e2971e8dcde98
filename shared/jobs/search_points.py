"""The points of a search space: which values a trial has to choose, and the training that they give.

The parameters of a space form a tree. A value may need further values: a network family its numbers, an optimizer the
fields that it has. A point is a value for each parameter that the point's other values need. This module does no I/O.
"""

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from pydantic import BaseModel, JsonValue

from shared.jobs.search_space import CnnSpace, Domain, MlpSpace, SearchSpace
from shared.network.description import Network
from shared.network.families import FAMILIES
from shared.network.layers import Shape
from shared.network.optimizers import Adam, Sgd

NETWORK, OPTIMIZER, OPTIMIZER_NAME = "network", "optimizer", "optimizer.name"
OPTIMIZERS: dict[str, type[BaseModel]] = {"sgd": Sgd, "adam": Adam}

JsonObject = dict[str, JsonValue]
Point = dict[str, JsonValue]  # path -> value


def _need_nothing(value: JsonValue) -> Sequence["SearchParameter"]:  # noqa: ARG001
    """Return no parameters: no value of a domain needs others."""
    return ()


@dataclass(frozen=True)
class SearchParameter:
    """A parameter of a search, and the parameters that its values need.

    Attributes:
        path: its name: the path of the training's field, or of a family's number, such as `network.depth`.
        domain: its values.
        needed_by: takes a value, and returns the parameters that it needs.
    """

    path: str
    domain: Domain
    needed_by: Callable[[JsonValue], Sequence["SearchParameter"]] = _need_nothing

    def index_of(self, value: JsonValue) -> int:
        """Return the index of a value in the choice. 1, 1.0 and true are different values."""
        texts = [json.dumps(choice, sort_keys=True) for choice in self.domain.choice or []]
        return texts.index(json.dumps(value, sort_keys=True))


@dataclass(frozen=True)
class SearchPoints:
    """All points of a space.

    Attributes:
        space: the space.
        training: the fields of a training that all trials share.
        parameters: what each point has; their values may need further parameters.
    """

    space: SearchSpace
    training: JsonObject
    parameters: list[SearchParameter] = field(init=False)

    def __post_init__(self) -> None:
        """List the parameters."""
        object.__setattr__(self, "parameters", [*self._network_parameters(), *self._field_parameters()])

    def choose(self, pick: Callable[[SearchParameter], JsonValue]) -> Point:
        """Return a point.

        Args:
            pick: called once for each parameter that the point needs, in a fixed order; it returns the value.
        """
        point: Point = {}

        def visit(parameters: Sequence[SearchParameter]) -> None:
            for parameter in parameters:
                value = point[parameter.path] = pick(parameter)
                visit(parameter.needed_by(value))

        visit(self.parameters)
        return point

    def fixed_numbers(self) -> dict[str, tuple[str, dict[str, JsonValue]]]:
        """Return the numbers of families that are the same in all points: prefix of the paths -> family and numbers."""
        network = self.space.network
        if network is None:
            return {}
        if isinstance(network, MlpSpace | CnnSpace):
            return {f"{NETWORK}.": (network.family, _fixed_numbers(network))}
        families = [choice for choice in network.choice if isinstance(choice, MlpSpace | CnnSpace)]
        return {f"{NETWORK}.{family.family}.": (family.family, _fixed_numbers(family)) for family in families}

    def parameters_of(self, point: Point) -> list[SearchParameter]:
        """Return the parameters that a point has, in the order of `choose`."""
        found: list[SearchParameter] = []

        def pick(parameter: SearchParameter) -> JsonValue:
            found.append(parameter)
            return point[parameter.path]

        self.choose(pick)
        return found

    def training_of(self, point: Point, input_shape: Shape, classes: int) -> JsonObject:
        """Return the fields of the training that a point stands for: those that all trials share, then its own.

        Args:
            point: the values.
            input_shape: of the dataset's pictures, for network families.
            classes: number of the dataset's classes.

        Raises:
            InvalidNetworkError: the network is larger than networks may be.
            LookupError: a path leads into something that is no object, or to a layer that there is not.
        """
        training: JsonObject = json.loads(json.dumps(self.training))
        prefix = _family_prefix(point)
        family = self.fixed_numbers().get(prefix)
        if family:
            name, numbers = family
            chosen = {path.removeprefix(prefix): value for path, value in point.items() if path.startswith(prefix)}
            network = FAMILIES[name].model_validate({**numbers, **chosen}).network(input_shape, classes)
            training[NETWORK] = network.model_dump(mode="json")
        own = {path: value for path, value in point.items() if not (family and path.startswith(NETWORK))}
        for path in sorted(own, key=lambda path: path.count(".")):  # a whole object comes before its fields
            _set(training, path.split("."), json.loads(json.dumps(own[path])))
        return training

    # Grid ------------------------------------------------------------------

    def grid_size(self) -> int:
        """Return the number of points that a grid has."""
        return _count(self.parameters)

    def grid_point(self, index: int) -> Point:
        """Return a point of the grid.

        Args:
            index: from 0 to `grid_size() - 1`. Each gives another point.
        """
        return _decode(self.parameters, index)

    # Parameters ------------------------------------------------------------

    def _network_parameters(self) -> list[SearchParameter]:
        network = self.space.network
        if network is None:
            return []
        if isinstance(network, MlpSpace | CnnSpace):
            return _family_parameters(network, f"{NETWORK}.")
        families: dict[str, MlpSpace | CnnSpace] = {
            choice.family: choice for choice in network.choice if isinstance(choice, MlpSpace | CnnSpace)
        }

        def needed_by(value: JsonValue) -> list[SearchParameter]:
            family = families.get(str(value.get("family"))) if isinstance(value, dict) else None
            return _family_parameters(family, f"{NETWORK}.{family.family}.") if family else []

        return [SearchParameter(NETWORK, Domain(choice=[_name_of(choice) for choice in network.choice]), needed_by)]

    def _field_parameters(self) -> list[SearchParameter]:
        """Return a parameter for each path. A path below another one is needed only by the values that have it."""
        domains = dict(sorted(self.space.domains.items(), key=lambda item: item[0].count(".")))
        children: dict[str, list[str]] = {path: [] for path in domains}
        tops = []
        for path in domains:
            parent = OPTIMIZER_NAME if OPTIMIZER_NAME in domains else OPTIMIZER
            if not path.startswith(f"{OPTIMIZER}.") or path == OPTIMIZER_NAME:
                parent = path.rpartition(".")[0]
            if parent in domains:
                children[parent].append(path)
            else:
                tops.append(path)

        def make(path: str) -> SearchParameter:
            def needed_by(value: JsonValue) -> list[SearchParameter]:
                return [make(child) for child in children[path] if _has_field(path, value, child)]

            return SearchParameter(path, domains[path], needed_by if children[path] else _need_nothing)

        return [make(path) for path in tops]


def _family_parameters(family: MlpSpace | CnnSpace, prefix: str) -> list[SearchParameter]:
    """Return a parameter for each number of a family that has a domain. Without dense layers, none has a width."""
    layers, width = ("depth", "width") if isinstance(family, MlpSpace) else ("dense_layers", "dense_width")
    domains = {name: domain for name, domain in family if isinstance(domain, Domain)}
    width_domain = domains.pop(width, None)
    of_width = [SearchParameter(f"{prefix}{width}", width_domain)] if width_domain else []

    def needed_by(count: JsonValue) -> list[SearchParameter]:
        return of_width if count != 0 else []

    parameters = [
        SearchParameter(f"{prefix}{name}", domain, needed_by)
        if name == layers
        else SearchParameter(f"{prefix}{name}", domain)
        for name, domain in domains.items()
    ]
    return parameters if layers in domains else [*parameters, *needed_by(getattr(family, layers))]


def _family_prefix(point: Point) -> str:
    """Return how the paths of a point's family begin; nothing if the point names another network."""
    if NETWORK not in point:
        return f"{NETWORK}."
    chosen = point[NETWORK]
    return f"{NETWORK}.{chosen['family']}." if isinstance(chosen, dict) and "family" in chosen else ""


def _fixed_numbers(family: MlpSpace | CnnSpace) -> dict[str, JsonValue]:
    return {name: value for name, value in family if not isinstance(value, Domain)}


def _name_of(choice: MlpSpace | CnnSpace | str | Network) -> JsonValue:
    """Return how a point names a network: the preset's name, `{"family": ...}`, or the network itself."""
    if isinstance(choice, str):
        return choice
    if isinstance(choice, Network):
        return cast(JsonValue, choice.model_dump(mode="json"))
    return {"family": choice.family}


def _has_field(path: str, value: JsonValue, child: str) -> bool:
    """Return whether a value of a path has the field of a longer path."""
    if path in (OPTIMIZER, OPTIMIZER_NAME):
        name = value.get("name", "sgd") if isinstance(value, dict) else value
        optimizer = OPTIMIZERS.get(str(name))
        return optimizer is None or child.split(".")[1] in optimizer.model_fields
    return value is not None


def _count(parameters: Sequence[SearchParameter]) -> int:
    """Return how many points of a grid some parameters have."""
    return math.prod(
        len(parameter.domain.grid)
        if parameter.needed_by is _need_nothing
        else sum(_count(parameter.needed_by(value)) for value in parameter.domain.grid)
        for parameter in parameters
    )


def _decode(parameters: Sequence[SearchParameter], index: int) -> Point:
    """Return the point of a grid that an index stands for, from 0 to `_count(parameters) - 1`."""
    if not parameters:
        return {}
    first, *others = parameters
    index, index_of_others = divmod(index, _count(others))
    for value in first.domain.grid:
        needed = first.needed_by(value)
        count = _count(needed)
        if index < count:
            return {first.path: value, **_decode(needed, index), **_decode(others, index_of_others)}
        index -= count
    raise IndexError(index)


def _set(target: Any, path: list[str], value: JsonValue) -> None:
    """Set a field of nested JSON objects and lists. Missing objects are made.

    Raises:
        LookupError: the path leads into something that is no object, or to an item that a list has not.
    """
    first, *rest = path
    key: Any = first
    if isinstance(target, list):
        if not first.isdecimal() or int(first) >= len(target):
            raise LookupError(f"there is no item {first} in a list of {len(target)}")
        key = int(first)
    elif not isinstance(target, dict):
        raise LookupError(f"{first} is a field of an object, and there is none")
    elif rest and target.get(key) is None:
        target[key] = {}
    if rest:
        _set(target[key], rest, value)
    else:
        target[key] = value
