"""The manifests as `kubectl apply -k` would send them, and what they say about each service."""

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path("deploy/kubernetes")
BASE, OVERLAYS = "base", ("overlays/local", "overlays/gpu", "overlays/s3")
BUILDS = (BASE, *OVERLAYS)
TOOLS = Path(".venv/kubernetes/bin")
WORKLOADS = ("Deployment", "StatefulSet", "Job")
NETWORK_LABEL = "networks.tandem/"

Manifest = dict[str, Any]


def build(name: str | Path) -> str:
    """Return what `kubectl kustomize` prints for the base, an overlay, or another folder (an absolute path)."""
    command = [str(TOOLS / "kubectl"), "kustomize", str(FOLDER / name)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@dataclass(frozen=True)
class Workload:
    """A service in the cluster: its Deployment, StatefulSet or Job, and its main container.

    Attributes:
        name: of the service, as in docker-compose.yml.
        kind: of the object.
        labels: of its pods.
        pod: the specification of its pods.
        container: its only container besides those that run before it.
    """

    name: str
    kind: str
    labels: dict[str, str]
    pod: Manifest
    container: Manifest

    @property
    def networks(self) -> set[str]:
        """The networks of docker-compose.yml whose labels its pods carry."""
        return {label.removeprefix(NETWORK_LABEL) for label in self.labels if label.startswith(NETWORK_LABEL)}

    @property
    def claims(self) -> dict[str, str]:
        """Name of a volume -> the claim behind it."""
        claims = {
            volume["name"]: volume["persistentVolumeClaim"]["claimName"]
            for volume in self.pod["volumes"]
            if "persistentVolumeClaim" in volume
        }
        return claims

    @property
    def secrets(self) -> dict[str, str]:
        """Name of a volume -> the secret behind it."""
        return {volume["name"]: volume["secret"]["secretName"] for volume in self.pod["volumes"] if "secret" in volume}


class Build:
    """All manifests of the base or of an overlay.

    Args:
        text: what `kubectl kustomize` printed.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.manifests: list[Manifest] = list(yaml.safe_load_all(text))

    def of_kind(self, *kinds: str) -> Iterator[Manifest]:
        """Yield the manifests of some kinds."""
        return (manifest for manifest in self.manifests if manifest["kind"] in kinds)

    def named(self, kind: str, name: str) -> Manifest:
        """Return the manifest of a kind and a name."""
        (found,) = (one for one in self.of_kind(kind) if one["metadata"]["name"] == name)
        return found

    @property
    def workloads(self) -> dict[str, Workload]:
        """Name -> each service."""
        found = {}
        for manifest in self.of_kind(*WORKLOADS):
            name, template = manifest["metadata"]["name"], manifest["spec"]["template"]
            (container,) = template["spec"]["containers"]
            found[name] = Workload(name, manifest["kind"], template["metadata"]["labels"], template["spec"], container)
        return found

    @property
    def settings(self) -> dict[str, str]:
        """The settings that every service gets."""
        (found,) = self.of_kind("ConfigMap")
        return found["data"]

    def environment_of(self, name: str) -> dict[str, str]:
        """Return the variables of a service's container."""
        container = self.workloads[name].container
        shared = self.settings if container.get("envFrom") else {}
        return {**shared, **{entry["name"]: entry["value"] for entry in container.get("env", [])}}
