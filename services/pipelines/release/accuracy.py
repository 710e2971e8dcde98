"""The gate `accuracy`: the version is not worse than `stable` by more than a margin.

Both models classify the same pictures: the test pictures of both, without those that either was trained on. So a
dataset whose splits were drawn anew does not favour the older model. Each backend is compared with itself.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.pipelines.release.answers import ask
from services.pipelines.release.intervals import detectable_loss, is_share_below, lower_bound_of_loss
from services.pipelines.release.outcome import GateOutcome
from services.pipelines.release.subject import ReleasedVersion, Subject
from shared.data.profile import digest_pictures
from shared.data.splits import Split
from shared.jobs.releases import AccuracyGate, GatePicture

MAX_PICTURES_ASKED = 10_000
FEW = 0.5  # if fewer than this share of the test pictures can be compared in pairs, the totals are compared, too


@dataclass(frozen=True)
class UnseenPictures:
    """Pictures that neither model was trained on.

    Attributes:
        split: the pictures and their labels.
        indices: of each picture in the candidate's test split; -1 for a test picture of `stable` only.
    """

    split: Split
    indices: NDArray[np.int64]


def check_accuracy(subject: Subject, limits: AccuracyGate) -> GateOutcome:
    """Compare the candidate's accuracy with that of `stable`, or without one with the largest class.

    Args:
        subject: the candidate and `stable`.
        limits: the margin and the confidence.

    Raises:
        TandemError: a model gives no predictions.
    """
    if subject.stable is None:
        return _check_floor(subject, limits)
    stable = subject.stable
    candidate = subject.candidate.first
    if stable.first.classes != candidate.classes or stable.first.network.input_shape != candidate.network.input_shape:
        return GateOutcome(
            problems=["the version has other classes or pictures of another size than stable: they cannot be compared"]
        )
    unseen = find_unseen_pictures(subject)
    outcome = GateOutcome(figures={"pictures": len(unseen.split), "margin": limits.margin, "backends": {}})
    for backend in (one for one in subject.backends if one in stable.manifests):
        if len(unseen.split):
            _compare_in_pairs(subject, stable, backend, unseen, limits, outcome)
        if len(unseen.split) < FEW * len(subject.test):
            _compare_totals(subject, stable, backend, limits, outcome)
    return outcome


def find_unseen_pictures(subject: Subject) -> UnseenPictures:
    """Return the test pictures of the candidate and of `stable` that neither was trained on; at most 10,000."""
    test, images, labels = subject.test, [subject.test.images], [subject.test.labels]
    indices = [np.arange(len(test))]
    if (data := subject.stable_data) and subject.stable and subject.stable.data != subject.candidate.data:
        images.append(data["test"].images)
        labels.append(data["test"].labels)
        indices.append(np.full(len(data["test"]), -1))
    everything = Split(np.concatenate(images), np.concatenate(labels))
    digests, places = digest_pictures(everything.images), np.concatenate(indices)
    is_unseen = ~np.isin(digests, digest_pictures(subject.train.images))
    is_unseen &= ~_was_seen_by_stable(subject, digests)
    chosen = np.flatnonzero(is_unseen)
    chosen = chosen[np.sort(np.unique(digests[chosen], return_index=True)[1])]  # a picture of both counts once
    if len(chosen) > MAX_PICTURES_ASKED:
        chosen = np.sort(np.random.Generator(np.random.PCG64(0)).permutation(chosen)[:MAX_PICTURES_ASKED])
    return UnseenPictures(Split(everything.images[chosen], everything.labels[chosen]), places[chosen])


def _was_seen_by_stable(subject: Subject, digests: NDArray[np.uint32]) -> NDArray[np.bool_]:
    """Return for each picture whether `stable` was trained on it, as far as is known.

    If the data of `stable` is gone, its profile tells. A profile of a large split knows a part of the pictures. If any
    of these was seen, then pictures that the profile does not know count as seen, too.
    """
    assert subject.stable is not None, "called with a stable version"
    if subject.stable_data:
        return np.isin(digests, digest_pictures(subject.stable_data["train"].images))
    profile = subject.stable.profile
    if profile is None:
        return np.zeros(len(digests), bool)
    was_seen = np.isin(digests, np.array(list(profile.train.known_labels()), np.uint32))
    if was_seen.mean() > 0.01 / profile.train.every:
        was_seen |= digests % profile.train.every != 0
    return was_seen


def _compare_in_pairs(
    subject: Subject,
    stable: ReleasedVersion,
    backend: str,
    unseen: UnseenPictures,
    limits: AccuracyGate,
    outcome: GateOutcome,
) -> None:
    images, labels = unseen.split.images, unseen.split.labels
    new = ask(subject.client, subject.candidate.name, subject.candidate.version, backend, images).argmax(1)
    old = ask(subject.client, stable.name, stable.version, backend, images).argmax(1)
    is_only_old, is_only_new = (old == labels) & (new != labels), (old != labels) & (new == labels)
    only_old, only_new, count = int(is_only_old.sum()), int(is_only_new.sum()), len(labels)
    low = lower_bound_of_loss(only_old, only_new, count, limits.confidence)
    accuracies = {"version": float((new == labels).mean()), "stable": float((old == labels).mean())}
    noticed = detectable_loss(only_old, only_new, count, limits.margin, limits.confidence)
    outcome.figures["backends"][backend] = {
        **accuracies,
        "only_version": only_new,
        "only_stable": only_old,
        "loss": (only_old - only_new) / count,
        "loss_at_least": low,
        "detectable_loss": noticed,
    }
    said = f"{accuracies['version']:.2%} of {count:,} pictures, and stable has {accuracies['stable']:.2%}"
    if low > limits.margin:
        outcome.problems.append(
            f"{backend} has {said}: worse by at least {low:.2%}, and {limits.margin:.2%} is allowed"
        )
    else:
        outcome.remarks.append(f"{backend} has {said} (a loss of {noticed:.1%} would be noticed)")
    classes = subject.candidate.first.classes
    outcome.show(
        GatePicture(
            split="test",
            index=int(unseen.indices[place]),
            why=f"{classes[labels[place]]}: stable is right, and {backend} says {classes[new[place]]}",
        )
        for place in np.flatnonzero(is_only_old)
        if unseen.indices[place] >= 0
    )


def _compare_totals(
    subject: Subject, stable: ReleasedVersion, backend: str, limits: AccuracyGate, outcome: GateOutcome
) -> None:
    """Compare the accuracies of both models on their own test splits, where few pictures can be compared in pairs."""
    is_own = ~np.isin(digest_pictures(subject.test.images), digest_pictures(subject.train.images))
    images, labels = subject.test.images[is_own][:MAX_PICTURES_ASKED], subject.test.labels[is_own][:MAX_PICTURES_ASKED]
    new = ask(subject.client, subject.candidate.name, subject.candidate.version, backend, images).argmax(1)
    hits, before = int((new == labels).sum()), stable.manifests[backend].metrics.test_accuracy
    count_before = sum(stable.profile.test.counts) if stable.profile else len(labels)
    outcome.figures.setdefault("own_test_splits", {})[backend] = {
        "version": hits / max(1, len(labels)),
        "stable": before,
    }
    said = (
        f"{backend} has {hits / max(1, len(labels)):.2%} of its own test pictures, and stable had {before:.2%} of its"
    )
    if is_share_below(hits, len(labels), before - limits.margin, count_before, limits.confidence):
        outcome.problems.append(said)
    else:
        outcome.remarks.append(said)


def _check_floor(subject: Subject, limits: AccuracyGate) -> GateOutcome:
    """Check that the candidate beats a model that always answers the largest class."""
    labels = subject.test.labels[:MAX_PICTURES_ASKED]
    share = float(np.bincount(labels).max() / len(labels))
    outcome = GateOutcome(figures={"pictures": len(labels), "largest_class": share, "backends": {}})
    outcome.remarks.append("there is no stable version to compare with")
    for backend in subject.backends:
        images = subject.test.images[:MAX_PICTURES_ASKED]
        found = ask(subject.client, subject.candidate.name, subject.candidate.version, backend, images).argmax(1)
        hits = int((found == labels).sum())
        outcome.figures["backends"][backend] = {"version": hits / len(labels)}
        said = f"{backend} has {hits / len(labels):.2%}, and the largest class alone gives {share:.2%}"
        if is_share_below(len(labels) - hits, len(labels), 1 - share, 10**9, limits.confidence):
            outcome.remarks.append(said)
        else:
            outcome.problems.append(f"{said}: the model has learnt nothing")
    return outcome
