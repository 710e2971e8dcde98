"""The data cache: the unpacked, verified files of MNIST and Fashion-MNIST.

The cache is laid out so that each framework can read it with its own functions: MNIST lies in `MNIST/raw/`, where
torchvision expects it, and TensorFlow reads the same files with `tf.io`.
"""

import gzip
import zlib
from pathlib import Path

from shared.data.catalog import Dataset, IdxFile
from shared.data.published_files import find_published, md5_of
from shared.errors import MissingDatasetError, describe_error
from shared.process import write_atomically
from shared.settings import Settings

CONNECT_TIMEOUT_S = 3  # A mirror that does not accept a connection within this time is skipped.


def is_ready(dataset: Dataset, settings: Settings) -> bool:
    """Return whether every file of the dataset is in the cache, with the right size.

    The content is not read again: `ensure_cached` verified it before it stored the file. Datasets that do not use the
    cache are always ready.
    """
    folder = settings.cache_dir / (dataset.folder or "")
    return all(_is_stored(file, folder) for file in dataset.files)


def ensure_cached(dataset: Dataset, settings: Settings, download: bool = False, timeout_s: float = 10) -> None:
    """Put a dataset's files into the cache, unless they are there already.

    A file is taken from the user's data folder, where it is recognised by its content, or else downloaded.

    Args:
        dataset: any dataset; those that do not use the cache need nothing.
        settings: say where the cache and the user's data are.
        download: whether files that the user does not have may be downloaded.
        timeout_s: how long a mirror may send nothing.

    Raises:
        MissingDatasetError: a file is missing, is not the published one, or cannot be stored. The message says what
            to do.
    """
    if is_ready(dataset, settings):
        return
    folder = settings.cache_dir / (dataset.folder or "")
    needed = [file for file in dataset.files if not _is_stored(file, folder)]
    found = dict(find_published(needed, settings.data_dir, dataset.name))
    missing = [file for file in needed if file not in found]
    if missing and not download:
        raise MissingDatasetError(_explain_missing(dataset, missing[0], settings))
    for file, content in found.items():
        _store(content, file, folder)
    for file in missing:
        _store(gzip.decompress(_download(dataset, file, timeout_s)), file, folder)


def _is_stored(file: IdxFile, folder: Path) -> bool:
    try:
        return (folder / file.name).stat().st_size == file.size
    except OSError:
        return False


def _explain_missing(dataset: Dataset, file: IdxFile, settings: Settings) -> str:
    """Return why a file is not there, and what to do."""
    packed = settings.data_dir / dataset.name / f"{file.name}.gz"
    shown = f"{dataset.name}/{packed.name}"
    if packed.is_file():
        try:
            with gzip.open(packed) as opened:
                opened.read(file.size + 1)
        except (OSError, EOFError, zlib.error) as error:
            return f"{shown} cannot be unpacked: {describe_error(error)}: copy the file again"
        return f"{shown} is not the published file: its MD5 differs: download it again"
    names = ", ".join(f"{each.name}.gz" for each in dataset.files)
    return (
        f"dataset {dataset.name!r} is not on this machine, because {file.name} was not found: start Tandem again with "
        f"a network, or put its four files ({names}), under any names, into the folder data (TANDEM_DATA_DIR); "
        f"dataset 'digits' is always available"
    )


def _store(data: bytes, file: IdxFile, folder: Path) -> None:
    """Move an unpacked, verified file into the cache. Files in the cache are always complete."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(folder / file.name, data)
    except OSError as error:
        raise MissingDatasetError(
            f"{file.name} cannot be stored, because the data cache cannot be written ({describe_error(error)}): make "
            "TANDEM_CACHE_DIR writable or, with containers, run `docker compose up datasets`"
        ) from error


def _download(dataset: Dataset, file: IdxFile, timeout_s: float) -> bytes:
    """Return the published file from the first mirror that has it."""
    import requests  # Only a process that downloads needs this package.

    reasons = []
    for mirror in dataset.mirrors:
        url = f"{mirror}{file.name}.gz"
        try:
            answer = requests.get(url, timeout=(CONNECT_TIMEOUT_S, timeout_s))
            answer.raise_for_status()
        except requests.RequestException as error:
            reasons.append(f"{mirror}: {type(error).__name__}")
            continue
        if md5_of(answer.content) == file.md5_gz:
            return answer.content
        reasons.append(f"{mirror}: the MD5 differs")
    raise MissingDatasetError(f"{file.name}.gz could not be downloaded ({'; '.join(reasons)})")
