"""Evaluation figures, held against scikit-learn."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from shared.metrics import comparison, summary

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
