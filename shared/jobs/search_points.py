"""The points of a search space: which values a trial has to choose, and the training that they give.

The parameters of a space form a tree. A value may need further values: a network family its numbers, an optimizer the
fields that it has. A point is a value for each parameter that the point's other values need. This module does no I/O.
"""

import json
import math
from collections.abc import Callable, Iterator, Sequence
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

Point = dict[str, JsonValue]


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
    needed_by: Callable[[JsonValue], Sequence["SearchParameter"]] = lambda _: ()

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
    training: dict[str, JsonValue]
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

    def parameters_of(self, point: Point) -> list[SearchParameter]:
        """Return the parameters that a point has, in the order of `choose`."""
        found: list[SearchParameter] = []

        def pick(parameter: SearchParameter) -> JsonValue:
            found.append(parameter)
            return point[parameter.path]

        self.choose(pick)
        return found

    def training_of(self, point: Point, input_shape: Shape, classes: int) -> dict[str, Any]:
        """Return the fields of the training that a point stands for: those that all trials share, then its own.

        Args:
            point: the values.
            input_shape: of the dataset's pictures, for network families.
            classes: number of the dataset's classes.

        Raises:
            InvalidNetworkError: the network is larger than networks may be.
            LookupError: a path leads into something that is no object, or to a layer that there is not.
        """
        training: dict[str, Any] = json.loads(json.dumps(self.training))
        family = self._family_of(point)
        if family:
            prefix, name, numbers = family
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
        remaining = index

        def visit(parameters: Sequence[SearchParameter]) -> Iterator[tuple[str, JsonValue]]:
            nonlocal remaining
            for position, parameter in enumerate(parameters):
                after = _count(parameters[position + 1 :])
                for value in parameter.domain.grid:
                    further = parameter.needed_by(value)
                    block = _count(further) * after
                    if remaining < block:
                        inner, remaining = divmod(remaining, after)
                        outer, remaining = remaining, inner
                        yield parameter.path, value
                        yield from visit(further)
                        remaining = outer
                        break
                    remaining -= block

        return dict(visit(self.parameters))

    # Parameters ------------------------------------------------------------

    def _network_parameters(self) -> list[SearchParameter]:
        network = self.space.network
        if network is None:
            return []
        if isinstance(network, MlpSpace | CnnSpace):
            return _family_parameters(network, f"{NETWORK}.")
        families = {choice.family: choice for choice in network.choice if isinstance(choice, MlpSpace | CnnSpace)}

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

            return SearchParameter(path, domains[path], needed_by)

        return [make(path) for path in tops]

    def _family_of(self, point: Point) -> tuple[str, str, dict[str, JsonValue]] | None:
        """Return the point's family, if it has one: the prefix of its paths, its name, and its fixed numbers."""
        network = self.space.network
        if network is None:
            return None
        prefix = f"{NETWORK}."
        if not isinstance(network, MlpSpace | CnnSpace):
            chosen = {json.dumps(_name_of(choice)): choice for choice in network.choice}[json.dumps(point[NETWORK])]
            if not isinstance(chosen, MlpSpace | CnnSpace):
                return None
            network, prefix = chosen, f"{NETWORK}.{chosen.family}."
        return prefix, network.family, {name: value for name, value in network if not isinstance(value, Domain)}


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
    return math.prod(
        sum(_count(parameter.needed_by(value)) for value in parameter.domain.grid) for parameter in parameters
    )


def _set(target: Any, path: list[str], value: JsonValue) -> None:
    """Set a field of nested JSON objects and lists. Missing objects are made.

    Raises:
        LookupError: the path leads into something that is no object, or to an item that a list has not.
    """
    first, *rest = path
    if isinstance(target, list):
        key: str | int = int(first) if first.isdecimal() else len(target)
        target[key]  # an IndexError names nothing that the list has not
    elif isinstance(target, dict):
        key = first
        if rest and target.get(key) is None:
            target[key] = {}
    else:
        raise LookupError(f"{first} is a field of an object, and there is none")
    if rest:
        _set(target[key], rest, value)
    else:
        target[key] = value
