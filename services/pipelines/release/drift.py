"""Drift: how far the data of a version are from those of `stable`, by the profiles in the manifests."""

from services.pipelines.release.outcome import GateOutcome
from services.pipelines.release.subject import SPLITS, Subject
from shared.data.profile import DataProfile, label_drift, pixel_drift, profile_split
from shared.jobs.releases import DataGate


def check_drift(subject: Subject, limits: DataGate, outcome: GateOutcome) -> None:
    """Compare class shares, pixel values and mean pictures of both splits with those of `stable`.

    Args:
        subject: the candidate and `stable`.
        limits: of the gate `data`.
        outcome: gets the findings.
    """
    if subject.stable is None:
        return
    old = _profile_of_stable(subject)
    if old is None:
        outcome.remarks.append(
            f"stable (version {subject.stable.version}) is older than the profiles in manifests and its data is gone: "
            "drift could not be measured"
        )
        return
    classes = len(subject.candidate.first.classes)
    figures = outcome.figures["drift"] = {}
    for split in SPLITS:
        data = subject.split(split)
        before, now = getattr(old, split), profile_split(data.images, data.labels, classes)
        labels, pixels = label_drift(before, now), pixel_drift(before, now)
        figures[split] = {"labels": labels, **pixels}
        if labels > limits.max_label_drift:
            outcome.problems.append(
                f"the shares of the classes in the {split} split moved by {labels:.1%} from those of stable, "
                f"and {limits.max_label_drift:.1%} is allowed"
            )
        if max(pixels.values()) > limits.max_pixel_drift:
            outcome.problems.append(
                f"the pixels of the {split} split moved by {max(pixels.values()):.1%} from those of stable, "
                f"and {limits.max_pixel_drift:.1%} is allowed"
            )


def _profile_of_stable(subject: Subject) -> DataProfile | None:
    """Return the profile of the data of `stable`: from its manifest, or else from the data, if it is still here."""
    assert subject.stable is not None, "called with a stable version"
    if subject.stable.profile:
        return subject.stable.profile
    if subject.stable_data is None:
        return None
    classes, data = len(subject.stable.first.classes), subject.stable_data
    profiles = {split: profile_split(data[split].images, data[split].labels, classes) for split in SPLITS}
    return DataProfile(train=profiles["train"], test=profiles["test"])
