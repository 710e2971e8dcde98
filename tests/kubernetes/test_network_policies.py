"""The network policies of each build: everything is closed, and datasets can still be downloaded."""

from urllib.parse import urlsplit

import pytest

from shared.data.datasets import DATASETS
from tests.kubernetes.manifests import BUILDS, Build

PORTS = {"http": 80, "https": 443}
DOWNLOADERS = {"overlays/s3": "object-store"}  # elsewhere the job `datasets` downloads, in the network `downloads`


@pytest.mark.parametrize("name", BUILDS)
def test_what_no_policy_allows_is_closed(builds: dict[str, Build], name: str) -> None:
    """A pod that no policy selects is open. So one policy selects every pod, and allows nothing."""
    policy = builds[name].named("NetworkPolicy", "default-deny")
    assert policy["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    assert {one["metadata"]["namespace"] for one in builds[name].of_kind("NetworkPolicy")} == {"tandem"}


@pytest.mark.parametrize("name", BUILDS)
def test_every_mirror_of_a_dataset_can_be_reached(builds: dict[str, Build], name: str) -> None:
    network = DOWNLOADERS.get(name, "downloads")
    (rule,) = builds[name].named("NetworkPolicy", network)["spec"]["egress"]
    needed = {PORTS[urlsplit(mirror).scheme] for dataset in DATASETS.values() for mirror in dataset.mirrors}
    assert needed <= {port["port"] for port in rule["ports"] if port["protocol"] == "TCP"}
    (peer,) = rule["to"]
    assert peer["ipBlock"]["cidr"] == "0.0.0.0/0"
    downloading = [
        work
        for work in builds[name].workloads.values()
        if any(
            "shared.data.datasets" in one.get("args", [])
            for one in [*work.pod.get("initContainers", []), work.container]
        )
    ]
    assert downloading
    assert all(network in work.networks for work in downloading)


@pytest.mark.parametrize("name", BUILDS)
def test_only_who_may_reach_the_gateway_reaches_the_pod_that_proves_the_host_to_a_certificate_authority(
    builds: dict[str, Build], name: str
) -> None:
    """cert-manager starts this pod in the namespace. The label and the port are those of its documentation."""
    assert builds[name].named("NetworkPolicy", "certificate-solver")["spec"] == {
        "podSelector": {"matchLabels": {"acme.cert-manager.io/http01-solver": "true"}},
        "policyTypes": ["Ingress"],
        "ingress": [
            {
                "from": [{"namespaceSelector": {"matchLabels": {"tandem.access/gateway": "allowed"}}}],
                "ports": [{"protocol": "TCP", "port": 8089}],
            }
        ],
    }


@pytest.mark.parametrize("name", BUILDS)
def test_outside_the_cluster_only_http_servers_are_reached(builds: dict[str, Build], name: str) -> None:
    allowed = [{"protocol": "TCP", "port": port} for port in PORTS.values()]
    rules = [
        rule
        for policy in builds[name].of_kind("NetworkPolicy")
        for rule in policy["spec"].get("egress", [])
        if any("ipBlock" in peer for peer in rule["to"])
    ]
    assert rules
    assert all(port in allowed for rule in rules for port in rule["ports"])


@pytest.mark.parametrize("name", BUILDS)
def test_no_pod_reaches_private_addresses_outside_the_namespace(builds: dict[str, Build], name: str) -> None:
    """An address such as 169.254.169.254 would give away the rights of the node."""
    blocks = [
        peer["ipBlock"]
        for policy in builds[name].of_kind("NetworkPolicy")
        for rule in policy["spec"].get("egress", [])
        for peer in rule["to"]
        if "ipBlock" in peer
    ]
    assert blocks
    for block in blocks:
        assert {"10.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16"} <= set(block["except"])
