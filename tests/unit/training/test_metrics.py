"""Evaluation figures, compared with scikit-learn and SciPy."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from shared.training.metrics import accuracy_difference, class_report, compare_predictions, mcnemar_p_value

CLASSES = ["ant", "bee", "cat"]


def one_hot(predicted: list[int]) -> np.ndarray:
    return np.eye(3, dtype=np.float32)[predicted]


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=60))
def test_the_figures_equal_those_of_scikit_learn(pairs: list[tuple[int, int]]) -> None:
    labels, predicted = np.array(pairs).T
    ours = class_report(labels, one_hot(predicted), CLASSES)
    theirs = precision_recall_fscore_support(labels, predicted, labels=[0, 1, 2], zero_division=np.nan)
    assert ours.confusion == confusion_matrix(labels, predicted, labels=[0, 1, 2]).tolist()
    for index, figures in enumerate(ours.per_class):
        assert figures.name == CLASSES[index]
        has_examples = bool((labels == index).any())
        expected = [theirs[0][index], theirs[1][index], theirs[2][index] if has_examples else np.nan]
        found = [figures.precision, figures.recall, figures.f1]
        assert [np.nan if figure is None else figure for figure in found] == pytest.approx(expected, nan_ok=True)


def test_figures_that_cannot_be_computed_are_none() -> None:
    """No example is a cat. The model takes an ant for a cat, and finds no bee."""
    report = class_report(np.array([0, 0, 1]), one_hot([0, 2, 0]), CLASSES)
    ant, bee, cat = report.per_class
    assert (ant.precision, ant.recall, ant.f1) == (0.5, 0.5, 0.5)
    assert (bee.precision, bee.recall, bee.f1) == (None, 0.0, 0.0)
    assert (cat.precision, cat.recall, cat.f1) == (0.0, None, None)
    assert report.confusion[2] == [0, 0, 0]
    unused = class_report(np.array([0, 1]), one_hot([0, 1]), CLASSES).per_class[2]
    assert json.loads(unused.model_dump_json()) == {"class": "cat", "precision": None, "recall": None, "f1": None}


def test_a_comparison_counts_and_names_the_disagreements() -> None:
    labels = np.array([0, 1, 2, 2])
    pair = {"a": one_hot([0, 1, 2, 0]), "b": one_hot([0, 2, 2, 1]) * np.float32(0.75)}
    found = compare_predictions(labels, pair)
    assert found.backends == ["a", "b"]
    assert found.agreement == 0.5
    assert found.max_probability_difference == 1.0
    assert found.disagreements == [
        {"index": 1, "label": 1, "a": 1, "b": 2},
        {"index": 3, "label": 2, "a": 0, "b": 1},
    ]


def test_equal_predictions_agree_entirely() -> None:
    same = one_hot([0, 1, 2])
    assert compare_predictions(np.array([0, 1, 2]), {"a": same, "b": same}).agreement == 1


@settings(deadline=None)
@given(st.integers(0, 400), st.integers(0, 400))
def test_the_p_value_equals_that_of_scipys_exact_binomial_test(only_first: int, only_second: int) -> None:
    tosses = only_first + only_second
    theirs = binomtest(only_first, tosses).pvalue if tosses else 1.0
    assert mcnemar_p_value(only_first, only_second) == pytest.approx(theirs, rel=1e-9)


def test_the_p_value_is_exact_for_many_examples() -> None:
    assert mcnemar_p_value(30_000, 30_000) == 1.0
    assert mcnemar_p_value(0, 60_000) == 0.0


def test_a_comparison_counts_examples_that_only_one_model_classified_correctly() -> None:
    labels = np.array([0, 1, 2, 2])
    found = compare_predictions(labels, {"a": one_hot([0, 1, 2, 0]), "b": one_hot([1, 1, 0, 1])})
    assert found.mcnemar.model_dump() == {"only": {"a": 2, "b": 0}, "p_value": 0.5}
    assert found.accuracy_difference.value == 0.5


@pytest.mark.parametrize(("only_first", "only_second", "count"), [(30, 10, 200), (3, 3, 50), (0, 5, 40)])
def test_the_interval_equals_that_of_a_bootstrap_over_examples(only_first: int, only_second: int, count: int) -> None:
    outcomes = np.repeat([1, -1, 0], [only_first, only_second, count - only_first - only_second])
    drawn = np.random.default_rng(1).choice(outcomes, (10_000, count)).mean(axis=1)
    low, high = np.quantile(drawn, [0.025, 0.975])
    found = accuracy_difference(only_first, only_second, count)
    assert found.value == pytest.approx((only_first - only_second) / count)
    # Both are random: their quantiles differ by a step or two of 1 / count.
    assert found.low == pytest.approx(low, abs=2.5 / count)
    assert found.high == pytest.approx(high, abs=2.5 / count)
    assert found == accuracy_difference(only_first, only_second, count)


def test_the_difference_of_equal_models_is_zero() -> None:
    assert accuracy_difference(0, 0, 100).model_dump() == {"value": 0.0, "low": 0.0, "high": 0.0}
