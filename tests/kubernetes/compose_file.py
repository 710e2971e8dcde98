"""The services of docker-compose.yml, in the words in which they are compared with the manifests."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

_UNITS = {"g": 2**30, "m": 2**20, "Gi": 2**30, "Mi": 2**20}
NOT_IN_THE_CLUSTER = {
    "secrets": "services/gateway/cluster_secrets.py makes the secrets",
    "tandem": "users run the command on their own machines",
    "tensorboard": "it has no access control",
}
"""Services of docker-compose.yml without a manifest, and the reasons."""


@dataclass(frozen=True)
class ComposeService:
    """What docker-compose.yml says about a service, with no variable set.

    Attributes:
        image: its name.
        command: its words; none for the command of the image.
        environment: the variables. Those with an empty value are left out, because an empty variable means its default.
        mounts: path in the container -> name of the volume, or the path of the folder on the host.
        read_only_paths: those of `mounts` that it may only read.
        memory_bytes: its limit.
        cores: its limit.
        networks: the networks that it is in.
        health: the words of its health check.
        is_one_shot: whether it ends by itself.
        stop_grace_s: seconds between SIGTERM and SIGKILL.
    """

    image: str
    command: list[str]
    environment: dict[str, str]
    mounts: dict[str, str]
    read_only_paths: set[str]
    memory_bytes: int
    cores: float
    networks: set[str]
    health: list[str]
    is_one_shot: bool
    stop_grace_s: int


def read_services() -> dict[str, ComposeService]:
    """Return the services that have to be in the cluster, too."""
    document = yaml.safe_load(Path("docker-compose.yml").read_text())
    services = document["services"]
    assert NOT_IN_THE_CLUSTER.keys() <= services.keys()
    return {name: _parse(service) for name, service in services.items() if name not in NOT_IN_THE_CLUSTER}


def to_bytes(text: str) -> int:
    """Return a size in bytes: `768m` of Compose, or `768Mi` of Kubernetes."""
    number, unit = re.fullmatch(r"(\d+)(\w+)", text).groups()  # type: ignore[union-attr]
    return int(number) * _UNITS[unit]


def _interpolate(text: object) -> str:
    """Fill in variables as Compose does when none is set."""
    filled = re.sub(r"\$\{\w+(?::?-([^}]*))?\}", lambda found: found[1] or "", str(text))
    return filled.replace("$$", "$")


def _parse(service: dict[str, Any]) -> ComposeService:
    for key, expected in {"init": True, "read_only": True, "tmpfs": ["/tmp"], "cap_drop": ["ALL"]}.items():
        assert service[key] == expected
    environment = {name: _interpolate(value) for name, value in service.get("environment", {}).items()}
    volumes = [_interpolate(volume).split(":") for volume in service.get("volumes", [])]
    test = service.get("healthcheck", {}).get("test", [])
    return ComposeService(
        image=service["image"],
        command=service.get("command", "").split(),
        environment={name: value for name, value in environment.items() if value},
        mounts={parts[1]: parts[0] for parts in volumes},
        read_only_paths={parts[1] for parts in volumes if parts[2:] == ["ro"]},
        memory_bytes=to_bytes(service["mem_limit"]),
        cores=service["cpu_quota"] / 100_000,
        networks=set(service["networks"]),
        health=[_interpolate(word) for word in test],
        is_one_shot=service["restart"] == "no",
        stop_grace_s=int(service["stop_grace_period"].rstrip("s")),
    )
