"""Datasets by name. Other packages import this module and need no other one of `shared.data` to get at data.

A dataset is built in (`catalog.py`), a user's own folder of pictures (`own_folders.py`, `image_folder.py`), or an
uploaded zip file (`uploaded_datasets.py`). `cache.py` puts built-in ones into the cache. `splits.py` reads them all.

    python -m shared.data.datasets [name ...]     fill the cache; files that are not here are downloaded
"""

import sys
from collections.abc import Callable

from shared.data import image_folder, own_folders
from shared.data.cache import ensure_cached, is_ready
from shared.data.catalog import DATASETS, DIGITS, FASHION_MNIST, MNIST, Dataset, IdxFile, SplitName
from shared.data.image_folder import PictureFiles
from shared.data.picture_checks import PictureChecks
from shared.data.splits import Split, fingerprint, read, read_uncached
from shared.data.stored_uploads import open_uploads
from shared.errors import InvalidDatasetError, InvalidRequestError, MissingDatasetError
from shared.names import is_name
from shared.settings import Settings

__all__ = [
    "DATASETS",
    "DIGITS",
    "FASHION_MNIST",
    "MNIST",
    "Dataset",
    "IdxFile",
    "Split",
    "SplitName",
    "ensure_cached",
    "find",
    "fingerprint",
    "is_ready",
    "names",
    "read",
    "read_uncached",
    "verify",
]

_checks = PictureChecks()  # of this process


def names(settings: Settings) -> list[str]:
    """Return the names of all datasets: the built-in ones, then folders and uploads in alphabetical order.

    A user's folder whose name is not valid is not among them. `own_folders.list_misnamed` lists these.
    """
    own = {name for name in own_folders.list_folders(settings.data_dir) if is_name(name)}
    own |= set(open_uploads(settings).list_names())
    return [*DATASETS, *sorted(own - DATASETS.keys())]


def find(name: str, settings: Settings, version: str | None = None) -> Dataset:
    """Return the description of a dataset. A user's folder is listed for it; no picture is opened.

    A folder comes before an upload of the same name.

    Args:
        name: of the dataset.
        settings: where the datasets are.
        version: of an uploaded dataset, as a job names it; None for the newest one.

    Raises:
        InvalidRequestError: there is no dataset of that name (the message lists the names there are), or a built-in
            dataset is asked for by version.
        InvalidDatasetError: the user's folder is not laid out as it must be. The message says what to change.
        MissingDatasetError: there is no such version any more.
    """
    if name in DATASETS:
        if version is not None:
            raise InvalidRequestError(f"{name} is built in and has no versions: leave `data_version` out")
        return DATASETS[name]
    if version is not None:
        return open_uploads(settings).find_version(name, version)
    is_folder = is_name(name) and (settings.data_dir / name).is_dir()
    if not is_folder and (uploaded := open_uploads(settings).find_newest(name)):
        return uploaded
    if not is_folder:
        misnamed = own_folders.list_misnamed(settings.data_dir)
        for folder, suggested in misnamed.items():
            if name in (folder, suggested):
                raise InvalidDatasetError(own_folders.explain_misnamed(folder, suggested))
        known = ", ".join(names(settings))
        raise InvalidRequestError(f"unknown dataset {name[:80]!r}: choose one of {known}")
    own = image_folder.describe_folder(settings.data_dir / name)
    sizes: dict[SplitName, int] = {"train": len(own.train), "test": len(own.test)}
    pictures: dict[SplitName, PictureFiles] = {"train": own.train, "test": own.test}
    return Dataset(name, own.shape, own.classes, sizes, pictures=pictures, preparation=own.preparation, notes=own.notes)


def verify(dataset: Dataset, until: float | None = None) -> int:
    """Decode every picture of a user's dataset that was not decoded before. Built-in datasets need no check.

    Args:
        dataset: any dataset.
        until: stop at this time of `time.monotonic`, in seconds; None to check all.

    Returns:
        How many pictures are left to be checked.

    Raises:
        InvalidDatasetError: a picture cannot be read. The message names it.
    """
    pictures = tuple(picture for split in (dataset.pictures or {}).values() for picture in split)
    return _checks.check(dataset.name, pictures, dataset.shape, dataset.preparation, until)


def main(asked: list[str], say: Callable[[str], object] = print) -> int:
    """Fill the cache. A dataset that cannot be had is reported and is no failure, as on a machine without a network.

    Args:
        asked: names of datasets; all built-in ones if empty.
        say: takes each line of output.

    Returns:
        The exit status, always 0.
    """
    settings = Settings.from_env()
    for dataset in [find(name, settings) for name in asked] or DATASETS.values():
        try:
            ensure_cached(dataset, settings, download=True)
            say(f"dataset {dataset.name}: ready")
        except MissingDatasetError as error:
            say(f"dataset {dataset.name}: not available, continuing without it ({error})")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
