"""Checks the space of a search before any of its trials is trained.

Each value is checked by itself, so that the message can name the path. Whether the values fit each other is checked for
a sample of combinations. A search whose combinations all fail is refused; if only some fail, its client is warned.
"""

import json
import random
from collections.abc import Sequence

from pydantic import JsonValue, ValidationError

from services.gateway.routes.batch_sizes import choose_batch_size
from services.gateway.routes.field_errors import describe_field_errors
from services.gateway.routes.networks import fit_network
from shared.data.datasets import Dataset
from shared.errors import InvalidRequestError
from shared.jobs.payloads import TrainingRequest
from shared.jobs.search_points import NETWORK, Point, SearchParameter, SearchPoints
from shared.jobs.searches import OWN_FIELDS
from shared.network.families import FAMILIES

MAX_CHECKS = 2000  # values that are checked by themselves
SAMPLE = 100  # combinations that are checked
SHOWN = 60  # characters of a value in a message


def check_shared_training(training: dict[str, JsonValue], dataset: Dataset) -> None:
    """Check the fields that all trials share.

    Raises:
        InvalidRequestError: a field cannot be used; the message names it.
    """
    for name in training:
        if name in OWN_FIELDS:
            raise InvalidRequestError(f"training.{name[:80]}: {_own_field(name)}")
    try:
        request = TrainingRequest.model_validate(training)
    except ValidationError as error:
        raise InvalidRequestError(f"training.{describe_field_errors(error)}") from None
    fit_network(request.network, dataset)
    _check_against_dataset(request, dataset)


def check_space(points: SearchPoints, dataset: Dataset) -> list[str]:
    """Check that each value of a space can be used, and that values fit each other.

    Returns:
        What the client should know about combinations that cannot be trained.

    Raises:
        InvalidRequestError: a path or a value cannot be used, or no combination can be trained. The message names the
            path.
    """
    for path in points.space.domains:
        first = path.split(".")[0]
        if first in OWN_FIELDS:
            raise InvalidRequestError(f"space.{path}: {_own_field(first)}")
        if first == NETWORK and points.space.network is not None:
            raise InvalidRequestError(
                f"space.{path}: the space has a domain for the whole network: leave this path out"
            )
    for prefix, (family, numbers) in points.fixed_numbers().items():
        try:
            FAMILIES[family].model_validate(numbers)
        except ValidationError as error:
            raise InvalidRequestError(f"space.{prefix}{describe_field_errors(error)}") from None
    checker = _SpaceChecker(points, dataset)
    checker.check_values(points.parameters, {})
    for path in points.space.domains:
        if path not in checker.checked_paths:
            parent = path.rpartition(".")[0]
            raise InvalidRequestError(f"space.{path}: no value of {parent} has this field")
    return _check_combinations(points, dataset)


def _own_field(name: str) -> str:
    where = "" if name in ("publish", "data_version") else ": give it as a field of the search"
    return f"a search sets this field of its trainings itself{where}"


class _SpaceChecker:
    """Checks each value of a space by itself.

    Attributes:
        checked_paths: the paths that some point has.
    """

    def __init__(self, points: SearchPoints, dataset: Dataset) -> None:
        self._points, self._dataset = points, dataset
        self._checks = 0
        self.checked_paths: set[str] = set()

    def check_values(self, parameters: Sequence[SearchParameter], needed_for: Point) -> None:
        """Check the values of parameters, and of the parameters that these values need.

        Args:
            parameters: what to check.
            needed_for: the values that need these parameters.

        Raises:
            InvalidRequestError: a value cannot be used, or there are too many.
        """
        for parameter in parameters:
            self.checked_paths.add(parameter.path)
            for value in parameter.domain.extremes:
                self._checks += 1
                if self._checks > MAX_CHECKS:
                    raise InvalidRequestError(f"space: it has more than {MAX_CHECKS:,} values: choose fewer")
                point = {**needed_for, parameter.path: value}
                self._check(parameter.path, value, point)
                self.check_values(parameter.needed_by(value), point)

    def _check(self, path: str, value: JsonValue, point: Point) -> None:
        try:
            self._train(point, path)
        except ValidationError as error:
            reason = describe_field_errors(error)
        except (LookupError, InvalidRequestError) as error:
            reason = str(error)
        else:
            return
        # The path of a family's number ends with the name of the family's field.
        for name in (path, path.rpartition(".")[2]):
            reason = reason.removeprefix(f"{name}: ")
        shown = json.dumps(value)
        shown = shown if len(shown) <= SHOWN else f"{shown[: SHOWN - 3]}..."
        raise InvalidRequestError(f"space.{path}: the value {shown} cannot be used: {reason}")

    def _train(self, point: Point, path: str) -> None:
        """Check a training that has only the values of one path, and of those that need it.

        Raises:
            ValidationError: a field is missing or invalid.
            LookupError: there is no such field.
            InvalidRequestError: the dataset does not allow the value.
        """
        dataset = self._dataset
        try:
            training = self._points.training_of(point, dataset.shape, len(dataset.classes))
            request = TrainingRequest.model_validate(training)
        except InvalidRequestError:
            return  # fields that do not fit each other: other values may fit
        _check_against_dataset(request, dataset)
        if path == NETWORK:
            fit_network(request.network, dataset)


def _check_against_dataset(request: TrainingRequest, dataset: Dataset) -> None:
    choose_batch_size(request.batch_size, "batch_size" in request.model_fields_set, dataset)
    if request.augmentation:
        request.augmentation.check(dataset.shape, dataset.classes)


def _check_combinations(points: SearchPoints, dataset: Dataset) -> list[str]:
    """Check a sample of the grid. Return a warning if some of it cannot be trained.

    Raises:
        InvalidRequestError: none of it can.
    """
    size = points.grid_size()
    draw = random.Random(0)
    indices = range(size) if size <= SAMPLE else [draw.randrange(size) for _ in range(SAMPLE)]
    reasons = []
    for index in indices:
        try:
            training = points.training_of(points.grid_point(index), dataset.shape, len(dataset.classes))
            fit_network(TrainingRequest.model_validate(training).network, dataset)
        except ValidationError as error:
            reasons.append(describe_field_errors(error))
        except (LookupError, InvalidRequestError) as error:
            reasons.append(str(error))
    if not reasons:
        return []
    if len(reasons) == len(indices):
        raise InvalidRequestError(f"space: no combination of its values can be trained: {reasons[0]}")
    share = f"{len(reasons)} of {len(indices)} combinations that were checked"
    return [f"{share} cannot be trained, and such trials fail: {reasons[0]}"]
