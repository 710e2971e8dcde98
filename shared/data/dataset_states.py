"""Whether a training could use a dataset: what `GET /v1/datasets` says of each.

A dataset is ready only if everything that is checked before a training has been checked, including every picture.
"""

from dataclasses import dataclass, replace
from time import monotonic

from shared.data import datasets, own_folders
from shared.data.catalog import DATASETS, Dataset
from shared.data.folder_entries import show_name
from shared.data.stored_uploads import open_uploads
from shared.errors import InvalidDatasetError, MissingDatasetError
from shared.settings import Settings

CHECK_S = 3.0  # How long one listing decodes pictures that were not decoded before.


@dataclass(frozen=True)
class DatasetState:
    """A dataset, or the folder that is meant as one, and whether it can be used.

    Attributes:
        name: the dataset's name, or the folder's.
        dataset: its description; None if the folder cannot be used.
        problem: why a training would be refused, and what to do; None if it would not.
        notes: what the user should know about how a folder was read.
    """

    name: str
    dataset: Dataset | None
    problem: str | None
    notes: tuple[str, ...] = ()


def list_states(settings: Settings) -> list[DatasetState]:
    """Return the state of every dataset, and of folders whose names are not valid.

    Pictures that were not decoded since they changed are decoded for some seconds. The datasets that are not
    completely checked by then are not ready yet, and the next listing goes on.
    """
    states = [_describe_state(name, settings) for name in datasets.names(settings)]
    states = _check_pictures(states)
    misnamed = own_folders.list_misnamed(settings.data_dir)
    states += [
        DatasetState(show_name(name), None, own_folders.explain_misnamed(name, suggested))
        for name, suggested in misnamed.items()
    ]
    return states


def _describe_state(name: str, settings: Settings) -> DatasetState:
    """Return the state of a dataset as far as it is known without decoding a picture."""
    try:
        dataset = datasets.find(name, settings)
    except InvalidDatasetError as error:
        return DatasetState(name, None, str(error))
    notes = dataset.notes
    if name in DATASETS and own_folders.holds_pictures(settings.data_dir / name):
        notes = (f"your folder {name!r} holds pictures that are not used: another dataset has this name; rename it",)
    if dataset.pictures is not None and open_uploads(settings).find_newest(name):
        notes = (*notes, "an uploaded dataset of this name is not used, because this folder has the same name")
    try:
        datasets.ensure_cached(dataset, settings)
    except MissingDatasetError as error:
        return DatasetState(name, dataset, str(error), notes)
    return DatasetState(name, dataset, None, notes)


def _check_pictures(states: list[DatasetState]) -> list[DatasetState]:
    """Return the states with the problems of pictures. Small datasets are checked first, so that they never wait."""
    until = monotonic() + CHECK_S
    checked = list(states)
    for index, state in sorted(enumerate(states), key=lambda entry: _count_pictures(entry[1])):
        if state.dataset and state.problem is None and (problem := _find_problem(state.dataset, until)):
            checked[index] = replace(state, problem=problem)
    return checked


def _find_problem(dataset: Dataset, until: float) -> str | None:
    try:
        left = datasets.verify(dataset, until)
    except InvalidDatasetError as error:
        return str(error)
    total = sum(dataset.sizes.values())
    return f"{total - left:,} of {total:,} pictures are checked so far: ask again to go on" if left else None


def _count_pictures(state: DatasetState) -> int:
    return sum(state.dataset.sizes.values()) if state.dataset else 0
