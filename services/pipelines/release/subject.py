"""What a release is about: the version to release, the version that is `stable` now, and the data of both."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from services.pipelines.gateway_client import GatewayClient, RefusedError
from services.pipelines.submitted_jobs import SubmittedJobs
from shared.data.catalog import SplitName
from shared.data.profile import DataProfile
from shared.data.splits import Split, fingerprint
from shared.errors import ConflictError, NotFoundError, TandemError
from shared.models.manifest import DataFingerprints, Manifest

SPLITS: tuple[SplitName, ...] = ("train", "test")


@dataclass(frozen=True)
class ReleasedVersion:
    """A version of a model and its manifests.

    Attributes:
        name: the model.
        version: the version.
        manifests: by backend, for every backend that has the version.
    """

    name: str
    version: int
    manifests: dict[str, Manifest]

    @property
    def first(self) -> Manifest:
        """The manifest of the first backend. Those of the others have the same classes and the same data."""
        return next(iter(self.manifests.values()))

    @property
    def data(self) -> DataFingerprints:
        """The dataset that the version was trained on, and its fingerprints."""
        return self.first.data

    @property
    def profile(self) -> DataProfile | None:
        """The profile of that data; None for versions that were published before there were profiles."""
        return self.first.data_profile


@dataclass(frozen=True)
class Subject:
    """What the gates of one release look at.

    Attributes:
        client: the client of the gateway.
        jobs: submits what the gates need, such as an evaluation.
        candidate: the version to release.
        stable: the version that is `stable` now; None if there is none.
    """

    client: GatewayClient
    jobs: SubmittedJobs
    candidate: ReleasedVersion
    stable: ReleasedVersion | None

    @property
    def backends(self) -> list[str]:
        """The backends whose models are checked."""
        return list(self.candidate.manifests)

    @cached_property
    def train(self) -> Split:
        """The candidate's training split; raises as `read_split`."""
        return read_split(self.client, self.candidate.data, "train")

    @cached_property
    def test(self) -> Split:
        """The candidate's test split; raises as `read_split`."""
        return read_split(self.client, self.candidate.data, "test")

    @cached_property
    def stable_data(self) -> dict[SplitName, Split] | None:
        """The splits that `stable` was trained and tested on, or None if they are not on this machine any more."""
        if self.stable is None:
            return None
        if self.stable.data == self.candidate.data:
            return {"train": self.train, "test": self.test}
        try:
            return {split: read_split(self.client, self.stable.data, split) for split in SPLITS}
        except (ConflictError, RefusedError):
            return None

    def split(self, name: SplitName) -> Split:
        """Return a split of the candidate's data; raises as `read_split`."""
        return self.train if name == "train" else self.test


def read_version(client: GatewayClient, name: str, version: int, backends: list[str] | None = None) -> ReleasedVersion:
    """Return a version and its manifests.

    Args:
        client: the client of the gateway.
        name: the model.
        version: the version.
        backends: those that have it, in the order of the answer; by default whichever have.

    Raises:
        NotFoundError: one of the backends does not have the version.
        ConflictError: another backend has it, too.
        RefusedError: nobody has it, or a manifest is damaged.
    """
    found = client.get(f"/v1/models/{name}?version={version}")["manifests"]
    if missing := [backend for backend in backends or [] if backend not in found]:
        raise NotFoundError(f"{', '.join(missing)} has no version {version} of {name} any more")
    if backends and (unchecked := [backend for backend in found if backend not in backends]):
        raise ConflictError(
            f"{', '.join(unchecked)} has version {version} of {name}, too, and `stable` moves for every backend: "
            "release all of them together"
        )
    ordered = sorted(found, key=backends.index) if backends else sorted(found)
    manifests = {backend: Manifest.model_validate(found[backend]) for backend in ordered}
    return ReleasedVersion(name, version, manifests)


def read_split(client: GatewayClient, data: DataFingerprints, split: SplitName) -> Split:
    """Return a split as it was when a model was trained on it.

    Raises:
        ConflictError: the split has changed since.
        RefusedError: the dataset is not on this machine any more.
    """
    try:
        found = client.read_split(data.dataset, split)
    except ValueError as error:
        raise TandemError(f"the {split} split of {data.dataset} cannot be read: {error}") from None
    if fingerprint(found) != getattr(data, split):
        raise ConflictError(
            f"the {split} split of {data.dataset} is not the one that the model was trained with: "
            "the dataset has changed since. Train again on the data as it is now"
        )
    return found


def sample(split: Split, most: int) -> Split:
    """Return a split, or so many of its pictures in their order. Equal splits give equal samples."""
    if len(split) <= most:
        return split
    chosen = draw(len(split), most)
    return Split(split.images[chosen], split.labels[chosen])


def draw(count: int, most: int) -> NDArray[np.int64]:
    """Return the numbers from 0 to `count` - 1, or so many of them, ascending."""
    if count <= most:
        return np.arange(count)
    return np.sort(np.random.Generator(np.random.PCG64(0)).permutation(count)[:most])
