"""The manifests and docker-compose.yml say the same about each service. A change of one side alone fails here."""

import re

import pytest

from services.gateway import health_check
from tests.compose.security_table import read_table
from tests.kubernetes.compose_file import ComposeService, read_services, to_bytes
from tests.kubernetes.manifests import Build

COMPOSE = read_services()
# Variables whose values differ, with the value in the cluster. settings.env gives the reasons.
OTHER_VALUES = {
    "TANDEM_BIND_HOST": {"gateway": "0.0.0.0"},
    "TANDEM_GATEWAY_URL": "http://gateway:8080",
    "TANDEM_PUBLIC_HOST": "tandem.example",
    "TANDEM_PUBLIC_PORT": "443",
    "TANDEM_SOCKET_DIR": "/tmp/sockets",
    "TANDEM_THREADS": "2",
}
# Paths that no pod has: folders of the host, and sockets, because gateways and predictors run on different nodes.
ONLY_IN_COMPOSE = re.compile(r"/own|/state/sockets/\w+")
SECRETS = {"keys": "job-key", "redis-users": "redis-users"}


@pytest.fixture(params=sorted(COMPOSE))
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def service(name: str) -> ComposeService:
    return COMPOSE[name]


def test_the_services_are_the_same(base: Build) -> None:
    assert base.workloads.keys() == COMPOSE.keys()


def test_the_image_and_the_command_are_the_same(base: Build, name: str, service: ComposeService) -> None:
    work = base.workloads[name]
    assert work.container["image"].partition(":")[0] == f"registry.example/{service.image}"
    assert work.container.get("args", []) == service.command
    assert "command" not in work.container
    assert (work.kind == "Job") == service.is_one_shot


def test_the_environment_is_the_same(base: Build, name: str, service: ComposeService) -> None:
    if name == "redis":
        return  # it reads no settings: its users lie in a secret
    expected = dict(service.environment)
    for variable, value in OTHER_VALUES.items():
        if isinstance(value, str):
            expected[variable] = value
        elif name in value:
            expected[variable] = value[name]
    assert base.environment_of(name) == expected


def test_the_volumes_are_the_same_and_read_only_where_they_are_in_compose(
    base: Build, name: str, service: ComposeService
) -> None:
    work = base.workloads[name]
    mounts = {mount["mountPath"]: mount for mount in work.container["volumeMounts"]}
    assert mounts.pop("/tmp")["name"] == "tmp"
    paths = {path: volume for path, volume in service.mounts.items() if not ONLY_IN_COMPOSE.fullmatch(path)}
    assert mounts.keys() == paths.keys()
    for path, volume in paths.items():
        assert mounts[path].get("readOnly", False) == (path in service.read_only_paths), path
        behind = {**work.claims, **work.secrets, "redis": "redis"}[mounts[path]["name"]]
        expected = f"{name}-redis" if volume.endswith("-secrets") else SECRETS.get(volume, volume)
        assert behind == expected, path


def test_the_limits_are_the_same(base: Build, name: str, service: ComposeService) -> None:
    limits = base.workloads[name].container["resources"]["limits"]
    assert to_bytes(limits["memory"]) == service.memory_bytes
    assert float(limits["cpu"]) == service.cores


def test_the_networks_are_the_same(base: Build, name: str, service: ComposeService) -> None:
    assert base.workloads[name].networks == service.networks


def test_every_probe_asks_what_the_health_check_asks(base: Build, name: str, service: ComposeService) -> None:
    container = base.workloads[name].container
    probes = [container[kind] for kind in ("startupProbe", "readinessProbe", "livenessProbe") if kind in container]
    if service.is_one_shot:
        assert not probes
        return
    assert len(probes) == 3
    (address,) = re.findall(r"http://[^:]+:(\d+)(/[^']*)'", service.health[-1]) or [None]
    if "services/gateway/health_check.py" in service.health:
        address = (service.health[-1], health_check.PATH)
    for probe in probes:
        if address:
            assert probe["httpGet"]["path"] == address[1]
            assert {"name": probe["httpGet"]["port"], "containerPort": int(address[0])} in container["ports"]
        else:
            assert probe["exec"]["command"] == ["sh", "-c", service.health[1]]


def test_the_user_and_the_ports_are_those_of_the_table_in_security_md(base: Build, name: str) -> None:
    row, work = read_table()[name], base.workloads[name]
    context = work.pod["securityContext"]
    assert {str(context[key]) for key in ("runAsUser", "runAsGroup", "fsGroup")} == {row.user}
    ports = {str(port["containerPort"]) for port in work.container.get("ports", [])}
    assert ports == row.ports


def test_a_pod_has_at_least_as_long_to_stop_as_a_container(base: Build, name: str, service: ComposeService) -> None:
    work = base.workloads[name]
    waits = work.container.get("lifecycle", {}).get("preStop", {}).get("exec", {}).get("command", ["sleep", "0"])
    assert work.pod.get("terminationGracePeriodSeconds", 30) - int(waits[1]) >= service.stop_grace_s
    assert work.pod["shareProcessNamespace"]  # `init: true`


def test_the_policies_let_through_what_the_networks_of_compose_let_through(base: Build) -> None:
    """Compose: whoever is in the same network. Here: the same, except that predictors reach nobody."""
    table = read_table()
    networks = {"6379": "queue", "8101": "serving", "8080": "published"}
    expected = {
        (source, target, port)
        for target in COMPOSE
        for port in table[target].ports
        for source in COMPOSE
        if source != target and networks[port] in COMPOSE[source].networks and not source.endswith("-predictor")
    }
    assert expected
    found = {
        (source, target, port)
        for source in COMPOSE
        for target in COMPOSE
        for port in networks
        if source != target and _is_allowed(base, source, target, port)
    }
    assert found == expected


def _is_allowed(base: Build, source: str, target: str, port: str) -> bool:
    """Return whether a connection passes: some policy of the source lets it out, and some policy of the target in."""
    source_labels, target_labels = (base.workloads[name].labels for name in (source, target))
    sides = (("egress", "to", source_labels, target_labels), ("ingress", "from", target_labels, source_labels))
    return all(
        any(
            {"protocol": "TCP", "port": int(port)} in rule["ports"]
            and any(
                "namespaceSelector" not in peer and _matches(peer["podSelector"], other)
                for peer in rule[peers]
                if "podSelector" in peer
            )
            for policy in base.of_kind("NetworkPolicy")
            if _matches(policy["spec"]["podSelector"], own)
            for rule in policy["spec"].get(direction, [])
        )
        for direction, peers, own, other in sides
    )


def _matches(selector: dict, labels: dict[str, str]) -> bool:
    """Return whether a selector selects a pod with these labels."""
    if any(labels.get(key) != value for key, value in selector.get("matchLabels", {}).items()):
        return False
    expressions = selector.get("matchExpressions", [])
    assert all(expression["operator"] == "NotIn" for expression in expressions)
    return not any(labels.get(expression["key"]) in expression["values"] for expression in expressions)
