"""Files of a dataset are verified before they are stored in the cache."""

import gzip
import hashlib
from pathlib import Path

import numpy as np
import pytest

from shared.data.cache import ensure_cached, is_ready
from shared.data.catalog import MNIST, Dataset, IdxFile
from shared.data.splits import Split, fingerprint, read
from shared.errors import MissingDatasetError
from shared.settings import Settings


def settings_for(cache: Path, data: Path | None = None) -> Settings:
    return Settings.from_env({"TANDEM_CACHE_DIR": str(cache), "TANDEM_DATA_DIR": str(data or cache / "nothing")})


def small_dataset(folder: Path) -> tuple[Dataset, Split]:
    """Write a dataset of five pictures of 2 x 3 as gzipped IDX files. Both splits are the same."""
    split = Split(np.arange(30, dtype=np.uint8).reshape(5, 2, 3, 1), np.array([0, 1, 2, 1, 0], np.int64))
    images = b"\0\0\x08\x03" + b"".join(n.to_bytes(4, "big") for n in (5, 2, 3)) + split.images.tobytes()
    labels = b"\0\0\x08\x01" + (5).to_bytes(4, "big") + split.labels.astype(np.uint8).tobytes()
    files = []
    (folder / "small").mkdir()
    for name, data in (("a", images), ("b", labels), ("c", images), ("d", labels)):
        (folder / "small" / f"{name}.gz").write_bytes(gzip.compress(data))
        files.append(IdxFile(name, len(data), "", hashlib.md5(data).hexdigest()))
    return Dataset("small", (2, 3, 1), ("x", "y", "z"), {"train": 5, "test": 5}, "Small/raw", tuple(files)), split


def test_a_dataset_is_unpacked_from_the_users_folder_and_can_be_read(tmp_path: Path) -> None:
    dataset, split = small_dataset(tmp_path)
    settings = settings_for(tmp_path / "cache", tmp_path)
    assert not is_ready(dataset, settings)
    ensure_cached(dataset, settings)
    assert is_ready(dataset, settings)
    assert fingerprint(read(dataset, "train", settings)) == fingerprint(split)


def test_a_file_with_another_checksum_is_refused_and_not_stored(tmp_path: Path) -> None:
    dataset, _ = small_dataset(tmp_path)
    (tmp_path / "small" / "a.gz").write_bytes(gzip.compress(b"something else"))
    with pytest.raises(MissingDatasetError, match="MD5 differs"):
        ensure_cached(dataset, settings_for(tmp_path / "cache", tmp_path))
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    dataset, _ = small_dataset(tmp_path)
    packed = tmp_path / "small" / "a.gz"
    packed.write_bytes(packed.read_bytes()[:-9])
    with pytest.raises(MissingDatasetError, match="cannot be unpacked"):
        ensure_cached(dataset, settings_for(tmp_path / "cache", tmp_path))


def test_the_error_for_a_missing_dataset_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(
        MissingDatasetError, match=r"set TANDEM_DATA_DIR .*'mnist' .*train-images-idx3-ubyte\.gz.*python -m shared"
    ):
        ensure_cached(MNIST, settings_for(tmp_path))
