"""The data cache: the unpacked, verified files of MNIST and Fashion-MNIST.

The cache is laid out so that each framework can read it with its own functions: MNIST lies in `MNIST/raw/`, where
torchvision expects it, and TensorFlow reads the same files with `tf.io`.
"""

import gzip
import hashlib
from pathlib import Path

from shared.data.catalog import Dataset, IdxFile
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
    return all((folder / f.name).is_file() and (folder / f.name).stat().st_size == f.size for f in dataset.files)


def ensure_cached(dataset: Dataset, settings: Settings, download: bool = False, timeout_s: float = 10) -> None:
    """Put a dataset's files into the cache, unless they are there already.

    Each file is unpacked from `<data_dir>/<dataset>/<file>.gz`, or else downloaded.

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
    for file in dataset.files:
        packed = settings.data_dir / dataset.name / f"{file.name}.gz"
        if packed.is_file():
            _store(packed.read_bytes(), file, folder)
        elif download:
            _store(_download(dataset, file, timeout_s), file, folder)
        else:
            raise MissingDatasetError(
                f"dataset {dataset.name!r} is not on this machine: set TANDEM_DATA_DIR to a folder whose subfolder "
                f"{dataset.name!r} holds its four files ({', '.join(f'{each.name}.gz' for each in dataset.files)}), "
                f"or download them with `python -m shared.data.datasets`; dataset 'digits' is always available"
            )


def _store(packed: bytes, file: IdxFile, folder: Path) -> None:
    """Unpack a published file, verify its MD5, and move it into the cache. Files in the cache are always complete."""
    try:
        data = gzip.decompress(packed)
    except (OSError, EOFError) as error:
        raise MissingDatasetError(f"{file.name}.gz cannot be unpacked: {error}") from error
    if not (_md5(packed) == file.md5_gz or _md5(data) == file.md5):
        raise MissingDatasetError(f"{file.name}.gz is not the published file: its MD5 differs")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(folder / file.name, data)
    except OSError as error:
        raise MissingDatasetError(f"the data cache cannot be written: {describe_error(error)}") from error


def _md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


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
        if _md5(answer.content) == file.md5_gz:
            return answer.content
        reasons.append(f"{mirror}: the MD5 differs")
    raise MissingDatasetError(f"{file.name}.gz could not be downloaded ({'; '.join(reasons)})")
