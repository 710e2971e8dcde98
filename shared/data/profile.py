"""The profile of a split: what a manifest keeps of the data that a model was trained and tested on.

A release compares the data of a new model with the profile of the released model's data, which may be gone by then. A
profile has the same size for every dataset: at most about 40 kB as JSON. This module does no I/O.
"""

import base64
import hashlib
from collections.abc import Mapping
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

BINS = 16  # of the histogram of pixel values: each has 16 of the 256 values
MEAN_SIDE = 8  # the mean picture has at most 8 x 8 cells
MAX_DIGESTS = 2048
PART = 1024  # pictures that are counted at once
DIGEST_BYTES = 4
_RECORD = np.dtype([("digest", "<u4"), ("label", "<u2")])


class SplitProfile(BaseModel):
    """What is kept of one split."""

    model_config = ConfigDict(frozen=True)

    counts: Annotated[list[int], Field(description="examples of each class")]
    histogram: Annotated[list[float], Field(description="the share of pixel values in each of 16 equal bins")]
    mean: Annotated[
        list[list[list[float]]],
        Field(description="the mean picture, pixel values from 0 to 255, reduced to at most 8 x 8 cells per channel"),
    ]
    every: Annotated[int, Field(description="about one of so many pictures is among the digests; 1 means all are")]
    digests: Annotated[
        str,
        Field(description="base64 of a digest (4 bytes) and a label (2 bytes) per picture, little-endian"),
    ]

    def known_labels(self) -> dict[int, int]:
        """Return the label of each picture that is among the digests, by its digest."""
        records = np.frombuffer(base64.b64decode(self.digests), _RECORD)
        return dict(zip(records["digest"].tolist(), records["label"].tolist(), strict=True))


class DataProfile(BaseModel):
    """What is kept of both splits."""

    model_config = ConfigDict(frozen=True)

    train: SplitProfile
    test: SplitProfile


def profile_split(images: NDArray[np.uint8], labels: NDArray[np.int64], classes: int) -> SplitProfile:
    """Return the profile of a split.

    Args:
        images: uint8 [N, H, W, C], at least one picture.
        labels: int64 [N].
        classes: how many classes the dataset has.
    """
    digests = digest_pictures(images)
    every = -(-len(digests) // MAX_DIGESTS)
    is_kept = digests % every == 0
    records = np.zeros(int(is_kept.sum()), _RECORD)
    records["digest"], records["label"] = digests[is_kept], labels[is_kept]
    values = _count_values(images)
    mean = images.mean(0, keepdims=True, dtype=np.float64)
    return SplitProfile(
        counts=np.bincount(labels, minlength=classes).tolist(),
        histogram=[round(float(share), 6) for share in values / values.sum()],
        mean=[
            [[round(float(value), 2) for value in cell] for cell in row] for row in reduce_pictures(mean, MEAN_SIDE)[0]
        ],
        every=every,
        digests=base64.b64encode(records.tobytes()).decode(),
    )


def digest_pictures(images: NDArray[np.uint8]) -> NDArray[np.uint32]:
    """Return a digest of 32 bits per picture: the first bytes of its BLAKE2b hash.

    Equal pictures have equal digests. Among 60,000 different pictures, some two may have
    equal digests by chance, so a digest is evidence about many pictures, and no proof about one.

    Args:
        images: uint8 [N, H, W, C].
    """
    rows = np.ascontiguousarray(images).reshape(len(images), -1)
    found = b"".join(hashlib.blake2b(row.data, digest_size=DIGEST_BYTES).digest() for row in rows)
    return np.frombuffer(found, "<u4")


def reduce_pictures(images: NDArray[np.uint8] | NDArray[np.float64], side: int) -> NDArray[np.float32]:
    """Return pictures with at most `side` cells per axis. Each cell is the mean of a block of pixels.

    Args:
        images: [N, H, W, C].
        side: the largest height and width of the result.

    Returns:
        float32 [N, h, w, C], in the range of the pixels.
    """
    pictures = images.astype(np.float32)
    for axis in (1, 2):
        length = pictures.shape[axis]
        if length > side:
            edges = np.arange(side + 1) * length // side
            shape = [1] * pictures.ndim
            shape[axis] = side
            widths = np.diff(edges).reshape(shape).astype(np.float32)
            pictures = np.add.reduceat(pictures, edges[:-1], axis, dtype=np.float32) / widths
    return pictures


def _count_values(images: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return how many pixel values fall into each bin. Counting needs 8 bytes per value, so it goes part by part."""
    counts = np.zeros(BINS, np.int64)
    for start in range(0, len(images), PART):
        counts += np.bincount(images[start : start + PART].ravel() // (256 // BINS), minlength=BINS)
    return counts


def label_drift(old: SplitProfile, new: SplitProfile) -> float:
    """Return how far the shares of the classes have moved, from 0 to 1: their total variation distance.

    Args:
        old: the one profile.
        new: the other one, of as many classes.
    """
    shares = [np.array(profile.counts) / max(1, sum(profile.counts)) for profile in (old, new)]
    return float(np.abs(shares[0] - shares[1]).sum() / 2)


def pixel_drift(old: SplitProfile, new: SplitProfile) -> Mapping[str, float]:
    """Return how far the pixels have moved, as fractions of the range of a pixel.

    Args:
        old: the one profile.
        new: the other one, of pictures of the same shape.

    Returns:
        `values`: the Wasserstein distance of the two histograms (inverted pictures have a large one); `places`: the
        mean absolute difference of the two mean pictures (transposed pictures have a large one).
    """
    levels = [np.cumsum(profile.histogram) for profile in (old, new)]
    values = float(np.abs(levels[0] - levels[1]).sum() / BINS)
    places = float(np.abs(np.array(old.mean) - np.array(new.mean)).mean() / 255)
    return {"values": values, "places": places}
