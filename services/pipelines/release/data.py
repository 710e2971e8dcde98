"""The gate `data`: what a version was trained and tested on is sound, and like the data of `stable`.

The gate looks at the pictures and labels themselves. If there is a `stable` version, it also compares them with the
data of that version, and lets that version classify them.
"""

import numpy as np

from services.pipelines.release import drift, label_noise
from services.pipelines.release.neighbours import find_copies
from services.pipelines.release.outcome import GateOutcome
from services.pipelines.release.subject import SPLITS, Subject
from shared.data.profile import digest_pictures
from shared.jobs.releases import DataGate, GatePicture


def check_data(subject: Subject, limits: DataGate) -> GateOutcome:
    """Examine the candidate's dataset.

    Args:
        subject: the candidate and `stable`.
        limits: of this gate.

    Raises:
        ConflictError: the dataset has changed since the candidate was trained.
        RefusedError: the dataset is not on this machine any more.
        TandemError: `stable` gives no predictions.
    """
    outcome = GateOutcome()
    outcome.figures["examples"] = {split: len(subject.split(split)) for split in SPLITS}
    _check_manifests(subject, outcome)
    _check_classes(subject, limits, outcome)
    if outcome.problems:
        return outcome  # the next checks need valid labels
    _check_duplicates(subject, limits, outcome)
    label_noise.check_contradictions(subject, limits, outcome)
    label_noise.check_neighbours(subject, limits, outcome)
    drift.check_drift(subject, limits, outcome)
    label_noise.check_answers_of_stable(subject, limits, outcome)
    counts = " and ".join(f"{len(subject.split(split)):,} {split} pictures" for split in SPLITS)
    outcome.remarks.insert(0, f"{counts} with valid labels, like the data of stable" if subject.stable else counts)
    return outcome


def _check_manifests(subject: Subject, outcome: GateOutcome) -> None:
    """Check that every backend's model was trained on the same data, and knows the same classes."""
    first = subject.candidate.first
    for backend, manifest in subject.candidate.manifests.items():
        if manifest.data != first.data or manifest.classes != first.classes:
            outcome.problems.append(f"{backend} and {first.backend} were trained on different data")


def _check_classes(subject: Subject, limits: DataGate, outcome: GateOutcome) -> None:
    """Check that pictures and classes are of stable's kind, that labels are valid, and that no class is too small."""
    classes, shape = subject.candidate.first.classes, subject.candidate.first.network.input_shape
    if subject.stable and subject.stable.first.network.input_shape != shape:
        outcome.problems.append(
            f"the shape of the pictures is {list(shape)}, and that of stable's is "
            f"{list(subject.stable.first.network.input_shape)}: release the version under another model name"
        )
    if subject.stable and subject.stable.first.classes != classes:
        outcome.problems.append(
            f"the classes are {_list(classes)}, and those of stable are {_list(subject.stable.first.classes)}: "
            "release the version under another model name"
        )
    outcome.figures["counts"] = {}
    for split, least in (("train", limits.min_examples_per_class), ("test", 1)):
        labels = subject.train.labels if split == "train" else subject.test.labels
        if len(labels) and (labels.min() < 0 or labels.max() >= len(classes)):
            outcome.problems.append(f"the {split} split has labels that are no class")
            continue
        counts = np.bincount(labels, minlength=len(classes))
        outcome.figures["counts"][split] = dict(zip(classes, counts.tolist(), strict=True))
        if few := [f"{classes[index]} ({counts[index]})" for index in np.flatnonzero(counts < least)]:
            outcome.problems.append(f"too few examples in the {split} split, at least {least} are needed: {_list(few)}")


def _check_duplicates(subject: Subject, limits: DataGate, outcome: GateOutcome) -> None:
    """Check that the test split measures what was not trained on."""
    test, train = subject.test, subject.train
    equal = np.flatnonzero(np.isin(digest_pictures(test.images), digest_pictures(train.images)))
    near, examined = find_copies(test, train)
    shares = {"exact": len(equal) / max(1, len(test)), "exact_or_near": len(near) / max(1, examined)}
    outcome.figures["duplicates"] = {**shares, "examined_for_near": examined}
    share = max(shares.values())
    if share > limits.max_duplicate_share:
        outcome.problems.append(
            f"{share:.1%} of the test pictures are in the training split, exactly or nearly, "
            f"and {limits.max_duplicate_share:.1%} are allowed"
        )
        found = np.union1d(equal, near)
        outcome.show(
            GatePicture(split="test", index=int(index), why="it is in the training split, too") for index in found
        )


def _list(names: tuple[str, ...] | list[str]) -> str:
    return ", ".join(names[:10]) + (", ..." if len(names) > 10 else "")
