"""The schema of the KEDA objects that the manifests contain: the fields that we use, and no others.

kubernetes-validate knows no custom resources. Written after https://keda.sh/docs/2.18/reference/scaledobject-spec/, and
after the pages of the triggers and of TriggerAuthentication. A misspelt field is an error.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, HttpUrl, model_validator

Count = Annotated[int, Field(ge=0)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Metadata(_Strict):
    """Of every object."""

    name: str
    namespace: str
    labels: dict[str, str]


class SecretReference(_Strict):
    """A parameter of a trigger, from a file of a secret."""

    parameter: str
    name: str
    key: str


class TriggerAuthenticationSpec(_Strict):
    """Where the parameters of a trigger come from."""

    secretTargetRef: list[SecretReference]  # noqa: N815 - KEDA's name


class TriggerAuthentication(_Strict):
    """How a trigger logs in."""

    apiVersion: Literal["keda.sh/v1alpha1"]  # noqa: N815
    kind: Literal["TriggerAuthentication"]
    metadata: Metadata
    spec: TriggerAuthenticationSpec


class ScalingPolicy(_Strict):
    """A bound for the steps of the autoscaler."""

    type: Literal["Pods", "Percent"]
    value: Annotated[int, Field(ge=1)]
    periodSeconds: Annotated[int, Field(ge=1, le=1800)]  # noqa: N815


class ScalingRules(_Strict):
    """The steps in one direction."""

    stabilizationWindowSeconds: Annotated[int, Field(ge=0, le=3600)] | None = None  # noqa: N815
    selectPolicy: Literal["Max", "Min", "Disabled"] | None = None  # noqa: N815
    policies: list[ScalingPolicy] | None = None


class Behavior(_Strict):
    """The steps in both directions."""

    scaleUp: ScalingRules  # noqa: N815
    scaleDown: ScalingRules  # noqa: N815


class AutoscalerConfig(_Strict):
    """What KEDA passes on to the autoscaler."""

    behavior: Behavior


class Advanced(_Strict):
    """The section `advanced`."""

    horizontalPodAutoscalerConfig: AutoscalerConfig  # noqa: N815


class Name(_Strict):
    """A reference to another object."""

    name: str


class MetricsApi(_Strict):
    """A figure in a JSON document. All values are texts."""

    url: HttpUrl
    valueLocation: str  # noqa: N815
    targetValue: Annotated[str, Field(pattern=r"^\d+(\.\d+)?$")]  # noqa: N815
    activationTargetValue: Annotated[str, Field(pattern=r"^\d+(\.\d+)?$")]  # noqa: N815
    authMode: Literal["bearer"]  # noqa: N815


class Use(_Strict):
    """Per cent of what the pods request."""

    value: Annotated[str, Field(pattern=r"^\d+$")]


class MetricsApiTrigger(_Strict):
    """The trigger `metrics-api`."""

    type: Literal["metrics-api"]
    metricType: Literal["AverageValue", "Value"]  # noqa: N815
    metadata: MetricsApi
    authenticationRef: Name  # noqa: N815


class CpuTrigger(_Strict):
    """The trigger `cpu`."""

    type: Literal["cpu"]
    metricType: Literal["Utilization", "AverageValue"]  # noqa: N815
    metadata: Use


class ScaledObjectSpec(_Strict):
    """How many replicas a Deployment has."""

    scaleTargetRef: Name  # noqa: N815
    minReplicaCount: Count  # noqa: N815
    maxReplicaCount: Count  # noqa: N815
    pollingInterval: Annotated[int, Field(ge=1)] = 30  # noqa: N815
    cooldownPeriod: Count = 300  # noqa: N815
    initialCooldownPeriod: Count = 0  # noqa: N815
    advanced: Advanced
    triggers: list[Annotated[MetricsApiTrigger | CpuTrigger, Field(discriminator="type")]]

    @model_validator(mode="after")
    def _check_counts(self) -> "ScaledObjectSpec":
        if self.minReplicaCount > self.maxReplicaCount:
            raise ValueError("minReplicaCount is larger than maxReplicaCount")
        if self.minReplicaCount == 0 and all(trigger.type == "cpu" for trigger in self.triggers):
            raise ValueError("without pods nothing uses a processor: minReplicaCount must be at least 1")
        return self


class ScaledObject(_Strict):
    """A Deployment whose number of replicas KEDA sets."""

    apiVersion: Literal["keda.sh/v1alpha1"]  # noqa: N815
    kind: Literal["ScaledObject"]
    metadata: Metadata
    spec: ScaledObjectSpec


SCHEMAS: dict[str, type[BaseModel]] = {"ScaledObject": ScaledObject, "TriggerAuthentication": TriggerAuthentication}
