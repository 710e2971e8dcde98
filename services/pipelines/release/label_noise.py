"""Label noise: labels that contradict each other, the data of `stable`, the nearest pictures, or the `stable` model."""

import numpy as np
from numpy.typing import NDArray

from services.pipelines.release.answers import ask
from services.pipelines.release.intervals import is_share_below
from services.pipelines.release.neighbours import estimate_noise
from services.pipelines.release.outcome import GateOutcome
from services.pipelines.release.subject import SPLITS, Subject, draw, sample
from shared.data.catalog import SplitName
from shared.data.profile import digest_pictures
from shared.jobs.releases import DataGate, GatePicture

MAX_PICTURES_ASKED = 5_000
MAX_REFERENCE = 10_000
SURE = 0.99
"""Confidence of the test with the answers of `stable`: an honest dataset fails it in one of a hundred cases at most."""


def check_contradictions(subject: Subject, limits: DataGate, outcome: GateOutcome) -> None:
    """Look for equal pictures with different labels: within the dataset, and between it and the data of `stable`."""
    both = [subject.split(split) for split in SPLITS]
    digests = np.concatenate([digest_pictures(split.images) for split in both])
    labels = np.concatenate([split.labels for split in both])
    first = dict(zip(digests[::-1].tolist(), labels[::-1].tolist(), strict=True))
    is_contradicted = np.array([first[digest] for digest in digests.tolist()]) != labels
    _judge(subject, is_contradicted, len(labels), "an equal picture has another label", limits, outcome, "inside")
    known = _labels_known_to_stable(subject)
    is_known = np.isin(digests, np.array(list(known), np.uint32))
    differs = np.array(
        [known.get(digest, label) != label for digest, label in zip(digests.tolist(), labels.tolist(), strict=True)]
    )
    outcome.figures["known_to_stable"] = int(is_known.sum())
    why = "it had another label in the data of stable"
    _judge(subject, differs, int(is_known.sum()), why, limits, outcome, "against_stable")


def _judge(
    subject: Subject,
    is_contradicted: NDArray[np.bool_],
    count: int,
    why: str,
    limits: DataGate,
    outcome: GateOutcome,
    figure: str,
) -> None:
    """Compare the share of contradicted labels with the limit.

    Args:
        subject: the candidate.
        is_contradicted: bool [train + test].
        count: of how many pictures a contradiction could have been noticed.
        why: what a contradiction is.
        limits: of the gate.
        outcome: gets the finding.
        figure: the name of the figure.
    """
    share = float(is_contradicted.sum() / max(1, count))
    outcome.figures.setdefault("contradictions", {})[figure] = share
    if share > limits.max_label_noise:
        outcome.problems.append(f"for {share:.1%} of the labels, {why}; {limits.max_label_noise:.1%} are allowed")
    if is_contradicted.any():
        border = len(subject.train)
        for place in np.flatnonzero(is_contradicted).tolist():
            split: SplitName = "train" if place < border else "test"
            outcome.show([GatePicture(split=split, index=place if split == "train" else place - border, why=why)])


def _labels_known_to_stable(subject: Subject) -> dict[int, int]:
    """Return the label of each picture in the data of `stable`, by digest: from the data or else from the profile."""
    if subject.stable is None:
        return {}
    if data := subject.stable_data:
        return {
            digest: label
            for split in SPLITS
            for digest, label in zip(
                digest_pictures(data[split].images).tolist(), data[split].labels.tolist(), strict=True
            )
        }
    if profile := subject.stable.profile:
        return profile.train.known_labels() | profile.test.known_labels()
    return {}


def check_neighbours(subject: Subject, limits: DataGate, outcome: GateOutcome) -> None:
    """Estimate from the nearest training pictures how many labels were drawn at random, in each split."""
    classes = len(subject.candidate.first.classes)
    reference = sample(subject.train, MAX_REFERENCE)
    figures = outcome.figures["random_labels"] = {}
    for split in SPLITS:
        examined = reference if split == "train" else subject.test
        share, doubtful = estimate_noise(examined, reference, classes, is_same=split == "train")
        figures[split] = share
        if share > limits.max_label_noise:
            outcome.problems.append(
                f"about {share:.1%} of the labels of the {split} split look random beside those of similar pictures, "
                f"and {limits.max_label_noise:.1%} are allowed"
            )
            if len(examined) == len(subject.split(split)):
                outcome.show(
                    GatePicture(split=split, index=int(index), why="similar pictures have another label")
                    for index in doubtful
                )


def check_answers_of_stable(subject: Subject, limits: DataGate, outcome: GateOutcome) -> None:
    """Let `stable` classify both splits. It should do as well as on its own test pictures.

    Swapped classes, random labels, and inverted or transposed pictures make it do much worse.
    """
    stable = subject.stable
    if stable is None:
        return
    expected = stable.first.metrics.test_accuracy * (1 - limits.max_label_noise)
    count_before = sum(stable.profile.test.counts) if stable.profile else len(subject.test)
    figures = outcome.figures["accuracy_of_stable"] = {"before": stable.first.metrics.test_accuracy}
    for split in SPLITS:
        data = subject.split(split)
        places = draw(len(data), MAX_PICTURES_ASKED)
        images, labels = data.images[places], data.labels[places]
        found = ask(subject.client, stable.name, stable.version, stable.first.backend, images).argmax(1)
        hits = int((found == labels).sum())
        figures[split] = hits / len(labels)
        if is_share_below(hits, len(labels), expected, count_before, SURE):
            outcome.problems.append(
                f"stable has only {hits / len(labels):.1%} of the {split} pictures, "
                f"and had {stable.first.metrics.test_accuracy:.1%} of its own test pictures: "
                "their labels or their pixels differ from before"
            )
            _show_wrong(subject, split, places, labels, found, outcome)


def _show_wrong(
    subject: Subject,
    split: SplitName,
    places: NDArray[np.int64],
    labels: NDArray[np.int64],
    found: NDArray[np.int64],
    outcome: GateOutcome,
) -> None:
    classes = subject.candidate.first.classes
    outcome.show(
        GatePicture(
            split=split,
            index=int(places[wrong]),
            why=f"its label is {classes[labels[wrong]]}, and stable says {classes[found[wrong]]}",
        )
        for wrong in np.flatnonzero(found != labels)
    )
