"""Whether the backends rank the trials alike, compared with SciPy."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from services.pipelines.search.agreement import compare_rankings
from shared.jobs.searches import SearchTrial, TrialBackend


def make_trials(losses: dict[str, list[float]]) -> list[SearchTrial]:
    count = len(next(iter(losses.values())))
    return [
        SearchTrial(
            number=number + 1,
            parameters={},
            status="finished",
            value=0.0,
            backends={
                backend: TrialBackend(validation_loss=values[number], validation_accuracy=None, epochs=1)
                for backend, values in losses.items()
            },
        )
        for number in range(count)
    ]


@pytest.mark.parametrize("noise", [0.0, 0.3, 3.0])
def test_the_rank_correlation_is_scipys_and_lies_in_its_interval(noise: float) -> None:
    random = np.random.default_rng(1)
    first = random.integers(0, 12, 30).astype(float)  # some values are equal
    second = first + noise * random.normal(size=30)
    trials = make_trials({"one": first.tolist(), "two": second.tolist()})
    (found,) = compare_rankings([*trials, SearchTrial(number=31, parameters={})], ["one", "two"], seed=0)
    assert found.trials == 30
    assert found.rank_correlation == pytest.approx(spearmanr(first, second).statistic)
    low, value, high = found.low or 0, found.rank_correlation or 0, found.high or 0
    assert low <= value <= high
    assert found.winners == {"one": 1 + int(np.argmin(first)), "two": 1 + int(np.argmin(second))}


def test_every_pair_of_backends_is_compared() -> None:
    trials = make_trials({"a": [1.0, 2.0, 3.0], "b": [1.0, 2.0, 3.0], "c": [3.0, 2.0, 1.0]})
    found = compare_rankings(trials, ["a", "b", "c"], seed=0)
    assert [(pair.backends, pair.rank_correlation, pair.same_winner) for pair in found] == [
        (["a", "b"], pytest.approx(1), True),
        (["a", "c"], pytest.approx(-1), False),
        (["b", "c"], pytest.approx(-1), False),
    ]


def test_too_few_or_equal_trials_have_no_correlation() -> None:
    assert compare_rankings([], ["a", "b"], seed=0) == []
    for losses in ([1.0, 2.0], [1.0, 1.0, 1.0]):
        (pair,) = compare_rankings(make_trials({"a": losses, "b": losses}), ["a", "b"], seed=0)
        assert (pair.rank_correlation, pair.low, pair.high, pair.same_winner) == (None, None, None, True)
