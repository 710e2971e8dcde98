"""Evaluation figures, held against scikit-learn and SciPy."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from shared.training.metrics import accuracy_difference, comparison, mcnemar, summary

CLASSES = ["ant", "bee", "cat"]


def one_hot(predicted: list[int]) -> np.ndarray:
    return np.eye(3, dtype=np.float32)[predicted]


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=60))
def test_the_figures_are_scikit_learns(pairs: list[tuple[int, int]]) -> None:
    labels, predicted = np.array(pairs).T
    ours = summary(labels, one_hot(predicted), CLASSES)
    theirs = precision_recall_fscore_support(labels, predicted, labels=[0, 1, 2], zero_division=0)
    assert ours["confusion"] == confusion_matrix(labels, predicted, labels=[0, 1, 2]).tolist()
    for index, figures in enumerate(ours["per_class"]):
        assert figures["class"] == CLASSES[index]
        found = [figures["precision"], figures["recall"], figures["f1"]]
        assert found == pytest.approx([theirs[0][index], theirs[1][index], theirs[2][index]])


def test_a_comparison_counts_and_names_the_disagreements() -> None:
    labels = np.array([0, 1, 2, 2])
    pair = {"a": one_hot([0, 1, 2, 0]), "b": one_hot([0, 2, 2, 1]) * np.float32(0.75)}
    found = comparison(labels, pair)
    assert found["backends"] == ["a", "b"]
    assert found["agreement"] == 0.5
    assert found["max_probability_difference"] == 1.0
    assert found["disagreements"] == [
        {"index": 1, "label": 1, "a": 1, "b": 2},
        {"index": 3, "label": 2, "a": 0, "b": 1},
    ]


def test_equal_answers_agree_entirely() -> None:
    same = one_hot([0, 1, 2])
    assert comparison(np.array([0, 1, 2]), {"a": same, "b": same})["agreement"] == 1


@given(st.integers(0, 400), st.integers(0, 400))
def test_mcnemars_test_is_scipys_exact_binomial_test(only_first: int, only_second: int) -> None:
    tosses = only_first + only_second
    theirs = binomtest(only_first, tosses).pvalue if tosses else 1.0
    assert mcnemar(only_first, only_second) == pytest.approx(theirs, rel=1e-9)


def test_mcnemars_test_takes_any_number_of_examples() -> None:
    assert mcnemar(30_000, 30_000) == 1.0
    assert mcnemar(0, 60_000) == 0.0


def test_a_comparison_counts_what_only_one_got_right() -> None:
    labels = np.array([0, 1, 2, 2])
    found = comparison(labels, {"a": one_hot([0, 1, 2, 0]), "b": one_hot([1, 1, 0, 1])})
    assert found["mcnemar"] == {"only": {"a": 2, "b": 0}, "p_value": 0.5}
    assert found["accuracy_difference"]["value"] == 0.5


@pytest.mark.parametrize(("only_first", "only_second", "count"), [(30, 10, 200), (3, 3, 50), (0, 5, 40)])
def test_the_interval_is_that_of_a_bootstrap_that_draws_examples(only_first: int, only_second: int, count: int) -> None:
    outcomes = np.repeat([1, -1, 0], [only_first, only_second, count - only_first - only_second])
    drawn = np.random.default_rng(1).choice(outcomes, (10_000, count)).mean(axis=1)
    low, high = np.quantile(drawn, [0.025, 0.975])
    found = accuracy_difference(only_first, only_second, count)
    assert found["value"] == pytest.approx((only_first - only_second) / count)
    # Both are drawn: their quantiles differ by a step or two of 1 / count.
    assert found["low"] == pytest.approx(low, abs=2.5 / count)
    assert found["high"] == pytest.approx(high, abs=2.5 / count)
    assert found == accuracy_difference(only_first, only_second, count)


def test_equal_models_differ_by_nothing() -> None:
    assert accuracy_difference(0, 0, 100) == {"value": 0.0, "low": 0.0, "high": 0.0}
