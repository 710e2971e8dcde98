"""Datasets are verified on their way in, and read and ordered the same everywhere."""

import gzip
import hashlib
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import load_digits

from shared.data import batches, datasets
from shared.data.datasets import DIGITS, MNIST, Dataset, IdxFile, Split
from shared.errors import InvalidRequestError, MissingDatasetError
from shared.settings import Settings


def settings(cache: Path, data: Path | None = None) -> Settings:
    return Settings.from_env({"TANDEM_CACHE_DIR": str(cache), "TANDEM_DATA_DIR": str(data or cache / "nothing")})


def small_dataset(folder: Path) -> tuple[Dataset, Split]:
    """Five made-up 2 x 3 pictures as gzipped IDX files; train and test alike."""
    split = Split(np.arange(30, dtype=np.uint8).reshape(5, 2, 3, 1), np.array([0, 1, 2, 1, 0], np.int64))
    images = b"\0\0\x08\x03" + b"".join(n.to_bytes(4, "big") for n in (5, 2, 3)) + split.images.tobytes()
    labels = b"\0\0\x08\x01" + (5).to_bytes(4, "big") + split.labels.astype(np.uint8).tobytes()
    files = []
    (folder / "small").mkdir()
    for name, data in (("a", images), ("b", labels), ("c", images), ("d", labels)):
        (folder / "small" / f"{name}.gz").write_bytes(gzip.compress(data))
        files.append(IdxFile(name, len(data), "", hashlib.md5(data).hexdigest()))
    return Dataset("small", (2, 3, 1), ("x", "y", "z"), {"train": 5, "test": 5}, "Small/raw", tuple(files)), split


def test_the_embedded_digits_are_scikit_learns() -> None:
    theirs = load_digits()
    expected = sorted(
        (np.rint(image * 255 / 16).astype(np.uint8).tobytes(), int(label))
        for image, label in zip(theirs.images, theirs.target, strict=True)
    )
    ours = [datasets.read_neutral(DIGITS, split) for split in ("train", "test")]
    found = sorted(
        (image.tobytes(), int(label)) for split in ours for image, label in zip(split.images, split.labels, strict=True)
    )
    assert found == expected
    assert {name: len(split) for name, split in zip(("train", "test"), ours, strict=True)} == DIGITS.sizes


def test_the_split_of_the_digits_is_stratified() -> None:
    counts = np.bincount(datasets.read_neutral(DIGITS, "test").labels)
    assert counts.max() - counts.min() <= 2


def test_a_dataset_is_unpacked_from_the_users_folder_and_read(tmp_path: Path) -> None:
    found, split = small_dataset(tmp_path)
    where = settings(tmp_path / "cache", tmp_path)
    assert not datasets.is_ready(found, where)
    datasets.ensure_cached(found, where)
    assert datasets.is_ready(found, where)
    assert datasets.fingerprint(datasets.read(found, "train", where)) == datasets.fingerprint(split)


def test_a_file_that_is_not_the_published_one_is_refused_and_not_kept(tmp_path: Path) -> None:
    found, _ = small_dataset(tmp_path)
    (tmp_path / "small" / "a.gz").write_bytes(gzip.compress(b"something else"))
    with pytest.raises(MissingDatasetError, match="MD5 differs"):
        datasets.ensure_cached(found, settings(tmp_path / "cache", tmp_path))
    assert not list((tmp_path / "cache").rglob("*.*"))


def test_a_file_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    found, _ = small_dataset(tmp_path)
    packed = tmp_path / "small" / "a.gz"
    packed.write_bytes(packed.read_bytes()[:-9])
    with pytest.raises(MissingDatasetError, match="cannot be unpacked"):
        datasets.ensure_cached(found, settings(tmp_path / "cache", tmp_path))


def test_a_dataset_that_is_nowhere_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(MissingDatasetError, match="set TANDEM_DATA_DIR"):
        datasets.ensure_cached(MNIST, settings(tmp_path))


def test_an_unknown_dataset_is_told_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequestError, match="mnist, fashion-mnist, digits"):
        datasets.find("imagenet", settings(tmp_path))


def test_the_real_mnist_is_verified_and_has_its_shape(tmp_path: Path) -> None:
    folder = os.environ.get("TANDEM_DATA_DIR")
    if not folder or not (Path(folder) / "mnist").is_dir():
        pytest.skip("MNIST is not here: set TANDEM_DATA_DIR to a folder that holds mnist/*.gz")
    where = settings(tmp_path, Path(folder))
    datasets.ensure_cached(MNIST, where)
    test = datasets.read(MNIST, "test", where)
    assert test.images.shape == (10_000, 28, 28, 1)
    assert test.labels[:5].tolist() == [7, 2, 1, 0, 4]


def test_a_fingerprint_changes_with_a_pixel_a_label_and_a_shape() -> None:
    split = Split(np.zeros((2, 4, 4, 1), np.uint8), np.zeros(2, np.int64))
    pixel, label = split.images.copy(), split.labels.copy()
    pixel[1, 3, 3, 0] = label[1] = 1
    variants = [
        split,
        Split(pixel, split.labels),
        Split(split.images, label),
        Split(split.images.reshape(2, 2, 8, 1), split.labels),
    ]
    assert len({datasets.fingerprint(variant) for variant in variants}) == 4


@given(st.integers(0, 2**32 - 1), st.integers(1, 1000), st.integers(1, 300))
def test_an_order_is_a_permutation_and_depends_on_seed_and_epoch_alone(seed: int, epoch: int, count: int) -> None:
    order = batches.order(seed, epoch, count)
    assert sorted(order) == list(range(count))
    assert np.array_equal(order, batches.order(seed, epoch, count))
    assert order.dtype == np.int64


def test_epochs_and_seeds_differ_in_their_order() -> None:
    orders = {batches.order(seed, epoch, 100).tobytes() for seed in range(5) for epoch in range(5)}
    assert len(orders) == 25
