"""The validation share: stratified, seeded, and never empty where a class has two examples."""

import numpy as np
import pytest

from shared.data.splits import Split
from shared.data.validation import hold_out
from shared.errors import InvalidRequestError


def make_split(counts: list[int]) -> Split:
    """Return a split with so many examples of each class. The first pixel of each picture is its index."""
    labels = np.repeat(np.arange(len(counts)), counts)
    labels = np.random.default_rng(0).permutation(labels)
    images = np.zeros((len(labels), 2, 2, 1), np.uint8)
    images[:, 0, 0, 0] = np.arange(len(labels))
    return Split(images, labels.astype(np.int64))


def indices(split: Split) -> list[int]:
    return split.images[:, 0, 0, 0].tolist()


@pytest.mark.parametrize("share", [0.01, 0.1, 0.25, 0.5])
def test_each_class_gives_the_same_share_and_nothing_is_lost(share: float) -> None:
    whole = make_split([100, 40, 20])
    found = hold_out(whole, share, seed=3)
    assert sorted(indices(found.train) + indices(found.validation)) == list(range(160))
    assert indices(found.train) == sorted(indices(found.train))
    counts = np.bincount(found.validation.labels, minlength=3).tolist()
    assert counts == [max(1, round(share * count)) for count in (100, 40, 20)]
    for part in (found.train, found.validation):
        assert (part.labels == whole.labels[indices(part)]).all()


def test_the_share_depends_on_the_seed_only() -> None:
    whole = make_split([30, 30])
    first, again, other = (hold_out(whole, 0.2, seed) for seed in (5, 5, 6))
    assert indices(first.validation) == indices(again.validation) != indices(other.validation)


def test_a_class_of_one_example_stays_in_training() -> None:
    found = hold_out(make_split([1, 2]), 0.5, seed=0)
    assert np.bincount(found.train.labels).tolist() == [1, 1]
    assert found.validation.labels.tolist() == [1]


def test_classes_of_one_example_each_cannot_be_held_out() -> None:
    with pytest.raises(InvalidRequestError, match="no class has two training examples"):
        hold_out(make_split([1, 1]), 0.5, seed=0)
