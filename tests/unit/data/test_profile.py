"""The profile of a split: what a release compares later data with."""

import numpy as np
import pytest

from shared.data import datasets
from shared.data.profile import (
    MAX_DIGESTS,
    SplitProfile,
    digest_pictures,
    label_drift,
    pixel_drift,
    profile_split,
    reduce_pictures,
)
from shared.data.splits import Split
from shared.settings import Settings

RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def digits() -> Split:
    settings = Settings.from_env({})
    return datasets.read(datasets.find("digits", settings), "train", settings)


def profile(images: np.ndarray, labels: np.ndarray) -> SplitProfile:
    return profile_split(images, labels, 10)


def test_a_profile_survives_json_and_knows_every_label_of_a_small_split(digits: Split) -> None:
    found = SplitProfile.model_validate_json(profile(digits.images, digits.labels).model_dump_json())
    assert found.counts == np.bincount(digits.labels).tolist()
    assert found.every == 1
    known = found.known_labels()
    assert [known[digest] for digest in digest_pictures(digits.images).tolist()] == digits.labels.tolist()


def test_the_profile_of_a_large_split_knows_some_labels_and_stays_small() -> None:
    images, labels = RNG.integers(0, 256, (50_000, 4, 4, 1), np.uint8), RNG.integers(0, 10, 50_000)
    found = profile(images, labels)
    known = found.known_labels()
    assert MAX_DIGESTS / 2 < len(known) < 2 * MAX_DIGESTS
    digests = digest_pictures(images)
    assert all(
        known[digest] == label for digest, label in zip(digests.tolist(), labels, strict=True) if digest in known
    )
    assert len(found.model_dump_json()) < 40_000


def test_equal_pictures_have_equal_digests_and_others_have_others(digits: Split) -> None:
    distinct = len(np.unique(digits.images.reshape(len(digits), -1), axis=0))
    assert len(np.unique(digest_pictures(digits.images))) == distinct
    changed = digits.images.copy()
    changed[:, 0, 0, 0] ^= 1
    assert not np.isin(digest_pictures(changed), digest_pictures(digits.images)).any()


@pytest.mark.parametrize("shape", [(28, 28, 1), (5, 30, 3), (8, 8, 1), (17, 16, 1)])
def test_a_reduced_picture_has_the_mean_of_each_block(shape: tuple[int, int, int]) -> None:
    images = RNG.integers(0, 256, (2, *shape), np.uint8)
    reduced = reduce_pictures(images, 8)
    assert reduced.shape[1:] == (min(8, shape[0]), min(8, shape[1]), shape[2])
    height, width = (length // 8 if length > 8 else 1 for length in shape[:2])
    first = images[:, :height, :width].astype(float).mean((1, 2))
    np.testing.assert_allclose(reduced[:, 0, 0], first, rtol=1e-5)


def test_equal_data_have_no_drift_and_planted_changes_have_some(digits: Split) -> None:
    old = profile(digits.images, digits.labels)
    assert label_drift(old, old) == 0
    assert pixel_drift(old, old) == {"values": 0, "places": 0}
    inverted = profile(255 - digits.images, digits.labels)
    assert pixel_drift(old, inverted)["values"] > 0.2
    transposed = profile(digits.images.transpose(0, 2, 1, 3), digits.labels)
    assert pixel_drift(old, transposed)["values"] == 0
    assert pixel_drift(old, transposed)["places"] > 0.1
    without_zeros = digits.labels != 0
    some = profile(digits.images[without_zeros], digits.labels[without_zeros])
    assert label_drift(old, some) == pytest.approx(np.mean(digits.labels == 0))
