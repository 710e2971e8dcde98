"""The statistics of the gates, compared with SciPy and with data whose defects are known."""

import numpy as np
import pytest
from scipy.stats import binomtest, norm

from services.pipelines.release.intervals import highest_plausible_share, is_share_below, lower_bound_of_loss
from services.pipelines.release.neighbours import estimate_noise, find_copies
from shared.data import datasets
from shared.data.splits import Split
from shared.settings import Settings


@pytest.fixture(scope="module")
def digits() -> tuple[Split, Split]:
    settings = Settings.from_env({})
    found = datasets.find("digits", settings)
    return datasets.read(found, "train", settings), datasets.read(found, "test", settings)


def test_the_bound_of_a_loss_is_that_of_the_normal_approximation_for_many_pictures() -> None:
    only_old, only_new, count = 300, 200, 10_000
    variance = (only_old + only_new - (only_old - only_new) ** 2 / count) / count**2
    expected = (only_old - only_new) / count - norm.ppf(0.95) * variance**0.5
    assert lower_bound_of_loss(only_old, only_new, count, 0.95) == pytest.approx(expected, abs=2e-4)


def test_models_that_are_equally_good_have_a_bound_below_zero() -> None:
    assert lower_bound_of_loss(5, 5, 360, 0.95) < 0
    assert lower_bound_of_loss(0, 0, 360, 0.95) == 0


def test_a_share_is_below_another_only_if_that_is_no_chance() -> None:
    assert is_share_below(70, 100, 0.95, 100, 0.99)
    assert not is_share_below(93, 100, 0.95, 100, 0.99)
    assert not is_share_below(0, 0, 0.95, 100, 0.99)


@pytest.mark.parametrize(("hits", "count"), [(0, 1), (1, 1), (0, 50), (93, 100), (1897, 2000), (10_000, 10_000)])
def test_the_highest_plausible_share_is_that_of_scipy(hits: int, count: int) -> None:
    interval = binomtest(hits, count).proportion_ci(confidence_level=0.95, method="wilson")
    assert highest_plausible_share(hits, count, 0.975) == pytest.approx(interval.high)


def test_copies_are_found_with_and_without_noise_and_honest_splits_have_none(digits: tuple[Split, Split]) -> None:
    train, test = digits
    assert len(find_copies(test, train)[0]) == 0
    rng = np.random.default_rng(0)
    for noise in (0, 4, 8):
        noisy = np.clip(test.images[:50] + rng.normal(0, noise, test.images[:50].shape), 0, 255).astype(np.uint8)
        leaky = Split(np.concatenate([train.images, noisy]), np.concatenate([train.labels, test.labels[:50]]))
        found, examined = find_copies(test, leaky)
        assert examined == len(test)
        assert len(np.intersect1d(found, np.arange(50))) >= 48
        assert len(found) <= 50


@pytest.mark.parametrize("share", [0.0, 0.1, 0.3, 1.0])
def test_the_share_of_random_labels_is_estimated(digits: tuple[Split, Split], share: float) -> None:
    train, _ = digits
    rng = np.random.default_rng(0)
    labels, chosen = train.labels.copy(), rng.permutation(len(train))[: round(share * len(train))]
    labels[chosen] = rng.permutation(labels[chosen])
    noisy = Split(train.images, labels)
    estimate, _ = estimate_noise(noisy, noisy, 10, is_same=True)
    assert estimate == pytest.approx(0.9 * share, abs=0.06)
