"""What the manifests say about the number of trainers, as `scaler_model.py` plays it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

SCALING = Path("deploy/kubernetes/base/scaling.yaml")
DEFAULT_STABILIZATION_S = 300.0  # of an HPA that may lower the number

Figure = Literal["unfinished", "queued"]


@dataclass(frozen=True)
class ScalerSettings:
    """What a ScaledObject says about the number of replicas.

    Attributes:
        figure: what is polled: jobs that are queued or run, or those that are queued only.
        target: jobs per replica.
        least: replicas at least.
        most: replicas at most.
        poll_s: seconds between two polls.
        cooldown_s: seconds without work until the last replicas are stopped.
        step_up: pods that may be started in one sync.
        lowers: whether the HPA may stop pods.
        stabilization_s: seconds for which the HPA keeps the largest number that it wanted.
    """

    figure: Figure
    target: float
    least: int
    most: int
    poll_s: float
    cooldown_s: float
    step_up: int
    lowers: bool
    stabilization_s: float

    @classmethod
    def from_manifest(cls, spec: Mapping[str, Any]) -> "ScalerSettings":
        """Return the settings in the `spec` of a ScaledObject with one trigger `metrics-api`."""
        (trigger,) = spec["triggers"]
        behavior = spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
        down = behavior["scaleDown"]
        assert trigger["type"] == "metrics-api"
        assert trigger["metadata"]["valueLocation"].endswith(".unfinished")
        assert behavior["scaleUp"]["stabilizationWindowSeconds"] == 0
        return cls(
            figure="unfinished",
            target=float(trigger["metadata"]["targetValue"]),
            least=spec["minReplicaCount"],
            most=spec["maxReplicaCount"],
            poll_s=spec["pollingInterval"],
            cooldown_s=spec["cooldownPeriod"],
            step_up=sum(policy["value"] for policy in behavior["scaleUp"]["policies"]),
            lowers=down.get("selectPolicy") != "Disabled",
            stabilization_s=down.get("stabilizationWindowSeconds", DEFAULT_STABILIZATION_S),
        )


def read_settings(name: str = "pytorch-trainer", path: Path = SCALING) -> ScalerSettings:
    """Return the settings of a trainer's ScaledObject in the manifests."""
    for document in yaml.safe_load_all(path.read_text()):
        if document["kind"] == "ScaledObject" and document["metadata"]["name"] == name:
            return ScalerSettings.from_manifest(document["spec"])
    raise LookupError(name)
