"""Nearest neighbours among pictures: finds copies with noise, and labels that their neighbours contradict."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shared.data.profile import reduce_pictures
from shared.data.splits import Split

SIDE = 14  # pictures are compared with at most 14 x 14 cells per channel
MAX_PAIRS = 20_000_000  # of pictures that are compared for one question
PART = 256  # queries at once
NEIGHBOURS = 6
COPY_RATIO = 0.33
"""A picture is a copy if its nearest neighbour is so much nearer than the median of its next five.

Among the digits and MNIST, the smallest ratio of pictures that are no copies is 0.39. Copies of MNIST's pictures with
noise of a standard deviation of 8 (of 255) have ratios up to 0.31.
"""
VOTERS = 5
AGREEING = 4  # of the voters
ENOUGH = 0.1  # of the pictures have neighbours that agree, unless most labels are random


@dataclass(frozen=True)
class Neighbours:
    """The nearest pictures of some queries.

    Attributes:
        queries: int64 [Q], the indices of the pictures whose neighbours were looked for.
        distances: float32 [Q, k], ascending.
        indices: int64 [Q, k], of the neighbours.
    """

    queries: NDArray[np.int64]
    distances: NDArray[np.float32]
    indices: NDArray[np.int64]


def find_copies(test: Split, train: Split) -> tuple[NDArray[np.int64], int]:
    """Return which test pictures are also in the training split, up to noise.

    Args:
        test: the test split. If it is large, a sample of it is examined.
        train: the training split.

    Returns:
        The indices of the copies, and how many test pictures were examined.
    """
    if len(train) < NEIGHBOURS:
        return np.zeros(0, np.int64), 0
    found = _find_neighbours(test, train, MAX_PAIRS // len(train), NEIGHBOURS)
    typical = np.median(found.distances[:, 1:], axis=1)
    is_copy = found.distances[:, 0] <= COPY_RATIO * typical
    return found.queries[is_copy], len(found.queries)


def estimate_noise(split: Split, reference: Split, classes: int, is_same: bool) -> tuple[float, NDArray[np.int64]]:
    """Estimate which share of the labels of a split was drawn at random, from the labels of the nearest pictures.

    Only pictures count whose neighbours agree, as long as there are enough of them. Classes that look alike are
    confused for good reasons, but few pairs of classes look alike. Random labels confuse all pairs. So the middle half
    of the pairs of classes tells the two apart.

    Args:
        split: whose labels are examined; of a large split, a sample.
        reference: the pictures whose labels are taken for granted.
        classes: how many there are.
        is_same: whether both splits are the same one: then a picture is no neighbour of itself.

    Returns:
        The estimate, from 0 to 1, and the indices of the pictures whose label all neighbours contradict.
    """
    if len(reference) <= VOTERS or classes < 3:
        return 0.0, np.zeros(0, np.int64)
    found = _find_neighbours(split, reference, MAX_PAIRS // len(reference), VOTERS, is_same)
    votes = np.zeros((len(found.queries), classes), np.int64)
    np.add.at(votes, (np.arange(len(votes))[:, None], reference.labels[found.indices]), 1)
    labels, seen = split.labels[found.queries], votes.argmax(1)
    is_sure = votes.max(1) >= AGREEING
    if is_sure.mean() < ENOUGH:
        is_sure[:] = True
    confusion = np.zeros((classes, classes))
    np.add.at(confusion, (seen[is_sure], labels[is_sure]), 1)
    shares = confusion / np.maximum(1, confusion.sum(1, keepdims=True))
    apart = shares[~np.eye(classes, dtype=bool)]
    is_doubtful = (votes.max(1) == VOTERS) & (seen != labels)
    # The median of few counts is 0 or too coarse; the mean of the middle half of the pairs is not.
    middle = np.sort(apart)[len(apart) // 4 : -(len(apart) // 4) or None]
    return float(middle.mean() * (classes - 1)), found.queries[is_doubtful]


def _find_neighbours(split: Split, reference: Split, most: int, count: int, is_same: bool = False) -> Neighbours:
    """Return the nearest pictures of a sample of a split.

    Args:
        split: whose pictures are the queries.
        reference: the pictures that are looked at.
        most: how many queries there are at most.
        count: how many neighbours each gets.
        is_same: whether both splits are the same one.
    """
    queries = np.arange(len(split))
    if len(queries) > most:
        queries = np.sort(np.random.Generator(np.random.PCG64(0)).permutation(queries)[: max(1, most)])
    asked, known = _flatten(split.images[queries]), _flatten(reference.images)
    squares = (known * known).sum(1)
    distances, indices = [], []
    for start in range(0, len(asked), PART):
        part = asked[start : start + PART]
        square = squares - 2 * part @ known.T + (part * part).sum(1)[:, None]
        if is_same:
            square[np.arange(len(part)), queries[start : start + PART]] = np.inf
        nearest = np.argpartition(square, count - 1, axis=1)[:, :count]
        values = np.take_along_axis(square, nearest, 1)
        order = values.argsort(1)
        indices.append(np.take_along_axis(nearest, order, 1))
        distances.append(np.sqrt(np.maximum(np.take_along_axis(values, order, 1), 0)))
    return Neighbours(queries, np.concatenate(distances), np.concatenate(indices))


def _flatten(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    return reduce_pictures(images, SIDE).reshape(len(images), -1)
