"""Whether a training could use a dataset: what `GET /v1/datasets` says of each.

A dataset is ready only if everything that is checked before a training has been checked, including every picture.
"""

from dataclasses import dataclass
from time import monotonic

from shared.data import datasets, own_folders
from shared.data.catalog import DATASETS, Dataset
from shared.data.folder_entries import show_name
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
    until = monotonic() + CHECK_S
    states = [_describe_state(name, settings, until) for name in datasets.names(settings)]
    misnamed = own_folders.list_misnamed(settings.data_dir)
    states += [
        DatasetState(show_name(name), None, own_folders.explain_misnamed(name, suggested))
        for name, suggested in misnamed.items()
    ]
    return states


def _describe_state(name: str, settings: Settings, until: float) -> DatasetState:
    try:
        dataset = datasets.find(name, settings)
    except InvalidDatasetError as error:
        return DatasetState(name, None, str(error))
    notes = dataset.notes
    if name in DATASETS and own_folders.holds_pictures(settings.data_dir / name):
        notes = (f"your folder {name!r} holds pictures that are not used: another dataset has this name; rename it",)
    problem = None
    try:
        datasets.ensure_cached(dataset, settings)
        if left := datasets.verify(dataset, until):
            total = sum(dataset.sizes.values())
            problem = f"{total - left:,} of {total:,} pictures are checked so far: ask again, the next answer goes on"
    except (InvalidDatasetError, MissingDatasetError) as error:
        problem = str(error)
    return DatasetState(name, dataset, problem, notes)
