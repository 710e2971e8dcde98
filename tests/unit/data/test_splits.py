"""Splits hold the data they should, and fingerprints tell different data apart."""

import os
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

from shared.data.cache import ensure_cached
from shared.data.catalog import DIGITS, MNIST
from shared.data.splits import Split, fingerprint, read, read_uncached
from shared.settings import Settings


def test_the_embedded_digits_are_those_of_scikit_learn() -> None:
    original = load_digits()
    expected = sorted(
        (np.rint(image * 255 / 16).astype(np.uint8).tobytes(), int(label))
        for image, label in zip(original.images, original.target, strict=True)
    )
    embedded = [read_uncached(DIGITS, split) for split in ("train", "test")]
    actual = sorted(
        (image.tobytes(), int(label))
        for split in embedded
        for image, label in zip(split.images, split.labels, strict=True)
    )
    assert actual == expected
    assert {name: len(split) for name, split in zip(("train", "test"), embedded, strict=True)} == DIGITS.sizes


def test_the_split_of_the_digits_is_stratified() -> None:
    counts = np.bincount(read_uncached(DIGITS, "test").labels)
    assert counts.max() - counts.min() <= 2


def test_mnist_has_its_shape_and_labels(tmp_path: Path) -> None:
    folder = os.environ.get("TANDEM_DATA_DIR")
    if not folder or not (Path(folder) / "mnist").is_dir():
        pytest.skip("MNIST is not on this machine: set TANDEM_DATA_DIR to a folder that holds mnist/*.gz")
    settings = Settings.from_env({"TANDEM_CACHE_DIR": str(tmp_path), "TANDEM_DATA_DIR": folder})
    ensure_cached(MNIST, settings)
    test = read(MNIST, "test", settings)
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
    assert len({fingerprint(variant) for variant in variants}) == 4
