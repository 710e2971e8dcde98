"""The gate `data` compares only what can be compared: pictures of the same shape and the same classes."""

import numpy as np
import pytest

from services.pipelines.gateway_client import GatewayClient
from services.pipelines.release.data import check_data
from services.pipelines.release.subject import ReleasedVersion, Subject
from shared.data.splits import Split
from shared.jobs.releases import DataGate
from shared.models.manifest import DataFingerprints, Manifest
from shared.network.description import PRESETS


def version(number: int, size: int, classes: tuple[str, ...] = ("a", "b")) -> ReleasedVersion:
    network = PRESETS["mlp"].network((size, size, 1), len(classes))
    data = DataFingerprints(dataset="pets", train="", test="")
    manifest = Manifest.model_construct(backend="toy", network=network, classes=classes, data=data)
    return ReleasedVersion("pets", number, {"toy": manifest})


def subject(candidate: ReleasedVersion, stable: ReleasedVersion) -> Subject:
    shape = candidate.first.network.input_shape
    split = Split(np.zeros((40, *shape), np.uint8), np.arange(40) % len(candidate.first.classes))
    found = Subject(GatewayClient("http://127.0.0.1:1", ""), None, candidate, stable)  # type: ignore[arg-type]
    found.__dict__.update(train=split, test=split)  # instead of reading them from the gateway
    return found


@pytest.mark.parametrize(
    ("stable", "problem"),
    [
        (version(1, size=4), "the shape of the pictures is [12, 12, 1], and that of stable's is [4, 4, 1]"),
        (version(1, size=12, classes=("b", "a")), "the classes are a, b, and those of stable are b, a"),
    ],
)
def test_a_version_of_another_kind_than_stable_is_refused_before_anything_is_measured(
    stable: ReleasedVersion, problem: str
) -> None:
    outcome = check_data(subject(version(2, size=12), stable), DataGate())
    assert problem in outcome.summary
    assert "drift" not in outcome.figures
